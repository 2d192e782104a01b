"""Holm's correction and ranks with ties."""

from __future__ import annotations

import numpy as np
import pytest

from flashbench.statistics.ranks import holm, pairs_of, tie_groups


def test_holm_by_hand() -> None:
    """Holm 1979: sorted p times 4, 3, 2, 1, made to rise, at most 1."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == pytest.approx([1, 1])
    assert holm([]).size == 0


def test_holm_against_bonferroni_and_nothing() -> None:
    p = np.random.default_rng(0).uniform(0, 0.2, 30)
    ours = holm(p)
    assert (ours >= p).all() and (ours <= np.minimum(1, 30 * p) + 1e-12).all()
    assert np.array_equal(np.argsort(p), np.argsort(ours + 1e-9 * p))


def test_holm_leaves_out_what_has_no_test() -> None:
    out = holm([0.01, np.nan, 0.02])
    assert np.isnan(out[1]) and out[[0, 2]] == pytest.approx([0.02, 0.02])


P = {
    frozenset(("a", "b")): 0.001, frozenset(("a", "c")): 0.3, frozenset(("b", "c")): 0.2, frozenset(("a", "d")): 0.0001,
    frozenset(("b", "d")): 0.001, frozenset(("c", "d")): 0.01,
}  # fmt: skip


def test_ranks_say_what_cannot_be_told_apart() -> None:
    ranks = tie_groups({"a": 1.0, "b": 2.0, "c": 1.5, "d": 9.0}, "lower", P)
    assert ranks == {"a": (1, 2), "b": (2, 3), "c": (1, 3), "d": (4, 4)}
    turned = tie_groups({"a": 1.0, "b": 2.0, "c": 1.5, "d": 9.0}, "higher", P)
    assert turned == {"d": (1, 1), "b": (2, 3), "c": (2, 4), "a": (3, 4)}


def test_a_model_without_a_number_is_last() -> None:
    assert tie_groups({"a": 1.0, "b": np.nan}, "higher", {}) == {"a": (1, 1), "b": (2, 2)}


def test_without_tests_all_are_tied() -> None:
    assert tie_groups({"a": 1.0, "b": 2.0}, "higher", {}) == {"a": (1, 2), "b": (1, 2)}


def test_pairs() -> None:
    assert pairs_of("abc") == [("a", "b"), ("a", "c"), ("b", "c")]
