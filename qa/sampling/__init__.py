"""How many items are checked, which, and what a rule then accepts: draws, plans, sequential tests and their chances."""
