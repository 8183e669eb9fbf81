"""OCPP 1.6 and its security extension, as a charging point reads them.

A reading of its own, so that it can contradict the backend's; only the schemas are shared,
which are data files of the PyPI package `ocpp`.
"""
