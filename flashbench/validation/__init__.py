"""The benchmark examined by itself: graded damage of true videos, and what each metric makes of it."""
