"""Delivery and duty of care: the audit log, keys and signatures, encrypted packages and what a client can check alone."""
