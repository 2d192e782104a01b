"""CoTracker3, offline (Karaev et al. 2024), through its own package. CC-BY-NC 4.0: not for commercial use."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from flashbench.errors import InputError
from flashbench.field import frames
from flashbench.field.trackers import tracker_plugin
from flashbench.field.weights import Located, from_hub, one_file, state_dict
from flashbench.runs.extractors import Lazy
from flashbench.tracking.objects import PointObjects
from flashbench.tracking.protocol import PointTracks, Video

NAME, HUB = "cotracker3", "facebook/cotracker3"
WINDOW = 60  # frames; of the published offline weights


def package(module: str, name: str, brings: str) -> Any:
    """A module of a package that the user installs from its repository."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InputError(f"tracker {name}", f"package {module.split('.')[0]} is not installed", brings) from error


class CoTracker3:
    """Points `[N, 2]` px of frame 0 through a video, at the network's own 384 x 512, with its support grid."""

    name = NAME

    def __init__(self, weights: str | None, window: int = WINDOW) -> None:
        self._window = window
        self._weights = Located(self._find(weights), f"offline{window}-1")
        self._net = Lazy(self._load)

    @staticmethod
    def _find(weights: str | None) -> Any:
        def find() -> Path:
            return one_file(NAME, from_hub(NAME, weights, HUB, ("scaled_offline.pth",)), "scaled_offline.pth")

        return find

    @property
    def fingerprint(self) -> str:
        return self._weights.fingerprint

    def _load(self) -> Any:
        module = package("cotracker.predictor", NAME, BRINGS)
        state = state_dict(NAME, self._weights.path)
        # Without a checkpoint: theirs would be read as a pickle.
        net = module.CoTrackerPredictor(checkpoint=None, offline=True, window_len=self._window)
        net.model.load_state_dict(state.get("model", state))
        return net.eval().requires_grad_(False).to(frames.device())

    @torch.inference_mode()
    def track_points(self, video: Video, queries: npt.NDArray[np.float32]) -> PointTracks:
        """See `PointTracker.track_points`. Pixel centres at integers are the predictor's own convention."""
        x = frames.uploaded(video)[None].float()
        at = torch.from_numpy(queries).to(x.device)
        points, visible = self._net()(x, queries=torch.cat([torch.zeros_like(at[:, :1]), at], dim=1)[None])
        return PointTracks(points[0].swapaxes(0, 1).float().cpu().numpy(), visible[0].T.bool().cpu().numpy())


BRINGS = "pip install git+https://github.com/facebookresearch/co-tracker; hf download facebook/cotracker3"
PLUGIN = tracker_plugin(NAME, lambda w: PointObjects(CoTracker3(w)), "CC-BY-NC-4.0", BRINGS, ("cotracker",))
