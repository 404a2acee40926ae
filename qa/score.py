"""Scores: one function a task, from a submission and its gold to a document of `contract.scores`."""

from qa.score_boxes import score_boxes
from qa.score_sentiments import score_sentiments
from qa.score_timelines import score_events, score_keyframes, score_shots

__all__ = ["score_boxes", "score_events", "score_keyframes", "score_sentiments", "score_shots"]
