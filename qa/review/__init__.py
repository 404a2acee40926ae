"""Which drafts people see first, and which may be accepted by sample only."""
