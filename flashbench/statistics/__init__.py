"""How far a number carries: intervals, tests and ranks, pure NumPy. Everything is paired by case."""
