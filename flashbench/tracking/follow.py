"""Objects followed through a video: forward from frame 0, then back into the gaps.

On every frame each object has a few guesses: where Lucas-Kanade takes it from the frame before, where it would be if it
kept its speed and, when it is lost or looks doubtful, the best places of a search of the whole frame. Each guess is
aligned with the frame-0 cut-out, so that nothing drifts, and the one that explains the frame best is kept. Where an
object was lost and found again, it is followed backwards from there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from flashbench.tracking import occlusion, redetect
from flashbench.tracking.flow import flow, seeds
from flashbench.tracking.matched import build_blobs
from flashbench.tracking.similarity import F64, Bools, Index, Pose, at_rest, join
from flashbench.tracking.template import F32, Fit, Prior, align, build, compare, local_shifts, near, read
from flashbench.tracking.views import CELL, View, Views


@dataclass(frozen=True)
class Settings:
    """Parameters of the tracker. Lengths in px of the tracking scale, colours as distances in RGB of 0..1.

    Attributes:
        scale: longer side of the frame at the tracking scale.
        points, window, levels: Lucas-Kanade: seeds an object, side of the window, pyramid levels above the first.
        samples: template samples an object, at most.
        shift, size, turn: prior of a pose about its guess: px, relative, rad.
        stretch: prior of the stretch about none.
        noise: colour difference of a sample that fits.
        match: colour distance at which a sample counts a quarter; wide: the same in the first steps.
        gain: weight of fitting better than the background does, beside fitting.
        found: least score of a found object; weak: score below which a better place is looked for.
        news: how much better than the background a place must fit to be where a lost object turns up.
        seen: least share of an object in view to be found; reseen: the same where a lost one turns up.
        turns, sizes: rad and factors that the search tries.
        memory, trust: fading of the evidence of depth a frame, and the most that it adds up to.
        overlap: colour distance beyond which a misfit is no worse evidence of depth.
        like, strength, whole: least likeness, strength and share in view of a blob that counts as found, see `matched`.
        crisp: what the least likeness grows by, for each unit of score that the object had when it was recognised.
        doubt, leap, pace: what a score loses far from where the object is expected; half of it at `leap` px, and `pace`
            more for each frame that it was lost.
        blind: frames from where an object was found during which a guess of a hidden one is trusted.
        sliver: share in view below which an object that is not found counts as hidden.
        denied, telling: gain of that share below which it does not, since the frame shows background there; and the
            least share that tells so much.
        ease: pull of single points to their object, see `template.local_shifts`.
    """

    scale: int = 256
    points: int = 24
    window: int = 17
    levels: int = 2
    samples: int = 240
    shift: float = 4.0
    size: float = 0.045
    turn: float = 0.08
    stretch: float = 0.06
    noise: float = 0.06
    match: float = 0.15
    wide: float = 0.3
    gain: float = 0.3
    found: float = 0.35
    weak: float = 0.7
    news: float = 0.1
    seen: float = 0.03
    reseen: float = 0.3
    turns: tuple[float, ...] = (-0.3, 0.0, 0.3)
    sizes: tuple[float, ...] = (0.7, 1.0, 1.4)
    memory: float = 0.95
    trust: float = 20.0
    overlap: float = 0.3
    ease: float = 0.02
    like: float = 0.5
    strength: float = 0.25
    crisp: float = 0.4
    whole: float = 0.5
    doubt: float = 0.2
    leap: float = 20.0
    pace: float = 8.0
    blind: int = 12
    sliver: float = 0.35
    denied: float = -0.25
    telling: float = 0.06


class State(NamedTuple):
    """N objects on one frame.

    Attributes:
        pose: where they are; where they are not found, a guess.
        velocity: `[N, 2]` px a frame.
        found: bool `[N]`.
        score: `[N]`, how well the frame shows them.
        local: `[N, P, 2]` px, own coordinates: movement of single points beside their object.
        lost: int `[N]`: frames since each was found.
        hidden: bool `[N]`: not found, but where the guess puts it hardly any of it is in view.
    """

    pose: Pose
    velocity: F64
    found: Bools
    score: F64
    local: F64
    lost: Index
    hidden: Bools


class Guess(NamedTuple):
    """C aligned guesses, each `[C]`.

    Attributes:
        which: index of the object; wild: from a search.
        score: how well the frame shows the object there: mean match of the samples in view, plus a part of `gain`.
        share: of the object that is in view.
        gain: how much better the object matches than the background does, mean over the samples in view, -1..1.
    """

    which: Index
    wild: Bools
    fit: Fit
    score: F64
    share: F64
    gain: F64


class Follower:
    """Follows the objects whose soft frame-0 masks `[H, W]` (tracking scale) are given.

    Args:
        points: `[N, P, 2]` px, single points to follow with their objects, on frame 0.
    """

    def __init__(self, settings: Settings, views: Views, masks: list[F32], points: F64) -> None:
        self.settings, self.views, self.masks = settings, views, masks
        self.first = views.at(0)
        native = max(1.0, views.factor)
        self.templates = build(self.first.fine, masks, native, settings.samples)
        self.exists = self.templates.total > 0
        self.points = points - self.templates.middle[:, None]
        self.near = near(self.templates, self.points, 2 * native, settings.ease)
        self.blobs = build_blobs(self.first, masks, self.templates)
        self._seeds = seeds(self.first.gray, masks, self.templates, settings.points, native)
        self._finders: dict[int, redetect.Finder] = {}

    def run(self) -> tuple[list[State], F64]:
        """States of all frames, and the probability `front[t, j, i]` that object j is in front of i."""
        states, front = self._forward()
        self._backward(states, front)
        return states, front

    def _forward(self) -> tuple[list[State], F64]:
        s, n = self.settings, len(self.masks)
        zero = np.zeros(n, np.int64)
        rest = at_rest(self.templates.middle)
        state = State(rest, np.zeros((n, 2)), self.exists, np.ones(n), 0 * self.points, zero, zero > 0)
        states, evidence, total = [state], np.zeros((len(self.views), n, n)), np.zeros((n, n))
        view = self.first
        for t in range(1, len(self.views)):
            before, view = view, self.views.at(t)
            state = self._advance(before, view, state, occlusion.probability(total), t)
            found = occlusion.evidence(self.masks, self.templates, self.first.fine, view.fine, state.pose, s.overlap)
            evidence[t] = np.clip(found, -5, 5) * (state.found[:, None] & state.found)
            total = np.clip(s.memory * total + evidence[t], -s.trust, s.trust)
            states.append(state)
        return states, occlusion.in_front(evidence, s.memory, s.trust)

    def _advance(self, before: View, view: View, state: State, front: F64, t: int) -> State:
        everyone = np.arange(len(self.masks))
        flowed, coast = self._predict(before, view, state, np.nonzero(state.found)[0])
        covers = occlusion.covers(self.masks, self.templates, coast, front, state.found)
        guess = self._try(view, np.tile(everyone, 2), join(flowed, coast), covers)
        best = self._best(guess)
        lost = self.exists & ~state.found & (state.lost % np.clip(state.lost // 10, 1, 4) == 0)
        doubtful = state.found & (guess.score[best] < self.settings.weak) & (guess.share[best] > 0.2) & (t % 3 == 0)
        searched = self._search(view, everyone[lost | doubtful], coast, state.lost, covers)
        if searched is not None:
            guess = _joined(guess, searched)
            best = self._best(guess)
        pose, wild = guess.fit.pose.take(best), guess.wild[best]
        covers = occlusion.covers(self.masks, self.templates, pose, front, guess.score[best] > self.settings.found)
        guess, local = self.finish(view, everyone, pose, wild, covers)
        ok = self.accepted(guess)
        moved = guess.fit.pose.position - state.pose.position
        smooth = np.where((state.found & ~wild)[:, None], 0.6 * state.velocity + 0.4 * moved, 0.0)
        velocity = np.where(ok[:, None], smooth, 0.97 * state.velocity)
        local = np.where(ok[:, None, None], local, state.local)
        pose, lost = guess.fit.pose.where(ok, coast), np.where(ok, 0, state.lost + 1)
        return State(pose, velocity, ok, guess.score, local, lost, np.zeros_like(ok))

    def _predict(self, before: View, view: View, state: State, which: Index) -> tuple[Pose, Pose]:
        """Where Lucas-Kanade takes the objects `which`, and their speed the others; and where its speed takes each."""
        s = self.settings
        coast = Pose(state.pose.matrix, state.pose.position + state.velocity)
        flowed = Pose(coast.matrix.copy(), coast.position.copy())
        if len(which):
            at, known = self._seeds
            start = state.pose.take(which)
            moved, share = flow(before.gray, view.gray, start, at[which], known[which], s.window, s.levels)
            there, ok = moved.after(start), share > 0.2
            flowed.matrix[which[ok]], flowed.position[which[ok]] = there.matrix[ok], there.position[ok]
        return flowed, coast

    def _backward(self, states: list[State], front: F64) -> None:
        """From the last frame to the first, replaces doubtful states by what the next frame leads to, if better."""
        for t in range(len(states) - 2, 0, -1):
            here, later = states[t], states[t + 1]
            doubtful = self.exists & later.found & (~here.found | (here.score < self.settings.weak))
            which = np.nonzero(doubtful)[0]
            if not len(which):
                continue
            after = states[min(t + 2, len(states) - 1)]
            both = (later.found & after.found)[:, None]
            back = later._replace(velocity=np.where(both, later.pose.position - after.pose.position, 0.0))
            states[t] = self._retried(self.views.at(t + 1), self.views.at(t), here, back, which, front[t])

    def _retried(self, after: View, view: View, here: State, back: State, which: Index, front: F64) -> State:
        """The state `here`, but for those of the objects `which` that fit better when followed from the next frame."""
        flowed, coast = self._predict(after, view, back, which)
        about = here.pose.where(here.found, coast)
        covers = occlusion.covers(self.masks, self.templates, about, front, self.exists, which)
        guess = self._try(view, np.tile(which, 2), join(flowed.take(which), coast.take(which)), covers)
        k = len(which)
        best = np.arange(k) + k * (guess.score[k:] > guess.score[:k])
        tame = np.zeros(k, bool)
        guess, local = self.finish(view, which, guess.fit.pose.take(best), tame, covers)
        seen = self.in_view(which, here.pose.take(which), covers)
        old = compare(view.fine, self.templates, which, here.pose.take(which), self.settings.match)
        old_score = np.where(here.found[which], self.judge(view, which, tame, old, seen).score, -1)
        better = self.accepted(guess) & (guess.score > old_score + 0.03)
        put = which[better]
        pose = Pose(here.pose.matrix.copy(), here.pose.position.copy())
        found, score, shifts = here.found.copy(), here.score.copy(), here.local.copy()
        pose.matrix[put], pose.position[put] = guess.fit.pose.matrix[better], guess.fit.pose.position[better]
        found[put], score[put], shifts[put] = True, guess.score[better], local[better]
        return here._replace(pose=pose, found=found, score=score, local=shifts)

    def _search(self, view: View, which: Index, expected: Pose, lost: Index, covers: list[F32 | None]) -> Guess | None:
        """Guesses for some objects from the whole frame; those that are no news have the score -1.

        The farther a guess is from where its object is expected, the more must speak for it, at first.
        """
        s, poses, owner = self.settings, [], []
        for i in which:
            cover = occlusion.smaller(covers[i], view.ground.shape)
            size = float(np.sqrt(abs(np.linalg.det(expected.matrix[i]))))
            poses.append(redetect.search(self._finder(int(i)), view, cover, s.match, 3, size))
            owner += [i] * len(poses[-1].position)
        if not owner:
            return None
        guess = self._try(view, np.array(owner), join(*poses), covers, wild=True)
        news = (guess.gain > s.news) & (guess.share > s.reseen)
        apart = np.linalg.norm(guess.fit.pose.position - expected.position[guess.which], axis=1)
        far = apart / (apart + s.leap + s.pace * lost[guess.which])
        return guess._replace(score=np.where(news, guess.score - s.doubt * far, -1.0))

    def _finder(self, i: int) -> redetect.Finder:
        if i not in self._finders:
            t, s = self.templates, self.settings
            shape = self.first.ground.shape
            self._finders[i] = redetect.build_finder(t.samples[i], t.weight[i], t.colours[i], shape, s.turns, s.sizes)
        return self._finders[i]

    def _try(self, view: View, which: Index, start: Pose, covers: list[F32 | None], wild: bool = False) -> Guess:
        s, far = self.settings, np.full(len(which), wild)
        seen = self.in_view(which, start, covers)
        scales = (s.wide,) * 4 + (s.match,) * 2
        fit = align(view.fine, self.templates, which, start, seen, self._prior(start, far), s.noise, scales)
        return self.judge(view, which, far, fit, seen)

    def finish(self, view: View, which: Index, start: Pose, wild: Bools, covers: list[F32 | None]) -> tuple[Guess, F64]:
        """Last steps of the chosen guesses, and how single points moved beside their objects."""
        s = self.settings
        seen = self.in_view(which, start, covers)
        scales = (s.match,) * 4
        fit = align(view.fine, self.templates, which, start, seen, self._prior(start, wild), s.noise, scales)
        local = local_shifts(self.near, self.templates, which, fit, seen)
        return self.judge(view, which, wild, fit, seen), local

    def _prior(self, start: Pose, wild: Bools) -> Prior:
        s, more = self.settings, np.where(wild, 3.0, 1.0)
        return Prior(start, s.shift * more, s.size * more, s.turn * more, s.stretch)

    def in_view(self, which: Index, pose: Pose, covers: list[F32 | None]) -> F64:
        """How much of each sample is in view, by what is in front, `[C, K]`."""
        at = pose.carry(self.templates.samples[which])
        out = np.ones(at.shape[:2])
        for c, i in enumerate(which):
            cover = covers[i]
            if cover is not None:
                out[c] = read(cover, (at[c : c + 1] + 0.5) / occlusion.COVER - 0.5)[0]
        return out

    def judge(self, view: View, which: Index, wild: Bools, fit: Fit, seen: F64) -> Guess:
        mass = self.templates.weight[which] * seen * (fit.match > 0)  # a match of zero is outside the frame
        total = np.maximum(mass.sum(1), 1.0)
        ground = read(view.ground, (fit.at + 0.5) / CELL - 0.5)
        match = (mass * fit.match).sum(1) / total
        gain = (mass * (fit.match - ground)).sum(1) / total
        share = mass.sum(1) / np.maximum(self.templates.total[which], 1e-9)
        return Guess(which, wild, fit, match + self.settings.gain * gain, share, gain)

    def accepted(self, guess: Guess) -> Bools:
        s = self.settings
        return np.asarray(self.exists[guess.which] & (guess.score > s.found) & (guess.share > s.seen))

    def _best(self, guess: Guess) -> Index:
        """For each object the index of its best guess, the first of equals. `[N]`"""
        scores = np.where(guess.which[None] == np.arange(len(self.masks))[:, None], guess.score[None], -np.inf)
        return np.asarray(scores.argmax(1))


def _joined(a: Guess, b: Guess) -> Guess:
    both = [np.concatenate([x, y]) for x, y in zip(a.fit[1:], b.fit[1:], strict=True)]
    fit = Fit(join(a.fit.pose, b.fit.pose), both[0], both[1], both[2])
    rest = [np.concatenate([x, y]) for x, y in zip(a[3:], b[3:], strict=True)]
    return Guess(np.concatenate([a.which, b.which]), np.concatenate([a.wild, b.wild]), fit, rest[0], rest[1], rest[2])
