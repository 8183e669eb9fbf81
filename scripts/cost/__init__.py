"""docs/cost.md: what an environment costs, computed. `bill` counts, `page` and `picture` show."""
