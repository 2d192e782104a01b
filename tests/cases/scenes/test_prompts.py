"""Sentences: every object named once, the count said, place and weather at the end."""

from __future__ import annotations

import pytest

from flashbench.cases.scenes.motion import FAMILIES
from flashbench.cases.scenes.prompts import enumerate_words, prompt


def test_one_object() -> None:
    assert prompt(["a dog"], ["line"], "the temple", None) == "A dog glides across the temple."
    assert prompt(["an owl"], ["circle"], "the temple", "snow is falling") == (
        "An owl circles over the temple, and snow is falling."
    )


def test_two_objects() -> None:
    assert prompt(["a dog", "an owl"], ["crossing", "zigzag"], "the temple", None) == (
        "A dog crosses the temple while an owl darts in a zigzag over it."
    )


@pytest.mark.parametrize(("n", "word"), [(3, "three"), (6, "six"), (8, "eight")])
def test_many_objects_are_counted(n: int, word: str) -> None:
    names = [f"a thing{i}" for i in range(n)]
    text = prompt(names, ["line"] * n, "the temple", "rain is falling")
    assert f", {word} things in all, move over the temple, and rain is falling." in text
    assert all(text.lower().count(name) == 1 for name in names)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("n", [1, 2])
def test_it_reads_like_a_sentence(family: str, n: int) -> None:
    text = prompt(["a dog", "an owl"][:n], [family] * n, "the temple", None)
    assert text[0].isupper() and text.endswith(".") and "  " not in text and text.count(".") == 1


def test_lists() -> None:
    assert [enumerate_words("abc"[:n]) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]
