"""Very many charging points on one machine, each as small as can be.

`charger` plays one charging point in every detail; a crowd plays what loads a backend:
connections, heartbeats, pings, meter values, and everybody coming back at once.
"""
