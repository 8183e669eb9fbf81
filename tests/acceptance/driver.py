"""The driver who charges in the tests of a deployed environment."""

TOKEN = "ACCEPTANCE"
