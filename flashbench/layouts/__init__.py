"""Other people's data as suites, and suites as other people's data."""
