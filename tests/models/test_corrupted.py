"""Graded damage: frame 0 stays, more strength is more damage, and the draw is the case's own."""

from __future__ import annotations

import numpy as np
import pytest

from flashbench.cases.scenes import sprites_suite
from flashbench.cases.schema import Suite
from flashbench.errors import InputError
from flashbench.models.corrupted import CHEATS, Corrupted, corrupted
from flashbench.models.corruptions import CORRUPTIONS, STRENGTHS
from flashbench.models.protocol import VideoModel
from flashbench.models.registry import create_model, model_names
from flashbench.models.staging import STAGINGS

ALL = [*CORRUPTIONS, *STAGINGS]


@pytest.fixture(scope="module")
def suite() -> Suite:
    return sprites_suite(4, 64, 41)


def damage(suite: Suite, name: str, case_id: str = "2-0000") -> float:
    case, video = suite.load_case(case_id), suite.load_reference(case_id)
    made = corrupted(suite, name).generate(case.asked(), 0)
    assert made.shape == video.shape and made.dtype == np.uint8 and np.array_equal(made[0], video[0]), name
    return float(np.abs(made.astype(int) - video).mean())


def test_there_are_enough_of_them() -> None:
    assert len(ALL) >= 14 and len(set(ALL)) == len(ALL) and STRENGTHS == (1, 2, 3, 4, 5)
    for table in (CORRUPTIONS, STAGINGS):
        assert all(list(c.levels) == sorted(set(c.levels)) for c in table.values())


@pytest.mark.parametrize("name", ALL)
def test_more_strength_is_more_damage(suite: Suite, name: str) -> None:
    found = [damage(suite, f"{name}@{s}") for s in STRENGTHS]
    assert found[-1] > 1.5 * found[0] and found[-1] > 0.3, found
    assert all(b > 0.8 * a for a, b in zip(found, found[1:], strict=False)), found


@pytest.mark.parametrize("name", ALL)
def test_the_same_every_time_and_another_in_another_case(suite: Suite, name: str) -> None:
    case = suite.load_case("3-0000")
    model, again = corrupted(suite, f"{name}@3"), corrupted(suite, f"{name}@3")
    first = model.generate(case, 0)
    assert np.array_equal(first, again.generate(case, 0))
    assert isinstance(model, VideoModel) and model.fingerprint == again.fingerprint
    assert model.fingerprint != corrupted(suite, f"{name}@4").fingerprint and model.info["what"]


def test_a_path_offset_is_as_large_as_it_says(suite: Suite) -> None:
    """Seen by drawing one object over the true frame: its pixels lie 32 px@256 = 8 px away at strength 5."""
    from flashbench.cases.scenes import sprites
    from flashbench.cases.scenes.world import render
    from flashbench.models.corrupted import _rng

    scene = sprites.scene_of("1-0000", 41, 0, "test")
    true, moved = (
        render(s, 64).centres[0]
        for s in (scene, STAGINGS["path_offset"].apply(scene, 32, _rng("path_offset", "1-0000", 0)))
    )
    distance = np.linalg.norm(moved - true, axis=1)
    assert distance[0] == 0 and distance[4:] == pytest.approx(8, abs=0.05)


def test_a_mirrored_path_ends_on_the_other_side() -> None:
    from flashbench.cases.scenes import sprites

    scene = sprites.scene_of("1-0002", 41, 0, "test")
    path = scene.named[0].path
    made = STAGINGS["path_mirrored"].apply(scene, 1.0, np.random.default_rng(0)).named[0].path
    assert np.array_equal(made[:, 1], path[:, 1]) and np.array_equal(made[:, 0], 2 * path[0, 0] - path[:, 0])


def test_a_removed_object_shows_the_background(suite: Suite) -> None:
    case, video = suite.load_case("1-0000"), suite.load_reference("1-0000")
    made = corrupted(suite, "object_removed@5").generate(case, 0)
    masks, early, late = case.objects[0].masks, 4, 38
    assert np.array_equal(made[early], video[early])
    difference = np.abs(made[late].astype(int) - video[late]).sum(-1)
    assert difference[masks[late]].mean() > 20 > 1 > np.median(difference[~masks[late]])


def test_frames_are_only_moved_by_what_moves_frames(suite: Suite) -> None:
    case, video = suite.load_case("1-0000"), suite.load_reference("1-0000")
    for name in ("frozen@3", "dropped@3", "shuffled_frames@3"):
        made = corrupted(suite, name).generate(case, 0)
        assert all(any(np.array_equal(f, g) for g in video) for f in made), name


def test_cheats_are_models_of_their_own(suite: Suite) -> None:
    made = {name: create_model(name, suite) for name in CHEATS}
    assert all(m.name == name and m.info["kind"] == "cheat" for name, m in made.items())
    assert len({m.fingerprint for m in made.values()} | {corrupted(suite, "slow_motion@5").fingerprint}) == 4
    case, video = suite.load_case("2-0000"), suite.load_reference("2-0000")
    late = made["half_second_late"].generate(case, 0)
    assert np.array_equal(late[12:], video[:-12]) and np.array_equal(late[5], video[0])
    other = made["other_seed"].generate(case, 0)
    assert np.array_equal(other[0], video[0]) and not np.array_equal(other[20], video[20])
    assert np.array_equal(made["half_speed"].generate(case, 0)[40], video[20])


def test_they_are_models_by_name(suite: Suite) -> None:
    assert create_model("blur@3", suite).fingerprint == corrupted(suite, "blur@3").fingerprint
    assert not any("@" in name or name in CHEATS for name in model_names())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("blurr@3", "did you mean 'blur'"), ("blur", "write NAME@1 to NAME@5"), ("blur@6", "strength is '6'"),
        ("blur@x", "strength is 'x'"),
    ],
)  # fmt: skip
def test_unknown_names(suite: Suite, name: str, says: str) -> None:
    with pytest.raises(InputError, match=says):
        corrupted(suite, name)


def test_a_suite_without_scenes(suite: Suite) -> None:
    import dataclasses

    other = dataclasses.replace(suite, name="clips")
    with pytest.raises(InputError, match="changes scenes, which suite 'clips' does not have"):
        corrupted(other, "path_offset@2")
    assert isinstance(corrupted(other, "blur@2"), Corrupted)
