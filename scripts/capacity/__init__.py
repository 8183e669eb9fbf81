"""`make capacity` and `make compare-peers`: how much the backend holds, measured."""
