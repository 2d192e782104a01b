"""The tracker `lk`: OpenCV's pyramidal Lucas-Kanade, held to frame 0 by template alignment. Needs no weights."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from flashbench.cases.schema import Case
from flashbench.tracking import occlusion, redetect
from flashbench.tracking.protocol import ObjectTracks, Video
from flashbench.tracking.similarity import F64, Pose, fit_similarity, join, modes, similar_part
from flashbench.tracking.template import F32, Fit, Prior, Templates, align, blurred, build

VERSION = 1
U8 = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Settings:
    scale: int = 256
    points: int = 40
    samples: int = 240
    window: int = 21
    pyramid: int = 3
    sigmas: tuple[float, ...] = (6.0, 2.5, 0.8)
    shift: float = 4.0
    turn: float = 0.08
    size: float = 0.03
    stretch: float = 0.06
    noise: float = 0.06
    match: float = 0.15
    found: float = 0.35
    lost: float = 0.5
    coast: int = 40


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


class _Run:
    def __init__(self, s: Settings, video: Video, case: Case) -> None:
        self.s = s
        self.video = video
        self.case = case
        t, h, w = video.shape[:3]
        self.T, self.N = t, len(case.objects)
        self.factor = s.scale / max(h, w)
        self.size = (max(1, round(h * self.factor)), max(1, round(w * self.factor)))
        self.raw = np.stack([o.masks[0] if o.masks is not None else np.zeros((h, w), bool) for o in case.objects])
        self.soft = [self._up(m.astype(np.float32), cv2.INTER_LINEAR) for m in self.raw]
        self.soft = [np.asarray(cv2.GaussianBlur(m, (0, 0), self.factor * 0.4), np.float32) if self.factor > 1 else m for m in self.soft]
        first = self._frame(0)
        self.first_levels = blurred(first, s.sigmas)
        self.tpl = build(self.first_levels, self.soft, max(1.0, self.factor), s.samples)
        self.first_gray = self._gray(0)
        self.lk_points = self._lk_points()
        cell = 4.0
        turns = (-0.3, 0.0, 0.3)
        sizes = (0.7, 1.0, 1.4)
        self.cell = cell
        self.finders = [
            redetect.build_finder(self.tpl.samples[i], self.tpl.weight[i], self.tpl.levels[-1].colours[i], cell, turns, sizes)
            if self.tpl.weight[i].sum() > 0 else None
            for i in range(self.N)
        ]

    def _up(self, image: npt.NDArray, how: int) -> npt.NDArray:
        return np.asarray(cv2.resize(image, (self.size[1], self.size[0]), interpolation=how))

    def _frame8(self, t: int) -> U8:
        return self._up(self.video[t], cv2.INTER_CUBIC if self.factor > 1 else cv2.INTER_AREA)

    def _frame(self, t: int) -> F32:
        return self._frame8(t).astype(np.float32) / np.float32(255)

    def _gray(self, t: int) -> U8:
        return np.asarray(cv2.cvtColor(self._frame8(t), cv2.COLOR_RGB2GRAY))

    def _lk_points(self) -> tuple[F64, F64]:
        """[N, P, 2] relative to middle, weight [N, P]."""
        s = self.s
        pts = np.zeros((self.N, s.points, 2))
        wt = np.zeros((self.N, s.points))
        for i in range(self.N):
            m = (self.soft[i] > 0.5).astype(np.uint8)
            got = cv2.goodFeaturesToTrack(self.first_gray, s.points // 2, 0.02, self.factor, mask=m, blockSize=5)
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
        s, N, T = self.s, self.N, self.T
        pose = Pose(np.tile(np.eye(2), (N, 1, 1)), self.tpl.middle.copy())
        velocity = np.zeros((N, 2))
        E = np.zeros((N, N))
        front = np.full((N, N), 0.5)
        found = self.tpl.weight.sum(1) > 0
        exists = found.copy()
        prev_gray = self.first_gray
        out_pose = [pose]
        out_found = [found.copy()]
        fronts = []
        self.log = []
        lost_for = np.zeros(N, int)
        scores = [np.ones(N)]
        for t in range(1, T):
            frame8 = self._frame8(t)
            levels = blurred(frame8.astype(np.float32) / np.float32(255), s.sigmas)
            gray = np.asarray(cv2.cvtColor(frame8, cv2.COLOR_RGB2GRAY))
            lk, lk_share = self._flow(prev_gray, gray, pose, front)
            lk_ok = (lk_share > 0.3) & found
            coast = Pose(pose.matrix, pose.position + velocity)
            lkp = Pose(lk.matrix @ pose.matrix, np.einsum("nij,nj->ni", lk.matrix, pose.position) + lk.position)
            lkp = Pose(np.where(lk_ok[:, None, None], lkp.matrix, pose.matrix), np.where(lk_ok[:, None], lkp.position, coast.position))
            cands = [(np.arange(N), lkp), (np.arange(N), coast)]
            # global
            for i in range(N):
                if exists[i] and not found[i]:
                    p, sh = redetect.search(self.finders[i], levels[1][2::4, 2::4], self.cell, s.match * 1.2, 3)
                    cands.append((np.full(len(sh), i), p))
            which = np.concatenate([c[0] for c in cands])
            start = join([c[1] for c in cands])
            order = self._unc(start, which, coast, front)
            wild = np.arange(len(which)) >= 2 * N
            prior = self._prior(start, which, coast, lost_for, wild)
            fit = align(levels[0], self.tpl, 0, which, start, order, prior, 0.4, s.noise, 3)
            fit = align(levels[1], self.tpl, 1, which, fit.pose, order, prior, 0.25, s.noise, 3)
            sc, sh = self._score(fit, which, order)
            sc = sc - 0.05 * wild
            best = np.array([np.nonzero(which == i)[0][np.argmax(sc[which == i])] for i in range(N)])
            mid = fit.pose.take(best)
            prior_b = Prior(prior.pose.take(best), prior.shift[best], prior.turn[best], prior.size[best], prior.stretch)
            seen = occlusion.uncovered(self.tpl, self.soft, mid, front)
            fit = align(levels[2], self.tpl, 2, np.arange(N), mid, seen, prior_b, s.match, s.noise, 4)
            sc, sh = self._score(fit, np.arange(N), seen)
            ok = exists & (sc > s.found) & (sh > 0.03)
            jumped = wild[best]
            new_velocity = fit.pose.position - pose.position
            fresh = found & ok & ~jumped
            velocity = np.where(fresh[:, None], 0.6 * velocity + 0.4 * new_velocity, np.where(ok[:, None], 0 * velocity, velocity * 0.97))
            new = Pose(np.where(ok[:, None, None], fit.pose.matrix, pose.matrix), np.where(ok[:, None], fit.pose.position, coast.position))
            lost_for = np.where(ok, 0, lost_for + 1)
            pose, found = new, ok
            ev = occlusion.evidence(self.tpl, self.soft, self.first_levels[2], levels[2], pose, 0.3)
            both = found[:, None] & found[None]
            E = np.clip(0.95 * E + np.clip(ev, -5, 5) * both, -20, 20)
            front = 1 / (1 + np.exp(-E / 2))
            out_pose.append(pose)
            out_found.append(found.copy())
            scores.append(sc)
            fronts.append(front)
            prev_gray = gray
        self.poses, self.founds = out_pose, np.stack(out_found, 1)
        self.fronts = [fronts[0], *fronts]
        self.scores = np.stack(scores, 1)
        return self._collect()

    def _unc(self, start: Pose, which, coast: Pose, front) -> F64:
        at = start.carry(self.tpl.samples[which])
        out = np.ones(at.shape[:2])
        pairs = occlusion.overlapping(self.tpl, coast)
        for c, i in enumerate(which):
            for (a, j) in pairs:
                if a == i and front[j, i] > 0.02:
                    out[c] *= 1 - front[j, i] * occlusion.inside(self.soft, self.tpl.middle, coast, j, at[c])
        return out

    def _prior(self, start: Pose, which, coast: Pose, lost_for, wild) -> Prior:
        s = self.s
        pose = Pose(start.matrix, start.position)
        grow = np.where(wild, 3.0, 1.0)
        return Prior(pose, np.where(wild, 12.0, s.shift) * np.ones(len(which)), s.turn * grow, s.size * grow * 1.5, s.stretch)

    def _score(self, fit: Fit, which, seen):
        mass = self.tpl.weight[which] * seen
        h, w = self.size
        ins = (fit.at[..., 0] > -0.5) & (fit.at[..., 1] > -0.5) & (fit.at[..., 0] < w - 0.5) & (fit.at[..., 1] < h - 0.5)
        mass = mass * ins
        tot = mass.sum(1)
        return (mass * fit.match).sum(1) / np.maximum(tot, 1.0), tot / np.maximum(self.tpl.weight[which].sum(1), 1e-9)

    def _flow(self, prev, gray, pose: Pose, front):
        s = self.s
        rel, wt = self.lk_points
        at = pose.carry(rel)
        h, w = self.size
        p0 = np.ascontiguousarray(at.reshape(-1, 1, 2), np.float32)
        crit = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 0.03)
        p1, ok1, _ = cv2.calcOpticalFlowPyrLK(prev, gray, p0, None, winSize=(s.window, s.window), maxLevel=s.pyramid, criteria=crit)
        p2, ok2, _ = cv2.calcOpticalFlowPyrLK(gray, prev, p1, None, winSize=(s.window, s.window), maxLevel=s.pyramid, criteria=crit)
        back = np.linalg.norm((p2 - p0).reshape(self.N, -1, 2), axis=-1)
        inn = (at[..., 0] > 0) & (at[..., 1] > 0) & (at[..., 0] < w - 1) & (at[..., 1] < h - 1)
        good = (back < 1.0) & (ok1.reshape(self.N, -1) > 0) & (ok2.reshape(self.N, -1) > 0) & inn
        return fit_similarity(at, p1.reshape(self.N, -1, 2).astype(np.float64), wt * good, 2.0)

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
            pose = self.poses[t]
            centres[:, t] = ((pose.carry(rel)[:, 0] + 0.5) / f - 0.5)
            at = pose.carry(q)
            points[:, :, t] = (at + 0.5) / f - 0.5
            masks[:, t] = self.raw if t == 0 else occlusion.modal_masks(self.soft, self.tpl.middle, pose, self.fronts[t], self.founds[:, t], (h, w), f)
            seen = occlusion.inside
            for i in range(N):
                cov = np.zeros(P)
                for j in range(N):
                    if j != i and self.founds[j, t] and self.fronts[t][j, i] > 0.5:
                        cov = np.maximum(cov, seen(self.soft, self.tpl.middle, pose, j, at[i]))
                px = points[i, :, t]
                inn = (px[:, 0] > -0.5) & (px[:, 1] > -0.5) & (px[:, 0] < w - 0.5) & (px[:, 1] < h - 0.5)
                pv[i, :, t] = inn & (cov < 0.5) & self.founds[i, t]
        visible = self.founds & masks.any((2, 3))
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
                at = (self.poses[t].take(np.array([i])).carry(hull[None])[0] + 0.5) / f - 0.5
                boxes[i, t] = [*at.min(0), *at.max(0)]
        return ObjectTracks(centres, visible, masks, boxes, points, pv)
