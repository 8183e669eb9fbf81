"""Simulated charging points: one that sends "Hello", one by hand, a fleet, a crowd.

They share no code with cp_backend, so that they can contradict it.
"""
