"""Runs: one model's answers to one suite, measured and scored, in one folder."""
