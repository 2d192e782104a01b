"""Trajectory adapters: one zero-initialised output a generator block, behind one protocol."""

from flashmotion.networks.adapters.controlnet import ControlNetAdapter
from flashmotion.networks.adapters.protocol import TrajectoryAdapter
from flashmotion.networks.adapters.resnet import ResNetAdapter

ADAPTERS = {"controlnet": ControlNetAdapter, "resnet": ResNetAdapter}

__all__ = ["ADAPTERS", "ControlNetAdapter", "ResNetAdapter", "TrajectoryAdapter"]
