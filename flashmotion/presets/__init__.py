"""Named configurations, data only, each complete in one file."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable

from flashbench.errors import InputError
from flashmotion.presets.nano import NANO
from flashmotion.presets.schema import Preset

PRESETS = {"nano": NANO}


def preset(name: str) -> Preset:
    """A preset by name."""
    if name not in PRESETS:
        raise InputError("--preset", f"unknown preset {name!r}", f"choose one of {', '.join(sorted(PRESETS))}")
    return PRESETS[name]


def changed(base: Preset, changes: Iterable[str]) -> Preset:
    """A preset with single fields replaced, each given as `FIELD=JSON`.

    Raises:
        InputError: no such field, not JSON, or a value of another kind than the field's.
    """
    fields = {f.name: getattr(base, f.name) for f in dataclasses.fields(Preset)}
    fields = {k: v for k, v in fields.items() if not dataclasses.is_dataclass(v) and k != "name"}
    found = {}
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
        found[name] = value
    return dataclasses.replace(base, **found)
