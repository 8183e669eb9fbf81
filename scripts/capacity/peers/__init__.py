"""Servers to hold a node against, each as its own documentation would have it.

They run in a virtual environment of their own (requirements/peers.txt), so they import nothing
of ours; each listens on the port that is its only argument and keeps what it hears nowhere.
"""
