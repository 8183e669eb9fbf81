"""Ways in which charging points deviate from OCPP 1.6, to be switched on by name.

They change frames that are about to be sent, or answer commands instead of the charging point,
and know nothing else of it.
Collected from public reports; each is what some charging point on the market does.
"""
