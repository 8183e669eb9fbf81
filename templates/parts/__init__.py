"""What several stacks are made of: containers, services behind load balancers, alarms."""
