"""Simulated charging points, from one that says "Hello" to a fleet.

They share no code with cp_backend, so that they can contradict it.
"""
