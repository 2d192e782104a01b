"""The lists of a suite folder against their JSON schema, `suite.schema.json`."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from flashbench.cases.folder import METADATA, SUITE_JSON
from flashbench.errors import InputError
from flashbench.files.atomic import read_json


def schema() -> dict[str, Any]:
    """The schema: `$defs/suite` for suite.json, `$defs/case` for a line of metadata.jsonl."""
    return dict(json.loads(files("flashbench.cases").joinpath("suite.schema.json").read_text(encoding="utf-8")))


def check_form(root: Path) -> None:
    """Applies the schema to both lists.

    Raises:
        InputError: the first field that does not fit, with file, line and field.
    """
    suite, case = validator("suite"), validator("case")
    _apply(suite, read_json(root / SUITE_JSON), str(root / SUITE_JSON))
    path = root / METADATA
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if line.strip():
            _apply(case, json.loads(line), f"{path}, line {number}")


def validator(kind: str) -> Any:
    """jsonschema's validator of `$defs/KIND`."""
    from jsonschema import Draft202012Validator

    return Draft202012Validator({"$ref": f"#/$defs/{kind}", "$defs": schema()["$defs"]})


def _apply(form: Any, value: Any, where: str) -> None:
    from jsonschema.exceptions import best_match

    error = best_match(form.iter_errors(value))
    if error is not None:
        field = ".".join(str(part) for part in error.absolute_path)
        what = f"field {field!r}: {error.message}" if field else error.message
        raise InputError(where, what, f"see {form.schema['$ref']} of flashbench/cases/suite.schema.json")
