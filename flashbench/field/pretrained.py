"""What extractors on one network share: its weights, their hash, and its loading when it is first needed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from flashbench.field.weights import MODEL_FILES, Located, check_sha256, from_hub, one_file, pretrained, scripted
from flashbench.runs.extractors import Lazy


class PretrainedExtractor:
    """Subclasses say `name`, `hub` (an id), `model` (a class of transformers), `protocol`, and how they measure."""

    name: str
    hub: str
    model: str
    protocol: str
    options: ClassVar[dict[str, Any]] = {}

    def __init__(self, weights: str | None) -> None:
        self._weights = Located(lambda: from_hub(self.name, weights, self.hub), self.protocol)
        self.net = Lazy(self._load)

    def _load(self) -> Any:
        import transformers

        return pretrained(getattr(transformers, self.model), self.name, self._weights.path, **self.options)

    @property
    def fingerprint(self) -> str:
        return self._weights.fingerprint


class ScriptedExtractor:
    """A published TorchScript file. Subclasses say `name`, `published` (its sha256), `pattern` of its file name,
    `protocol`, where it has one a `hub` id and the `files` wanted of it, and how they measure.

    Args:
        weights: a path, a hub id, or None.
        checked: whether the file must be the published one; False is for tests of the call alone.
    """

    name: str
    published: str
    pattern: str
    protocol: str
    hub: ClassVar[str] = ""
    files: ClassVar[tuple[str, ...]] = MODEL_FILES

    def __init__(self, weights: str | None, checked: bool = True) -> None:
        def find() -> Path:
            path = one_file(self.name, from_hub(self.name, weights, self.hub, self.files), self.pattern)
            return check_sha256(self.name, path, self.published) if checked else path

        self._weights = Located(find, self.protocol)
        self.net = Lazy(lambda: scripted(self.name, self._weights.path))

    @property
    def fingerprint(self) -> str:
        return self._weights.fingerprint
