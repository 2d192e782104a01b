"""Models by name: the controls, `videos:FOLDER`, and what installed packages offer.

A package offers a model through the entry point group `flashbench.models`: `NAME = module:factory`, where the factory
takes the suite as models may see it (`Suite.asked`) and returns a `VideoModel`. It is imported only when the model is
asked for. What a package offers but cannot run yet, it may say through the group `flashbench.lacking`: a function
without arguments, name -> why, that loads nothing heavy.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from flashbench.cases.schema import Suite
from flashbench.errors import InputError, meant
from flashbench.models import corrupted
from flashbench.models.controls import Cutout, Reference, Shuffled, Static
from flashbench.models.folder import PREFIX, FolderModel
from flashbench.models.protocol import ModelFactory, VideoModel

GROUP = "flashbench.models"
LACKING = "flashbench.lacking"
BUILT_IN: dict[str, ModelFactory] = {
    "reference": Reference,
    "static": Static,
    "cutout": Cutout,
    "shuffled": Shuffled,
}


def model_names() -> list[str]:
    """Names of all models that can be made, `videos:FOLDER` aside: the controls, then the packages' in order."""
    return [*BUILT_IN, *sorted(_offered())]


def lacking() -> dict[str, str]:
    """Offered models that cannot be made yet -> why, as far as their packages say."""
    said: dict[str, str] = {}
    for point in entry_points(group=LACKING):
        said |= point.load()()
    return said


def create_model(name: str, suite: Suite) -> VideoModel:
    """Makes the model `name` for a suite.

    Args:
        name: a control, a corruption (`blur@3`) or cheat of the validation, an entry point, or `videos:FOLDER`.
        suite: the suite that it will answer.

    Raises:
        InputError: unknown name, a name that two packages offer, a package that cannot be imported or does not offer a
            VideoModel; and whatever the model's own factory finds wrong.
    """
    if name.startswith(PREFIX):
        return FolderModel(Path(name.removeprefix(PREFIX)), suite)
    if name in BUILT_IN:
        return BUILT_IN[name](suite)
    if corrupted.is_corruption(name):
        return corrupted.create_corruption(name, suite)
    offered = _offered()
    if name not in offered:
        raise InputError(f"model {name!r}", "is unknown", _mend(name))
    model = _load(offered[name])(suite.asked())
    if not isinstance(model, VideoModel):
        what = f"{offered[name].value} returned {type(model).__name__}, which is not a VideoModel"
        raise InputError(f"model {name!r}", what, "give it name, fingerprint, info and generate(case, seed)")
    return model


def _offered() -> dict[str, EntryPoint]:
    """Entry points by name. Raises InputError where two of different meaning, or one and a control, share a name."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        other = found.setdefault(point.name, point)
        if point.name in BUILT_IN or point.name.startswith(PREFIX):
            what = f"is offered by {_origin(point)}, but the name belongs to flashbench itself"
            raise InputError(f"model {point.name!r}", what, "rename the entry point, or remove the package")
        if other.value != point.value:
            what = f"is offered twice: by {_origin(other)} and by {_origin(point)}"
            raise InputError(f"model {point.name!r}", what, "rename one entry point, or remove one package")
    return found


def _origin(point: EntryPoint) -> str:
    return f"{point.dist.name if point.dist else 'an unknown package'} ({point.value})"


def _load(point: EntryPoint) -> Callable[[Suite], object]:
    try:
        factory: Callable[[Suite], object] = point.load()
    except (ImportError, AttributeError) as error:
        what = f"{_origin(point)} cannot be imported: {error}"
        raise InputError(f"model {point.name!r}", what, "install what it needs, or mend its entry point") from error
    if not callable(factory):
        what = f"{_origin(point)} is a {type(factory).__name__}"
        raise InputError(f"model {point.name!r}", what, "give a function that takes a suite and returns a VideoModel")
    return factory


def _mend(name: str) -> str:
    names = model_names()
    return f"{meant(name, names)}known: {', '.join(names)}, {PREFIX}FOLDER"
