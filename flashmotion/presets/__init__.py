"""Named configurations, data only, each complete in one file."""

from __future__ import annotations

from flashbench.errors import InputError
from flashmotion.presets.nano import NANO
from flashmotion.presets.schema import Preset

PRESETS = {"nano": NANO}


def preset(name: str) -> Preset:
    """A preset by name."""
    if name not in PRESETS:
        raise InputError("--preset", f"unknown preset {name!r}", f"choose one of {', '.join(sorted(PRESETS))}")
    return PRESETS[name]
