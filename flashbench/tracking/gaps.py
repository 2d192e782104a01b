"""Frames on which an object was not recognised: it is followed as a blob where one is seen.

Where none is, it is put on a smooth way between the places where it was recognised last and next, and counts as
hidden if hardly any of it would be in view there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from flashbench.tracking import occlusion
from flashbench.tracking.follow import Follower, State
from flashbench.tracking.matched import Sight, everywhere, grid, look, peak
from flashbench.tracking.similarity import F64, Bools, Index, Pose
from flashbench.tracking.template import F32, compare
from flashbench.tracking.views import CELL, View

NEAR = 3  # cells round where a blob is expected that it is looked for
EVERY = 4  # frames between looks all over the frame for a blob that is not seen
SPEED = 6  # frames that an object's velocity at the end of a gap is taken over
FADING = 0.97  # of the memory that an object was crisp, a frame


class Gap(NamedTuple):
    """For each object the last frame before this one on which it was recognised, and the next after it (-1: none)."""

    before: Index
    after: Index


def fill(follower: Follower, states: list[State], front: F64) -> None:
    """Replaces the states of objects that were not recognised, in place. `front`: see `occlusion.in_front`."""
    known = np.stack([state.found for state in states])  # [T, N]
    gaps = [_gap(known, t) for t in range(len(known))]
    for t in range(1, len(states)):
        states[t] = _between(states, known, gaps[t], t, follower.exists & ~known[t])
    blobs = _Blobs(follower)
    for t in range(1, len(states)):
        lost = follower.exists & ~known[t]
        blobs.forget(~lost)
        if lost.any():
            states[t] = blobs.filled(states, gaps[t], t, np.nonzero(lost)[0], front[t])


def _gap(known: Bools, t: int) -> Gap:
    return Gap(t - known[t::-1].argmax(0), np.where(known[t:].any(0), t + known[t:].argmax(0), -1))


def _between(states: list[State], known: Bools, gap: Gap, t: int, lost: Bools) -> State:
    """The state of frame t with lost objects on their way; after the last sighting guesses stay.

    The way is a cubic curve that leaves and arrives half in the direction of the object's motion, half straight.
    """
    matrix, position = states[t].pose.matrix.copy(), states[t].pose.position.copy()
    for i in np.nonzero(lost & (gap.after > 0))[0]:
        first, last = int(gap.before[i]), int(gap.after[i])
        a, b, u = states[first].pose, states[last].pose, (t - first) / (last - first)
        matrix[i] = (1 - u) * a.matrix[i] + u * b.matrix[i]
        way = b.position[i] - a.position[i]
        leave = (way + (last - first) * _speed(states, known[:, i], first, -1, int(i))) / 2
        arrive = (way + (last - first) * _speed(states, known[:, i], last, 1, int(i))) / 2
        straight = a.position[i] + (3 * u**2 - 2 * u**3) * way
        position[i] = straight + (u**3 - 2 * u**2 + u) * leave + (u**3 - u**2) * arrive
    return states[t]._replace(pose=Pose(matrix, position))


def _speed(states: list[State], known: Bools, t: int, side: int, i: int) -> F64:
    """Mean velocity `[2]` px a frame of object i over the `known` frames just before (side -1) or after (1) frame t."""
    n = 0
    while n < SPEED and 0 <= t + side * (n + 1) < len(states) and known[t + side * (n + 1)]:
        n += 1
    far = states[t + side * n].pose.position[i]
    return np.asarray((far - states[t].pose.position[i]) / (side * max(n, 1)))


class _Blobs:
    """Blobs of N objects from frame to frame.

    Attributes:
        seen: bool `[N]`: on the frame before; met: bool `[N]`: anywhere in this gap.
        place: `[N, 2]` px, where it was seen last; velocity: `[N, 2]` px a frame.
    """

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        n = len(follower.masks)
        self.seen, self.met = np.zeros(n, bool), np.zeros(n, bool)
        self.place, self.velocity = np.zeros((n, 2)), np.zeros((n, 2))

    def forget(self, which: Bools) -> None:
        """Ends the gaps of the objects `which` `[N]`."""
        self.seen[which] = self.met[which] = False

    def filled(self, states: list[State], gap: Gap, t: int, lost: Index, front: F64) -> State:
        """The state of frame t with what is seen, or known to be hidden, of the objects `lost`."""
        here, f, view = states[t], self.follower, self.follower.views.at(t)
        covers = occlusion.covers(f.masks, f.templates, here.pose, front, here.found)
        pose = Pose(here.pose.matrix.copy(), here.pose.position.copy())
        found, score, local = here.found.copy(), here.score.copy(), here.local.copy()
        for i in lost:
            if t == gap.before[i] + 1:
                self.place[i], self.velocity[i] = states[t - 1].pose.position[i], states[t - 1].velocity[i]
            if self.met[i] and gap.after[i] < 0:  # rather where its blob was than where it was going before
                pose.position[i] = self.place[i]
            worth = self._least(states, int(gap.before[i]), int(i), t)
            since = min(t - gap.before[i], gap.after[i] - t if gap.after[i] > 0 else t)
            if not self._spot(view, covers[i], int(i), pose, int(since), worth):
                continue
            found[i] = True
            sharp, shift = f.finish(view, np.array([i]), pose.take(np.array([i])), np.zeros(1, bool), covers)
            if f.accepted(sharp)[0]:
                pose.matrix[i], pose.position[i] = sharp.fit.pose.matrix[0], sharp.fit.pose.position[0]
                score[i], local[i] = sharp.score[0], shift[0]
        near = (t - gap.before <= f.settings.blind) | ((gap.after > 0) & (gap.after - t <= f.settings.blind))
        hidden = f.exists & ~found & near & self._hidden(view, pose, covers)
        return here._replace(pose=pose, found=found, score=score, local=local, hidden=hidden)

    def _least(self, states: list[State], before: int, i: int, t: int) -> float:
        """How like a blob must be. What was crisp, and is gone at once, is rather hidden than blurred."""
        s = self.follower.settings
        crisp = float(np.mean([states[k].score[i] for k in range(max(0, before - 9), before + 1)]))
        return s.like + s.crisp * max(0.0, crisp * FADING ** (t - before) - s.found)

    def _spot(self, view: View, cover: F32 | None, i: int, pose: Pose, since: int, least: float) -> bool:
        """Puts `pose.position[i]` where the blob of object i is, if it is seen.

        The farther from where the object is expected, the more must speak for it. `since`: frames to where the object
        was recognised; `least`: likeness that it takes at least.
        """
        s, f = self.follower.settings, self.follower
        ahead = self.place[i] + self.velocity[i]
        expected = pose.position[i].copy()
        places = np.concatenate([grid(ahead, NEAR, 1), grid(expected, NEAR, 1)])
        if not self.seen[i] and since % EVERY == 0:
            places = np.concatenate([places, everywhere(f.views.size, 2)])
        found = self._look(view, cover, i, pose.matrix[i], places)
        apart = np.linalg.norm(places - expected, axis=1)
        worth = found.likeness - s.doubt * apart / (apart + s.leap + s.pace * since)
        worth[(found.share < s.whole) | (found.strength < s.strength)] = -1
        was, self.seen[i] = self.seen[i], worth.max() > least
        if not self.seen[i]:
            return False
        around = grid(places[int(worth.argmax())], 1, 1)
        pose.position[i] = around[4] + CELL * peak(self._look(view, cover, i, pose.matrix[i], around).likeness)
        self.velocity[i] = 0.6 * self.velocity[i] + 0.4 * (pose.position[i] - self.place[i]) if was else 0.0
        self.place[i], self.met[i] = pose.position[i], True
        return True

    def _look(self, view: View, cover: F32 | None, i: int, matrix: F64, places: F64) -> Sight:
        pose = Pose(np.broadcast_to(matrix, (len(places), 2, 2)), places)
        small = occlusion.smaller(cover, view.ground.shape)
        return look(self.follower.blobs, view, np.full(len(places), i), pose, small, self.follower.views.size)

    def _hidden(self, view: View, pose: Pose, covers: list[F32 | None]) -> Bools:
        """Whether hardly any of each object would be in view in these poses, and that little is not the background."""
        f, everyone = self.follower, np.arange(len(covers))
        fit = compare(view.fine, f.templates, everyone, pose, f.settings.match)
        guess = f.judge(view, everyone, everyone < 0, fit, f.in_view(everyone, pose, covers))
        denied = (guess.gain < f.settings.denied) & (guess.share > f.settings.telling)
        return np.asarray((guess.share < f.settings.sliver) & ~denied)
