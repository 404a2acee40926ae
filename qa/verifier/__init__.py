"""Recompute a score from the files beside it, with pyarrow and the standard library alone.

    python qa/verifier DIR

DIR holds score.json, its evidence (Parquet) and the report. Nothing else of goldgate is imported here, so that whoever has a
report can take this folder and check it. Every figure is computed by a second implementation, in plain Python: what agrees
was computed twice. What the files cannot give (average precision, resampled limits) is listed as not recomputed.
"""
