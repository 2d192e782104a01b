"""The trainer, which knows no method, and what it is fed with."""
