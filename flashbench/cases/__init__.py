"""Cases: what a model is asked, where suites are kept, and the worlds that they are made from."""
