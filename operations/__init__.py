"""The operator's hand: register charging points and tokens, look, command."""
