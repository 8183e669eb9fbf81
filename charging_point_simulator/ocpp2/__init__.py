"""OCPP 2.0.1 and 2.1, as a charging point reads them.

A reading of its own, so that it can contradict the backend's; only the schemas are shared. What
2.1 adds to a message is used where it is spoken, all else is the same. EVSEs are the simulator's
connectors; an EVSE's connectors are its plugs, of which one is used at a time.
"""
