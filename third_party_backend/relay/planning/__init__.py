"""What happened becomes what the hub is to be sent: one module a subject, `planner` calls them."""
