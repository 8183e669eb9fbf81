"""One simulated charging point without I/O: events and time go in, frames come out.

No version of OCPP is known here; a dialect (`charging_point_simulator.ocpp16`) writes the
messages and reads the commands.
"""
