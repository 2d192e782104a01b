"""The networks that the field reports with. Their weights are not in any package: the user brings them.

One file a network: how it is loaded, how frames are given to it, and the metrics made of it, a `metrics.plugin.Plugin`.
Protocols (windows, sampled frames, n - 1) are those of the embedded networks; only the network differs, and the name
says which.
"""
