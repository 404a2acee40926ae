"""The shared vocabulary: terms, items, label tables, receipts, verdicts and file formats.

Every other package imports this one; this one imports none of them.
"""
