"""Who pairs with whom: boxes, points and intervals of a submission against the gold's, and what is left over."""
