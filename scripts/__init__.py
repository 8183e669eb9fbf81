"""Thin entry points that the Makefile calls."""
