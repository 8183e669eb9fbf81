"""What roaming partners' drivers ask of us, in no partner's words."""
