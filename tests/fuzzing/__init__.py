"""Fuzzing: wrong messages without end at every seam with the outside, by `make fuzz`."""
