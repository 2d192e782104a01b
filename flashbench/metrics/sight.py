"""What each embedded metric was measured to see, and not to see: docs/validity.csv in words, for the catalogue.

`flashbench validate` measures it on `sprites-v1`; a test holds these lines to that table. What a metric resolves only
when there is much of it stands in neither list.
"""

from __future__ import annotations

from typing import NamedTuple


class Sight(NamedTuple):
    """Corruptions of true videos (`flashbench.models.corrupted.DAMAGES`) by name.

    Attributes:
        sees: resolved as damage from strength 1 or 2 (of 5) on, paired over the cases of the suite.
        misses: not resolved as damage at the greatest strength.
    """

    sees: tuple[str, ...]
    misses: tuple[str, ...]


def _sight(sees: str, misses: str) -> Sight:
    return Sight(tuple(sees.split()), tuple(misses.split()))


SIGHT: dict[str, Sight] = {
    "fvd_i3d": _sight(
        "blur noise h264 flicker colour frozen dropped shuffled_frames slow_motion time_shift camera_shake "
        "path_offset path_mirrored objects_swapped object_removed object_faded",
        "",
    ),
    "mmd_i3d": _sight(
        "blur noise h264 flicker frozen camera_shake object_faded",
        "slow_motion path_offset path_mirrored objects_swapped object_removed",
    ),
    "fid_lite0": _sight(
        "blur noise h264 flicker colour frozen dropped shuffled_frames slow_motion time_shift camera_shake "
        "path_offset path_mirrored objects_swapped object_removed object_faded",
        "",
    ),
    "epe_lk": _sight(
        "h264 colour frozen dropped shuffled_frames slow_motion time_shift camera_shake path_offset "
        "path_mirrored objects_swapped object_removed object_faded",
        "",
    ),
    "epe_lk_median": _sight(
        "blur noise h264 flicker colour frozen dropped shuffled_frames slow_motion time_shift camera_shake "
        "path_offset path_mirrored objects_swapped object_removed object_faded",
        "",
    ),
    "epe_lk_early": _sight(
        "h264 dropped shuffled_frames slow_motion time_shift camera_shake path_offset path_mirrored objects_swapped",
        "",
    ),
    "epe_lk_middle": _sight(
        "h264 colour shuffled_frames slow_motion time_shift camera_shake path_offset path_mirrored "
        "objects_swapped object_faded",
        "",
    ),
    "epe_lk_late": _sight(
        "blur h264 colour frozen shuffled_frames slow_motion time_shift camera_shake path_offset "
        "path_mirrored objects_swapped object_removed object_faded",
        "",
    ),
    "epe_lk_excess": _sight(
        "h264 colour frozen dropped shuffled_frames slow_motion time_shift camera_shake path_offset "
        "path_mirrored objects_swapped object_removed object_faded",
        "",
    ),
    "epe_points_lk": _sight(
        "blur noise h264 flicker colour frozen dropped shuffled_frames slow_motion time_shift camera_shake "
        "path_offset path_mirrored objects_swapped object_removed object_faded",
        "",
    ),
    "delta_avg_lk": _sight(
        "blur h264 flicker colour frozen dropped shuffled_frames slow_motion time_shift camera_shake "
        "path_offset path_mirrored objects_swapped object_removed object_faded",
        "",
    ),
    "aj_lk": _sight(
        "blur noise h264 flicker colour frozen dropped shuffled_frames slow_motion time_shift camera_shake "
        "path_offset path_mirrored objects_swapped object_removed object_faded",
        "",
    ),
    "oa_lk": _sight(
        "h264 colour shuffled_frames path_mirrored object_removed",
        "dropped path_offset",
    ),
    "survival_lk": _sight(
        "h264 colour frozen shuffled_frames slow_motion object_removed",
        "path_offset",
    ),
    "miou_lk": _sight(
        "blur noise h264 flicker colour frozen dropped shuffled_frames slow_motion time_shift camera_shake "
        "path_offset path_mirrored objects_swapped object_removed object_faded",
        "",
    ),
    "biou_lk": _sight(
        "blur noise h264 colour frozen dropped shuffled_frames slow_motion time_shift camera_shake "
        "path_offset path_mirrored objects_swapped object_removed object_faded",
        "",
    ),
    "arrival_lk": _sight(
        "blur noise h264 colour frozen dropped shuffled_frames slow_motion time_shift camera_shake "
        "path_offset path_mirrored objects_swapped object_removed object_faded",
        "flicker",
    ),
    "speed_ratio_lk": _sight(
        "frozen dropped slow_motion time_shift path_mirrored objects_swapped object_removed",
        "blur noise h264 shuffled_frames camera_shake path_offset",
    ),
    "dynamic_lk": _sight(
        "blur noise h264 colour frozen dropped shuffled_frames slow_motion time_shift camera_shake "
        "objects_swapped object_faded",
        "path_mirrored object_removed",
    ),
    "text_lit": _sight(
        "noise h264 colour",
        "flicker frozen dropped shuffled_frames slow_motion time_shift path_offset path_mirrored "
        "objects_swapped object_removed object_faded",
    ),
    "subject_lite0": _sight(
        "noise h264 colour camera_shake object_removed object_faded",
        "frozen dropped slow_motion time_shift path_offset",
    ),
    "background_lite0": _sight(
        "noise h264 flicker colour camera_shake object_removed object_faded",
        "frozen dropped slow_motion time_shift path_offset path_mirrored",
    ),
    "flicker": _sight(
        "noise flicker colour shuffled_frames camera_shake",
        "blur h264 frozen dropped slow_motion time_shift path_mirrored objects_swapped object_removed object_faded",
    ),
    "psnr": _sight(
        "blur noise h264 flicker colour frozen dropped shuffled_frames slow_motion time_shift camera_shake "
        "path_offset path_mirrored objects_swapped object_removed object_faded",
        "",
    ),
    "ssim": _sight(
        "blur noise h264 flicker colour frozen dropped shuffled_frames slow_motion time_shift camera_shake "
        "path_offset path_mirrored objects_swapped object_removed object_faded",
        "",
    ),
    "stlpips": _sight(
        "blur noise h264 flicker colour frozen dropped shuffled_frames slow_motion time_shift camera_shake "
        "path_offset path_mirrored objects_swapped object_removed object_faded",
        "",
    ),
}
