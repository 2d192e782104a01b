"""Trajectory adapters: one zero-initialised output a generator block, behind one protocol."""

from flashmotion.networks.adapters.protocol import TrajectoryAdapter

__all__ = ["TrajectoryAdapter"]
