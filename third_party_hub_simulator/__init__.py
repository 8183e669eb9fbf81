"""Plays the roaming hub: takes what an operator pushes, checks it, calls it, misbehaves on demand.

It shares no code with third_party_backend, so that it can contradict it.
"""
