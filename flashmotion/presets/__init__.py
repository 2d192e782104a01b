"""Named configurations, data only, each complete in one file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from typing import Any

from flashbench.errors import InputError
from flashmotion.presets.nano import NANO
from flashmotion.presets.schema import Preset, Schedule

PRESETS = {"nano": NANO}


def preset(name: str) -> Preset:
    """A preset by name."""
    if name not in PRESETS:
        raise InputError("--preset", f"unknown preset {name!r}", f"choose one of {', '.join(sorted(PRESETS))}")
    return PRESETS[name]


def changed(base: Preset, changes: Iterable[str]) -> Preset:
    """A preset with single fields replaced, each given as `FIELD=JSON`; `fast_adapter.lr` is a field of a schedule.

    Raises:
        InputError: no such field, not JSON, or a value of another kind than the field's.
    """
    fields = _fields(base)
    for change in changes:
        name, _, text = change.partition("=")
        if name not in fields:
            raise InputError("--set", f"unknown field {name!r}", f"choose one of {', '.join(sorted(fields))}")
        try:
            value = json.loads(text)
        except json.JSONDecodeError as error:
            raise InputError(
                "--set", f"{change!r} is not FIELD=JSON ({error})", "write strings as '\"text\"'"
            ) from error
        value = tuple(value) if isinstance(value, list) else value
        kinds = {type(fields[name])} | ({int} if isinstance(fields[name], float) else set())
        kinds |= {float, int} if name == "lambda_form" else set()
        if type(value) not in kinds:
            raise InputError("--set", f"{name} is {fields[name]!r}, not {value!r}", "give a value of the same kind")
        outer, _, inner = name.partition(".")
        whole = dataclasses.replace(getattr(base, outer), **{inner: value}) if inner else value
        base = dataclasses.replace(base, **{outer: whole})
    return base


def _fields(base: Preset) -> dict[str, Any]:
    """Values of the fields that an experiment may change, by name; those of a schedule as `SCHEDULE.FIELD`."""
    found: dict[str, Any] = {}
    for f in dataclasses.fields(base):
        value = getattr(base, f.name)
        if isinstance(value, Schedule):
            found |= {f"{f.name}.{k}": v for k, v in dataclasses.asdict(value).items()}
        elif f.name != "name":
            found[f.name] = value
    return found
