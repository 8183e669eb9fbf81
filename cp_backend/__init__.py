"""charging-point-backend: holds the WebSocket connections of charging points and speaks OCPP."""
