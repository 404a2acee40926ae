"""Jobs that a service runs for its callers: orders, their files, the queue, and what comes of them."""
