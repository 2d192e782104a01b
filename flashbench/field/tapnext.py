"""TAPNext (Zholus et al. 2025) through google-deepmind's tapnet, in PyTorch. Apache-2.0."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from flashbench.field import frames
from flashbench.field.cotracker3 import package
from flashbench.field.trackers import tracker_plugin
from flashbench.field.weights import Located, from_hub, one_file, state_dict
from flashbench.runs.extractors import Lazy
from flashbench.tracking.objects import PointObjects
from flashbench.tracking.protocol import PointTracks, Video

NAME = "tapnext"
SIDE = 256


class TAPNext:
    """Points of frame 0 through a video squashed to 256 x 256, frame by frame, as its authors evaluate it."""

    name = NAME

    def __init__(self, weights: str | None, **size: Any) -> None:
        self._size = size  # of the network; none for the published one
        self._weights = Located(lambda: one_file(NAME, from_hub(NAME, weights, ""), "*.[np][pt]*"), "online256-1")
        self._net = Lazy(self._load)

    @property
    def fingerprint(self) -> str:
        return self._weights.fingerprint

    def _load(self) -> Any:
        module, path = package("tapnet.tapnext.tapnext_torch", NAME, BRINGS), self._weights.path
        net = module.TAPNext(image_size=(SIDE, SIDE), **self._size)
        if path.suffix == ".npz":
            utilities = package("tapnet.tapnext.tapnext_torch_utils", NAME, BRINGS)
            net = utilities.restore_model_from_jax_checkpoint(net, path)
        else:
            state = state_dict(NAME, path)
            net.load_state_dict({k.removeprefix("tapnext."): v for k, v in state.get("state_dict", state).items()})
        return net.eval().requires_grad_(False).to(frames.device())

    @torch.inference_mode()
    def track_points(self, video: Video, queries: npt.NDArray[np.float32]) -> PointTracks:
        """See `PointTracker.track_points`. Theirs is (y, x) with pixel corners at integers."""
        net, height, width = self._net(), *video.shape[1:3]
        scale = np.array([SIDE / width, SIDE / height], np.float32)
        at = torch.from_numpy((queries + 0.5) * scale).flip(1)
        query = torch.cat([torch.zeros_like(at[:, :1]), at], dim=1)[None].to(frames.device())
        x = frames.squashed(frames.uploaded(video), SIDE).permute(0, 2, 3, 1)[None] / 127.5 - 1
        state, points, visible = None, [], []
        for t in range(len(video)):
            given = {"query_points": query} if t == 0 else {"state": state}
            where, _, seen, state = net(video=x[:, t : t + 1], **given)
            points.append(where[0, 0].flip(1).float().cpu().numpy())
            visible.append(seen[0, 0, :, 0].cpu().numpy() > 0)
        tracks = np.stack(points, axis=1) / scale - 0.5
        tracks[:, 0], visible[0] = queries, np.ones(len(queries), np.bool_)
        return PointTracks(tracks.astype(np.float32), np.stack(visible, axis=1))


BRINGS = (
    "pip install git+https://github.com/google-deepmind/tapnet; "
    "https://storage.googleapis.com/dm-tapnet/tapnext/bootstapnext_ckpt.npz"
)
PLUGIN = tracker_plugin(NAME, lambda w: PointObjects(TAPNext(w)), "Apache-2.0", BRINGS, ("tapnet",))
