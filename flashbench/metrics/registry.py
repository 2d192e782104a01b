"""Dictionaries of embedded entries that grow when a name is asked for that nobody knows yet.

A package offers more through the entry point group `flashbench.metrics`. Its module is imported at the first unknown
name; what cannot be taken in is kept in `BROKEN` with the reason, and stops nothing else.
"""

from __future__ import annotations

import functools
from importlib.metadata import entry_points
from typing import Generic, Protocol, TypeVar, runtime_checkable

GROUP = "flashbench.metrics"
T = TypeVar("T")


@runtime_checkable
class Offer(Protocol):
    """What an entry point of the group holds: `metrics.plugin.Plugin`."""

    def add(self) -> None:
        """Enters itself into the registries. Raises ValueError, having changed nothing, where that cannot be."""
        ...


BROKEN: dict[str, str] = {}


class Registry(dict[str, T], Generic[T]):
    """A dictionary of embedded entries that takes in those of packages when a name is unknown."""

    def __missing__(self, name: str) -> T:
        install()
        if dict.__contains__(self, name):
            return self[name]
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        if not dict.__contains__(self, name):
            install()
        return dict.__contains__(self, name)


@functools.cache
def install() -> None:
    """Takes in everything that is offered by what is installed; once a process."""
    for entry in entry_points(group=GROUP):
        try:
            offer = entry.load()
            if not isinstance(offer, Offer):
                raise ValueError(f"it is {type(offer).__name__}, not a Plugin")
            offer.add()
        except Exception as error:
            BROKEN[entry.name] = f"{entry.value}: {type(error).__name__}: {error}"
