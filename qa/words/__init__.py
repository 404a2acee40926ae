"""What verdicts and reports say, in Chinese and in English."""
