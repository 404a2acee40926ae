"""What HTTP carries: bodies, answers, problems, limits."""
