"""A bank of Bayesian linear regressions of log cost, weighed by how well they predict it."""

from __future__ import annotations

from collections.abc import Sequence
from math import log, sqrt
from typing import Any

import numpy as np

from ..state import Remembers
from . import curves
from .curves import SHAPE
from .features import AWARE, BLIND, LEVEL, MEMBERS, THEORY

FLAT_LOGWEIGHT, BLIND_LOGWEIGHT = -2.0, -3.0  # theory explains most matrices: the others start with less weight
MEAN = np.array([0.0, 0, 0, 0, 1, 0, 0])
VARIANCE = np.array([1.0, 1, 0.5, 0.5, 0.3, 0.3, 0.5]) ** 2
NOISE, LEAST_NOISE = 0.01, 0.0015  # variance of a log cost: first guess, and what counting in integers leaves
FORGET = 0.995  # of the evidence for members, a solve
OUTLIER = 3.0  # standard deviations beyond which a surprise counts no more
DRIFT = 5e-4  # of the coefficients' prior variance, a solve
REVERT = 0.05  # of the way back to the prior, every eighth solve: shapes that blind members learned
BELOW, ABOVE, MOST = 0.4, 1.0, 3.0  # log of a first cost against theory: standard deviations; most that it can count
FAMILIES = range(AWARE), range(AWARE, MEMBERS)  # those that heed the context, and those that don't
TOLL = 0.2  # evidence that members pay for a context that moves or a cost that drifts, lest they explain noise by it


class Bank(Remembers):
    """Kalman filters with drift, one a member, averaged by likelihoods that are slowly forgotten.

    Member k explains log cost by w·(z, c(u − v_k)) with features z of the level and curves c of the shape around its
    own minimiser v_k.  The blind members know no context, so z = (1, 0, 0, 0) for them.
    """

    _remembered = ("weights", "P", "logw", "noise", "scale", "features", "slots", "mu")

    def __init__(self, u: np.ndarray, safe: int) -> None:
        self._curves, self._u_safe = curves.shapes(u), float(u[safe])
        self.weights = np.tile(MEAN, (MEMBERS, 1))
        self.P = np.tile(np.diag(VARIANCE), (MEMBERS, 1, 1))
        self.logw = np.array([0.0] * THEORY + [FLAT_LOGWEIGHT] + [BLIND_LOGWEIGHT] * len(BLIND))
        self.noise = np.full(2, NOISE)
        self.scale = 0.0
        self.features = np.zeros((MEMBERS, LEVEL + SHAPE))
        self.features[:, 0] = 1.0
        self.slots = np.zeros(MEMBERS, dtype=int)
        self.mu, self.mean = np.zeros((MEMBERS, len(u))), np.zeros(len(u))
        self._around: tuple[np.ndarray | None, np.ndarray] = (None, self._curves)  # slots, and their curves
        self._seen: tuple[int, np.ndarray, list[float]] | None = None  # what `_look` has found since `heed`

    def _adopt(self, checked: dict[str, Any]) -> None:
        super()._adopt(checked)
        self._seen = None

    def heaviest(self) -> int:
        """The member that has predicted best of late."""
        return int(self.logw.argmax())

    def heed(self, level: Sequence[float], slots: np.ndarray | None) -> None:
        """Take the features of the coming solve's level, and its minimisers, None where those are as before."""
        self.features[:AWARE, :LEVEL] = level
        if slots is not None:
            self.slots = slots
        self._seen = None

    def _shapes(self) -> np.ndarray:
        """Every member's curves, shape (members, SHAPE, len(u))."""
        if self._around[0] is not self.slots:
            self._around = self.slots, self._curves[self.slots]
        return self._around[1]

    def _look(self, i: int) -> tuple[np.ndarray, list[float]]:
        """P x, what a cost at the i-th u tells of every coefficient, and xᵀP x, the variance that this explains."""
        if self._seen is None or self._seen[0] != i:
            x = self.features
            x[:, LEVEL:] = self._shapes()[:, :, i]
            Px = np.matmul(self.P, x[:, :, None])[:, :, 0]
            self._seen = i, Px, np.einsum("ij,ij->i", Px, x).tolist()
        return self._seen[1:]

    def predict(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean of log cost at every u, and the standard deviation of the members' means around it."""
        mu = np.matmul(self.weights[:, None, LEVEL:], self._shapes())[:, 0]
        mu += np.einsum("ij,ij->i", self.weights[:, :LEVEL], self.features[:, :LEVEL])[:, None]
        p = np.exp(self.logw)
        p /= np.add.reduce(p)
        self.mu, self.mean = mu, p @ mu
        spread = mu - self.mean
        spread *= spread
        return self.mean, np.sqrt(p @ spread)

    def counterpart(self, i: int, y: float, j: int) -> float:
        """Log cost at the j-th u of the solve that cost `y` at the i-th, as the heaviest member sees it.

        Its surprise is the solve's own, and counts for every ω, as far as it isn't a coefficient's that tells i and j
        apart.  At i itself: what was predicted.
        """
        if i == j:
            return float(self.mean[j])
        h = self.heaviest()
        Px, explained = self._look(i)
        d = explained[h] + float(self.noise[int(h >= AWARE)])
        c = self._shapes()[h]
        shared = d + float((c[:, j] - c[:, i]) @ Px[h, LEVEL:])
        bound = OUTLIER * sqrt(d)
        surprise = min(max(y - float(self.mean[i]), -bound), bound)
        return float(self.mean[j]) + shared / d * surprise

    def learn(self, i: int, y: float, loss: float, rounds: int, toll: float) -> None:
        """One step of every member's filter, and of their weights: log cost `y` at the i-th u."""
        (Px, explained), self._seen = self._look(i), None
        r = (y - self.mu[:, i]).tolist()
        if rounds == 1:
            self.weights[:, 0] += r
            r = [0.0] * MEMBERS
            self.logw -= self._implausible(y)
        self.scale += (loss - self.scale) * max(0.01, 1.0 / rounds)
        aware, blind = self.noise.tolist()
        blind /= min(max(loss / self.scale, 0.1), 10.0)  # a mean of costs, not of their logs
        d = [q + (aware if k < AWARE else blind) for k, q in enumerate(explained)]
        logw = self.logw.tolist()
        for family, which in enumerate(FAMILIES):
            h = max(which, key=logw.__getitem__)
            self._follow_noise(family, r[h] ** 2, explained[h], d[h], rounds)
        self.logw[:] = _weighed(logw, r, d, TOLL * min(1.0, toll))
        bounds = [OUTLIER * sqrt(variance) for variance in d]
        self.weights += Px * np.array([min(max(a, -b), b) / c for a, b, c in zip(r, bounds, d)])[:, None]
        self.P -= (Px / np.array(d)[:, None])[:, :, None] * Px[:, None, :]
        if rounds % 8 == 0:
            variances = np.einsum("kii->ki", self.P)
            variances += np.where(variances < VARIANCE, 8 * DRIFT * VARIANCE, 0.0)
            shapes = self.weights[AWARE:, LEVEL:]
            shapes += REVERT * (MEAN[LEVEL:] - shapes)

    def _implausible(self, y: float) -> np.ndarray:
        """What a first log cost at the safe ω says against every member.

        Right on model problems, where costs are iterations per digit; too low on rough coefficients, hence the sides.
        """
        v = curves.V_MIN + curves.V_STEP * self.slots
        r = y - np.log(np.log(10.0) * curves.iterations(self._u_safe - v, v))
        return np.minimum(0.5 * (r / np.where(r < 0.0, BELOW, ABOVE)) ** 2, MOST)

    def _follow_noise(self, family: int, r2: float, explained: float, d: float, rounds: int) -> None:
        """Noise as the heaviest member of a family sees it; where even that is surprised, shapes are reopened.

        When it rises, blind members took the costs so far too seriously, and go back towards the prior.

        Parameters
        ----------
        r2, explained, d : float
            That member's surprise, squared; the variances of its prediction, and of the cost.
        """
        old = noise = float(self.noise[family])
        g, step = noise / d, max(0.05, 1.0 / (rounds + 2))
        noise += step * (min(r2, 16.0 * d) * g * g + explained * g - noise)
        self.noise[family] = max(noise, LEAST_NOISE)
        if family == 1 and noise > old:
            shapes, rise = self.weights[AWARE:, LEVEL:], 1.0 - old / noise
            shapes += rise * (MEAN[LEVEL:] - shapes)
            variances = np.einsum("kii->ki", self.P)[AWARE:, LEVEL:]
            variances += rise * np.maximum(VARIANCE[LEVEL:] - variances, 0.0)
        if r2 / d > 16.0 and rounds > 3:
            for i in range(LEVEL, LEVEL + SHAPE):
                self.P[FAMILIES[family], i, i] += 0.1 * VARIANCE[i]


def _weighed(logw: list[float], r: list[float], d: list[float], toll: float) -> list[float]:
    """Members' evidence after surprises of `r`, whose variances were `d`; the largest is 0."""
    found = [FORGET * w - 0.25 * (min(a * a / b, 16.0) + log(b)) - (toll if k < AWARE else 0.0)
             for k, (w, a, b) in enumerate(zip(logw, r, d))]  # fmt: skip
    top = max(found)
    return [max(w - top, -20.0) for w in found]
