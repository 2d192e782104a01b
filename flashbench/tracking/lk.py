"""The tracker `lk`: OpenCV's pyramidal Lucas-Kanade, held to frame 0 by template alignment. Needs no weights."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Case
from flashbench.tracking import occlusion, redetect
from flashbench.tracking.protocol import ObjectTracks, Video
from flashbench.tracking.similarity import F64, Pose, fit_similarity, join, modes, similar_part
from flashbench.tracking.template import F32, Fit, Prior, Templates, align, build, read
from flashbench.tracking.views import CELL, View, Views

VERSION = 1
U8 = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Settings:
    scale: int = 256
    points: int = 24
    samples: int = 240
    window: int = 17
    pyramid: int = 2
    sigma: float = 1.5
    shift: float = 4.0
    turn: float = 0.08
    size: float = 0.03
    stretch: float = 0.06
    noise: float = 0.06
    match: float = 0.15
    found: float = 0.35
    weak: float = 0.7
    news: float = 0.1
    news_weight: float = 0.3
    turns: tuple[float, ...] = (-0.3, 0.0, 0.3)
    sizes: tuple[float, ...] = (0.7, 1.0, 1.4)


class LKTracker:
    name = "lk"

    def __init__(self, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()

    @property
    def fingerprint(self) -> str:
        facts = {"version": VERSION, "opencv": cv2.__version__, **dataclasses.asdict(self.settings)}
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def track(self, video: Video, case: Case) -> ObjectTracks:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            return _Run(self.settings, video, case).run()
        finally:
            cv2.setNumThreads(threads)


class State(NamedTuple):
    pose: Pose
    velocity: F64  # [N, 2] px a frame
    found: Bools  # [N]
    score: F64  # [N]
    share: F64  # [N]


class _Run:
    def __init__(self, s: Settings, video: Video, case: Case) -> None:
        self.s = s
        self.video = video
        self.case = case
        t, h, w = video.shape[:3]
        self.T, self.N = t, len(case.objects)
        self.views = Views(video, s.scale, s.sigma, s.match)
        self.factor, self.size = self.views.factor, self.views.size
        self.raw = np.stack([o.masks[0] if o.masks is not None else np.zeros((h, w), bool) for o in case.objects])
        self.soft = [np.asarray(cv2.resize(m.astype(np.float32), (self.size[1], self.size[0]), interpolation=cv2.INTER_LINEAR)) for m in self.raw]
        self.soft = [np.asarray(cv2.GaussianBlur(m, (0, 0), self.factor * 0.4), np.float32) if self.factor > 1 else m for m in self.soft]
        self.first = self.views.at(0)
        self.tpl = build(self.first.levels, self.soft, max(1.0, self.factor), s.samples)
        self.exists = self.tpl.weight.sum(1) > 0
        self.lk_points = self._lk_points()
        self.finders: list[redetect.Finder | None] = [None] * self.N
        self.searches = 0

    def _finder(self, i):
        if self.finders[i] is None:
            s = self.s
            self.finders[i] = redetect.build_finder(
                self.tpl.samples[i], self.tpl.weight[i], self.tpl.levels[-1].colours[i], self.first.ground.shape, s.turns, s.sizes)
        return self.finders[i]

    def _lk_points(self) -> tuple[F64, F64]:
        """[N, P, 2] relative to middle, weight [N, P]."""
        s = self.s
        pts = np.zeros((self.N, s.points, 2))
        wt = np.zeros((self.N, s.points))
        for i in range(self.N):
            m = (self.soft[i] > 0.5).astype(np.uint8)
            got = cv2.goodFeaturesToTrack(self.first.gray, s.points // 2, 0.02, self.factor, mask=m, blockSize=5)
            a = np.zeros((0, 2)) if got is None else got.reshape(-1, 2).astype(np.float64)
            grid = self.tpl.samples[i][self.tpl.weight[i] > 0] + self.tpl.middle[i]
            k = s.points - len(a)
            if len(grid):
                pick = np.unique(np.linspace(0, len(grid) - 1, k).round().astype(int))
                a = np.concatenate([a, grid[pick]])
            pts[i, : len(a)] = a - self.tpl.middle[i]
            wt[i, : len(a)] = 1
        return pts, wt

    def run(self) -> ObjectTracks:
        N, T = self.N, self.T
        state = State(Pose(np.tile(np.eye(2), (N, 1, 1)), self.tpl.middle.copy()), np.zeros((N, 2)), self.exists.copy(), np.ones(N), np.ones(N))
        self.states = [state]
        E = np.zeros((N, N))
        self.ev = np.zeros((T, N, N))
        view = self.first
        for t in range(1, T):
            new = self.views.at(t)
            front = 1 / (1 + np.exp(-E / 2))
            state = self._step(view, new, state, front, t)
            self.states.append(state)
            self.ev[t] = self._evidence(new, state)
            E = np.clip(0.95 * E + self.ev[t], -20, 20)
            view = new
        self._order()
        self._back()
        return self._collect()

    def _evidence(self, view, state):
        ev = occlusion.evidence(self.tpl, self.soft, self.first.levels[-1], view.levels[-1], state.pose, 0.3)
        return np.clip(ev, -5, 5) * (state.found[:, None] & state.found[None])

    def _order(self):
        """Evidence of the past and the future together."""
        past, future = np.zeros_like(self.ev), np.zeros_like(self.ev)
        acc = np.zeros_like(self.ev[0])
        for t in range(self.T):
            acc = np.clip(0.95 * acc + self.ev[t], -20, 20); past[t] = acc
        acc = np.zeros_like(self.ev[0])
        for t in range(self.T - 1, -1, -1):
            acc = np.clip(0.95 * acc + self.ev[t], -20, 20); future[t] = acc
        self.fronts = 1 / (1 + np.exp(-(past + future - self.ev) / 2))

    def _step(self, view: View, new: View, state: State, front, t) -> State:
        s, N = self.s, self.N
        pose, velocity, found = state.pose, state.velocity, state.found
        lk, lk_share = self._flow(view.gray, new.gray, pose)
        lk_ok = (lk_share > 0.3) & found
        coast = Pose(pose.matrix, pose.position + velocity)
        flow = Pose(lk.matrix @ pose.matrix, np.einsum("nij,nj->ni", lk.matrix, pose.position) + lk.position)
        flow = Pose(np.where(lk_ok[:, None, None], flow.matrix, pose.matrix), np.where(lk_ok[:, None], flow.position, coast.position))
        covers = occlusion.covers(self.soft, self.tpl, coast, front, found, self.size)
        everyone = np.arange(N)
        fit, score, share, ground = self._try(new, np.tile(everyone, 2), join(flow, coast), np.zeros(2 * N, bool), covers)
        which = np.tile(everyone, 2)
        need = self.exists & (~found | (score.reshape(2, N).max(0) < s.weak) & ((t + everyone) % 3 == 0) & (share.reshape(2, N).max(0) > 0.2))
        cands = [(i, redetect.search(self._finder(i), new, None if covers[i] is None else covers[i][::2, ::2], s.match, 3)) for i in everyone[need]]
        wild = np.zeros(2 * N, bool)
        if sum(len(p.position) for _, p in cands):
            self.searches += len(cands)
            w2 = np.concatenate([np.full(len(p.position), i) for i, p in cands]).astype(np.int64)
            f2, sc2, sh2, g2 = self._try(new, w2, join(*(p for _, p in cands)), np.ones(len(w2), bool), covers)
            ok2 = (g2 > s.news) & (sh2 > 0.25)
            sc2 = np.where(ok2, sc2 - 0.05, -1)
            fit = Fit(join(fit.pose, f2.pose), np.concatenate([fit.match, f2.match]), np.concatenate([fit.at, f2.at]))
            score, share, ground = np.concatenate([score, sc2]), np.concatenate([share, sh2]), np.concatenate([ground, g2])
            which, wild = np.concatenate([which, w2]), np.concatenate([wild, np.ones(len(w2), bool)])
        best = np.array([np.nonzero(which == i)[0][np.argmax((score)[which == i])] for i in range(N)])
        mid = fit.pose.take(best)
        covers = occlusion.covers(self.soft, self.tpl, mid, front, score[best] > s.found, self.size)
        fit, score, share, ground = self._finish(new, everyone, mid, wild[best], covers)
        ok = self.exists & (score > s.found) & (share > 0.03)
        new_velocity = fit.pose.position - pose.position
        fresh = found & ok & ~wild[best]
        velocity = np.where(fresh[:, None], 0.6 * velocity + 0.4 * new_velocity, np.where(ok[:, None], 0 * velocity, velocity * 0.97))
        pose = Pose(np.where(ok[:, None, None], fit.pose.matrix, pose.matrix), np.where(ok[:, None], fit.pose.position, coast.position))
        return State(pose, velocity, ok, score, share)

    def _seen(self, which, start: Pose, covers):
        at = start.carry(self.tpl.samples[which])
        out = np.ones(at.shape[:2])
        for c, i in enumerate(which):
            if covers[i] is not None:
                out[c] = read(covers[i], (at[c] + 0.5) / 2 - 0.5)[:, 0]
        return out

    def _try(self, view: View, which, start: Pose, wild, covers):
        s = self.s
        seen = self._seen(which, start, covers)
        prior = self._prior(start, wild)
        fit = align(view.levels[1], self.tpl, 1, which, start, seen, prior, 0.3, s.noise, 4)
        fit = align(view.levels[1], self.tpl, 1, which, fit.pose, seen, prior, s.match, s.noise, 2)
        return fit, *self._score(view, fit, which, seen)

    def _finish(self, view: View, which, start: Pose, wild, covers):
        s = self.s
        seen = self._seen(which, start, covers)
        fit = align(view.levels[1], self.tpl, 1, which, start, seen, self._prior(start, wild), s.match, s.noise, 4)
        return fit, *self._score(view, fit, which, seen)

    def _prior(self, start: Pose, wild) -> Prior:
        s = self.s
        grow = np.where(wild, 3.0, 1.0)
        return Prior(start, np.where(wild, 12.0, s.shift), s.turn * grow, s.size * grow * 1.5, s.stretch)

    def _score(self, view: View, fit: Fit, which, seen):
        mass = self.tpl.weight[which] * seen
        h, w = self.size
        ins = (fit.at[..., 0] > -0.5) & (fit.at[..., 1] > -0.5) & (fit.at[..., 0] < w - 0.5) & (fit.at[..., 1] < h - 0.5)
        mass = mass * ins
        tot = np.maximum(mass.sum(1), 1.0)
        m = (mass * fit.match).sum(1) / tot
        g = (mass * (fit.match - read(view.ground, (fit.at + 0.5) / CELL - 0.5)[..., 0])).sum(1) / tot
        return m + self.s.news_weight * g, mass.sum(1) / np.maximum(self.tpl.weight[which].sum(1), 1e-9), g

    def _back(self):
        """Fills gaps from their far ends."""
        s, N, T = self.s, self.N, self.T
        active = np.zeros(N, bool)
        for t in range(T - 2, 0, -1):
            later, here = self.states[t + 1], self.states[t]
            weak = self.exists & later.found & (~here.found | (here.score < s.weak))
            if not weak.any():
                continue
            idx = np.nonzero(weak)[0]
            view, new = self.views.at(t + 1), self.views.at(t)
            after = self.states[min(t + 2, T - 1)]
            vel = np.where((after.found & later.found)[:, None], later.pose.position - after.pose.position, 0.0)
            lk, lk_share = self._flow(view.gray, new.gray, later.pose)
            flow = Pose(lk.matrix @ later.pose.matrix, np.einsum("nij,nj->ni", lk.matrix, later.pose.position) + lk.position)
            coast = Pose(later.pose.matrix, later.pose.position + vel)
            ok = lk_share > 0.3
            flow = Pose(np.where(ok[:, None, None], flow.matrix, coast.matrix), np.where(ok[:, None], flow.position, coast.position))
            current = Pose(np.where(here.found[:, None, None], here.pose.matrix, coast.matrix), np.where(here.found[:, None], here.pose.position, coast.position))
            front = self.fronts[t]
            covers = occlusion.covers(self.soft, self.tpl, current, front, self.exists, self.size)
            which = np.tile(idx, 2)
            start = join(flow.take(idx), coast.take(idx))
            fit, score, share, g = self._try(new, which, start, np.zeros(len(which), bool), covers)
            k = len(idx)
            pick = np.where(score[:k] >= score[k:], np.arange(k), np.arange(k) + k)
            fit, score, share, g = self._finish(new, idx, fit.pose.take(pick), np.zeros(k, bool), covers)
            seen = self._seen(idx, here.pose.take(idx), covers)
            old = align(new.levels[1], self.tpl, 1, idx, here.pose.take(idx), seen, self._prior(here.pose.take(idx), np.zeros(k, bool)), s.match, s.noise, 0)
            old_score = np.where(here.found[idx], self._score(new, old, idx, seen)[0], -1)
            use = (score > s.found) & (share > 0.03) & (score > old_score + 0.03)
            take = np.zeros(N, bool); take[idx[use]] = True
            full = Pose(here.pose.matrix.copy(), here.pose.position.copy())
            full.matrix[idx[use]], full.position[idx[use]] = fit.pose.matrix[use], fit.pose.position[use]
            sc, sh = here.score.copy(), here.share.copy()
            sc[idx[use]], sh[idx[use]] = score[use], share[use]
            self.states[t] = State(full, here.velocity, here.found | take, sc, sh)
            self.filled = getattr(self, "filled", 0) + int(use.sum())

    def _flow(self, prev, gray, pose: Pose):
        s = self.s
        rel, wt = self.lk_points
        at = pose.carry(rel)
        h, w = self.size
        p0 = np.ascontiguousarray(at.reshape(-1, 1, 2), np.float32)
        crit = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 12, 0.03)
        p1, ok1, _ = cv2.calcOpticalFlowPyrLK(prev, gray, p0, None, winSize=(s.window, s.window), maxLevel=s.pyramid, criteria=crit)
        p2, ok2, _ = cv2.calcOpticalFlowPyrLK(gray, prev, p1, None, winSize=(s.window, s.window), maxLevel=s.pyramid, criteria=crit)
        back = np.linalg.norm((p2 - p0).reshape(self.N, -1, 2), axis=-1)
        inn = (at[..., 0] > 0) & (at[..., 1] > 0) & (at[..., 0] < w - 1) & (at[..., 1] < h - 1)
        good = (back < 1.0) & (ok1.reshape(self.N, -1) > 0) & (ok2.reshape(self.N, -1) > 0) & inn
        return fit_similarity(at, p1.reshape(self.N, -1, 2).astype(np.float64), (wt > 0) & good, 2.0)

    def _collect(self) -> ObjectTracks:
        N, T, f = self.N, self.T, self.factor
        h, w = self.video.shape[1:3]
        masks = np.zeros((N, T, h, w), bool)
        centres = np.zeros((N, T, 2), np.float32)
        first = np.stack([o.path[0] for o in self.case.objects]).astype(np.float64)
        rel = ((first + 0.5) * f - 0.5 - self.tpl.middle)[:, None]
        P = max((len(o.points) if o.points is not None else 0) for o in self.case.objects)
        P = max(P, 1)
        q = np.tile(rel, (1, P, 1))
        for i, o in enumerate(self.case.objects):
            if o.points is not None and len(o.points):
                q[i, : len(o.points)] = (o.points[:, 0] + 0.5) * f - 0.5 - self.tpl.middle[i]
        points = np.zeros((N, P, T, 2), np.float32)
        pv = np.zeros((N, P, T), bool)
        for t in range(T):
            pose = self.states[t].pose
            centres[:, t] = ((pose.carry(rel)[:, 0] + 0.5) / f - 0.5)
            at = pose.carry(q)
            points[:, :, t] = (at + 0.5) / f - 0.5
            masks[:, t] = self.raw if t == 0 else occlusion.modal_masks(self.soft, self.tpl.middle, pose, self.fronts[t], self.states[t].found, (h, w), f)
            seen = occlusion.inside
            for i in range(N):
                cov = np.zeros(P)
                for j in range(N):
                    if j != i and self.states[t].found[j] and self.fronts[t][j, i] > 0.5:
                        cov = np.maximum(cov, seen(self.soft, self.tpl.middle, pose, j, at[i]))
                px = points[i, :, t]
                inn = (px[:, 0] > -0.5) & (px[:, 1] > -0.5) & (px[:, 0] < w - 0.5) & (px[:, 1] < h - 0.5)
                pv[i, :, t] = inn & (cov < 0.5) & self.states[t].found[i]
        visible = np.stack([q.found for q in self.states], 1) & masks.any((2, 3))
        boxes = np.zeros((N, T, 4), np.float32)
        for i in range(N):
            ys, xs = np.nonzero(self.raw[i])
            if not len(xs):
                boxes[i] = np.concatenate([centres[i] - 0.5, centres[i] + 0.5], axis=1)
                continue
            corners = np.concatenate([np.stack([xs + a, ys + b], 1) for a in (-0.5, 0.5) for b in (-0.5, 0.5)])
            hull = cv2.convexHull(corners.astype(np.float32)).reshape(-1, 2).astype(np.float64)
            hull = (hull + 0.5) * f - 0.5 - self.tpl.middle[i]
            for t in range(T):
                at = (self.states[t].pose.take(np.array([i])).carry(hull[None])[0] + 0.5) / f - 0.5
                boxes[i, t] = [*at.min(0), *at.max(0)]
        return ObjectTracks(centres, visible, masks, boxes, points, pv)
