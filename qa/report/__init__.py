"""The report: what it shows, how it is drawn, and its page."""
