"""SAM 2 (Ravi et al. 2024) through transformers: regions from their frame-0 masks. Apache-2.0."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from flashbench.field import frames
from flashbench.field.trackers import tracker_plugin
from flashbench.field.weights import Located, from_hub, pretrained
from flashbench.runs.extractors import Lazy
from flashbench.tracking.objects import RegionObjects
from flashbench.tracking.protocol import RegionTracks, Video

NAME, HUB = "sam2", "facebook/sam2.1-hiera-large"


class SAM2:
    """Masks of frame 0 through a video, all objects of a case in one session."""

    name = NAME

    def __init__(self, weights: str | None) -> None:
        self._weights = Located(lambda: from_hub(NAME, weights, HUB), "masks-1")
        self._parts = Lazy(self._load)

    @property
    def fingerprint(self) -> str:
        return self._weights.fingerprint

    def _load(self) -> tuple[Any, Any]:
        from transformers import Sam2VideoModel, Sam2VideoProcessor

        path = self._weights.path
        return pretrained(Sam2VideoModel, NAME, path), Sam2VideoProcessor.from_pretrained(path, local_files_only=True)

    @torch.inference_mode()
    def track_regions(self, video: Video, masks: npt.NDArray[np.bool_]) -> RegionTracks:
        """See `RegionTracker.track_regions`. A region that is empty on frame 0 stays empty."""
        net, processor = self._parts()
        out = np.zeros((len(masks), *video.shape[:3]), np.bool_)
        present = [i for i, mask in enumerate(masks) if mask.any()]
        if not present:
            return RegionTracks(out)
        session = processor.init_video_session(video=list(video), inference_device=frames.device())
        processor.add_inputs_to_inference_session(
            session, frame_idx=0, obj_ids=list(present), input_masks=[masks[i].astype(np.float32) for i in present]
        )
        net(session, frame_idx=0)
        size = [list(video.shape[1:3])]
        for step in net.propagate_in_video_iterator(session):
            found = processor.post_process_masks([step.pred_masks], original_sizes=size, binarize=True)[0]
            out[present, step.frame_idx] = found[:, 0].cpu().numpy()
        return RegionTracks(out)


BRINGS = f"hf download {HUB} --include '*.json' '*.safetensors'"
PLUGIN = tracker_plugin(NAME, lambda w: RegionObjects(SAM2(w)), "Apache-2.0", BRINGS)
