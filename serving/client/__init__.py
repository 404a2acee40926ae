"""The typed client of the REST door: calls and answers in the middle, two shells that send them."""
