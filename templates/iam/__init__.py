"""Who may do what: people, and AWS's services for us; roles and what limits them."""
