"""Prompts that read like sentences, made from the facts of a scene."""

from __future__ import annotations

from collections.abc import Sequence

# fmt: off
SINGULAR = {
    "line": "glides across", "spline": "wanders over", "circle": "circles over", "zigzag": "darts in a zigzag over",
    "stop-and-go": "moves in fits and starts over", "exit-and-return": "leaves and comes back over",
    "approach": "changes its distance over", "crossing": "crosses",
}
# fmt: on
COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def enumerate_words(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def prompt(objects: Sequence[str], families: Sequence[str], place: str, weather: str | None) -> str:
    """One sentence naming every object (with its article), the place and the weather.

    Args:
        objects: noun phrases with article, such as `a red apple`.
        families: the motion family of each object.
        place: where it happens, with its article, such as `a forest stream`.
        weather: a clause such as `snow is falling`, or None.
    """
    if len(objects) == 1:
        text = f"{objects[0]} {SINGULAR[families[0]]} {place}"
    elif len(objects) == 2:
        text = f"{objects[0]} {SINGULAR[families[0]]} {place} while {objects[1]} {SINGULAR[families[1]]} it"
    else:
        text = f"{enumerate_words(objects)}, {COUNTS[len(objects)]} things in all, move over {place}"
    text = text[0].upper() + text[1:]
    return f"{text}, and {weather}." if weather else f"{text}."
