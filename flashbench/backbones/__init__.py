"""Pretrained networks, one a file, all frozen. `assets` is the table of where their weights come from.

Importing this package imports no torch; import the module of the network that is wanted.
"""
