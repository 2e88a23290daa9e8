"""A bank of Bayesian linear regressions of log cost, weighed by how well they predict it."""

from __future__ import annotations

from math import sqrt

import numpy as np

from ..state import Remembers
from . import curves
from .curves import SHAPE
from .features import AWARE, BLIND, LEVEL, MEMBERS, THEORY, Reading

FLAT_LOGWEIGHT, BLIND_LOGWEIGHT = -2.0, -3.0  # theory explains most matrices: the others start with less weight
MEAN = np.array([0.0, 0, 0, 0, 1, 0, 0])
VARIANCE = np.array([1.0, 1, 0.5, 0.5, 0.3, 0.3, 0.5]) ** 2
NOISE, LEAST_NOISE = 0.01, 0.0015  # variance of a log cost: first guess, and what counting in integers leaves
FORGET = 0.995  # of the evidence for members, a solve
OUTLIER = 3.0  # standard deviations beyond which a surprise counts no more
DRIFT = 5e-4  # of the coefficients' prior variance, a solve
REVERT = 0.05  # of the way back to the prior, every eighth solve: shapes that blind members learned
BELOW, ABOVE, MOST = 0.4, 1.0, 3.0  # log of a first cost against theory: standard deviations; most that it can count
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

    def heaviest(self) -> int:
        """The member that has predicted best of late."""
        return int(self.logw.argmax())

    def heed(self, reading: Reading) -> None:
        """Take the features of the coming solve."""
        self.features[:AWARE, :LEVEL] = reading.level
        self.slots = reading.slots

    def predict(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean of log cost at every u, and the standard deviation of the members' means around it."""
        mu = np.matmul(self.weights[:, None, LEVEL:], self._curves[self.slots])[:, 0]
        mu += np.einsum("ij,ij->i", self.weights[:, :LEVEL], self.features[:, :LEVEL])[:, None]
        p = np.exp(self.logw)
        p /= p.sum()
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
        x, c = self.features[h], self._curves[self.slots[h]]
        x[LEVEL:] = c[:, i]
        Px, noise = self.P[h] @ x, float(self.noise[int(h >= AWARE)])
        d = float(x @ Px) + noise
        shared = d + float((c[:, j] - x[LEVEL:]) @ Px[LEVEL:])
        bound = OUTLIER * sqrt(d)
        surprise = min(max(y - float(self.mean[i]), -bound), bound)
        return float(self.mean[j]) + shared / d * surprise

    def learn(self, i: int, y: float, loss: float, rounds: int, toll: float) -> None:
        """One step of every member's filter, and of their weights: log cost `y` at the i-th u."""
        x = self.features
        x[:, LEVEL:] = self._curves[self.slots, :, i]
        r = y - self.mu[:, i]
        if rounds == 1:
            self.weights[:, 0] += r
            r[:] = 0.0
            self.logw -= self._implausible(y)
        Px = np.matmul(self.P, x[:, :, None])[:, :, 0]
        q = np.einsum("ij,ij->i", Px, x)
        self.scale += (loss - self.scale) * max(0.01, 1.0 / rounds)
        d = q.copy()
        d[:AWARE] += self.noise[0]
        d[AWARE:] += self.noise[1] / min(max(loss / self.scale, 0.1), 10.0)  # a mean of costs, not of their logs
        z2 = r * r / d
        self._follow_noise(0, slice(0, AWARE), r, q, d, z2, rounds)
        self._follow_noise(1, slice(AWARE, MEMBERS), r, q, d, z2, rounds)
        self.logw *= FORGET
        self.logw -= 0.25 * (np.minimum(z2, 16.0) + np.log(d))
        self.logw[:AWARE] -= TOLL * min(1.0, toll)
        self.logw -= self.logw.max()
        np.maximum(self.logw, -20.0, out=self.logw)
        bound = OUTLIER * np.sqrt(d)
        gain = Px / d[:, None]
        self.weights += gain * np.maximum(np.minimum(r, bound), -bound)[:, None]
        self.P -= gain[:, :, None] * Px[:, None, :]
        if rounds % 8 == 0:
            variances = np.einsum("kii->ki", self.P)
            variances += np.where(variances < VARIANCE, 8 * DRIFT * VARIANCE, 0.0)
            blind = self.weights[AWARE:, LEVEL:]
            blind += REVERT * (MEAN[LEVEL:] - blind)

    def _implausible(self, y: float) -> np.ndarray:
        """What a first log cost at the safe ω says against every member.

        Right on model problems, where costs are iterations per digit; too low on rough coefficients, hence the sides.
        """
        v = curves.V_MIN + curves.V_STEP * self.slots
        r = y - np.log(np.log(10.0) * curves.iterations(self._u_safe - v, v))
        return np.minimum(0.5 * (r / np.where(r < 0.0, BELOW, ABOVE)) ** 2, MOST)

    def _follow_noise(self, family: int, which: slice, r, q, d, z2, rounds: int) -> None:
        """Noise as the heaviest member of a family sees it; where even that is surprised, shapes are reopened.

        When it rises, blind members took the costs so far too seriously, and go back towards the prior.
        """
        h = which.start + int(self.logw[which].argmax())
        old = noise = float(self.noise[family])
        g = noise / float(d[h])
        step = max(0.05, 1.0 / (rounds + 2))
        noise += step * (min(float(r[h]) ** 2, 16.0 * float(d[h])) * g * g + float(q[h]) * g - noise)
        self.noise[family] = max(noise, LEAST_NOISE)
        if family == 1 and noise > old:
            shapes, rise = self.weights[which, LEVEL:], 1.0 - old / noise
            shapes += rise * (MEAN[LEVEL:] - shapes)
            variances = np.einsum("kii->ki", self.P)[which, LEVEL:]
            variances += rise * np.maximum(VARIANCE[LEVEL:] - variances, 0.0)
        if z2[h] > 16.0 and rounds > 3:
            self.P[which, range(LEVEL, LEVEL + SHAPE), range(LEVEL, LEVEL + SHAPE)] += 0.1 * VARIANCE[LEVEL:]
