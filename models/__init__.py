"""Predictors: detector, sentiment, video; their weights, their training, and a deterministic fake."""
