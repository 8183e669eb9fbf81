"""What the Makefile calls: deployments, measurements, the demonstration, and what they share."""
