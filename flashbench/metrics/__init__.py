"""Metric kernels: NumPy arrays in, numbers out. No network, no file, no torch.

Each module holds one family: `frechet` and `mmd` compare two sets of features; `tracks`, `regions` and `pace` compare
where things are with where they were asked to be; `consistency`, `pixels` and `text` look at frames or their features.
"""
