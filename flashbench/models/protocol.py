"""What the benchmark asks of a model: a name, a fingerprint, and a video for a case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Case, Suite
from flashbench.errors import InputError


@runtime_checkable
class VideoModel(Protocol):
    """A model that answers cases.

    Attributes:
        name: as in results and leaderboards.
        fingerprint: hex hash of everything that makes its videos: weights, settings, version of the code.
        info: JSON facts for the results: parameters, steps, licence, whatever a reader should know. `note`: a line
            that is printed below them.
    """

    @property
    def name(self) -> str: ...

    @property
    def fingerprint(self) -> str: ...

    @property
    def info(self) -> dict[str, Any]: ...

    def generate(self, case: Case, seed: int) -> npt.NDArray[np.uint8]:
        """Makes the video that `case` asks for.

        Args:
            case: first frame, prompt and trajectories, as `Case.asked()` gives them: never the truth.
            seed: seed of all randomness; the same case and seed give the same video on one machine.

        Returns:
            uint8 `[T, H, W, 3]` RGB of the case's length and size, the given first frame included.
        """
        ...


ModelFactory = Callable[[Suite], VideoModel]


def checked_video(video: object, case: Case, model: str) -> npt.NDArray[np.uint8]:
    """The video that `model` made for `case`, if it has the type, size and length that were asked.

    Raises:
        InputError: it has not; the line names the model, the case and what was asked.
    """
    asked = (case.frames, *case.size, 3)
    if isinstance(video, np.ndarray) and video.dtype == np.uint8 and video.shape == asked:
        return video
    got = f"{video.dtype} {video.shape}" if isinstance(video, np.ndarray) else type(video).__name__
    what = f"case {case.id!r}: the video is {got}, asked was uint8 {asked}"
    raise InputError(f"model {model!r}", what, "return uint8 [T, H, W, 3] of the case's length and size")
