"""Models: what a model is (`protocol`), where models are found (`registry`), and the ones that need no network."""
