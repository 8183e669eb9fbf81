"""The API: what operators can do, for programs, as JSON over HTTP; described by OpenAPI."""
