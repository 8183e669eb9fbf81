"""Very many charging points on one machine, each as small as can be.

`charger` simulates one charging point in every detail; a crowd simulates what loads a backend:
connections, heartbeats, pings, meter values, and all of them reconnecting at once.
"""
