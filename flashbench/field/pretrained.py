"""What extractors on one transformers model share: its weights, its hash, and its loading when it is first needed."""

from __future__ import annotations

from typing import Any, ClassVar

from flashbench.field.weights import Located, from_hub, pretrained
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
