"""The default learner: theory with one unknown where theory holds, a regression where it doesn't."""

from math import isnan, log

import numpy as np

from .base import Choice, Learner, Space

EPSILON = np.exp(np.linspace(-7, -0.5, 8))  # what theory may leave unexplained: 1 − ρ² is blurred by it
FIXED = np.array([0.0, -0.8, -1.6, -2.4])  # minimisers of the members that ignore the context
STEP = 0.1  # of the grid of u; a cost changes by under 0.5 % of its curvature's worth within it
LEVEL, SHAPE = 4, 3
PRIOR_MEAN = np.array([0.0, 0, 0, 0, 1, 0, 0])
PRIOR_VAR = np.array([1.0, 1, 0.5, 0.5, 0.3, 0.3, 0.5]) ** 2
HALF_STEP = 8  # grid steps that a choice may go beyond what has been tried


class Auto(Learner):
    """Experts who know where the minimum of the cost lies from the matrix, and experts who learn it.

    Context: empty, one number of the user's, or (rho_max, rho_mean, asymmetry, digits, novelty), NaN where unknown:
    rho = 1 − rowsum/diagonal, its maximum and mean over a sample of rows; asymmetry = ½ log(Σ|lower|/Σ|upper|);
    digits = −log10 rtol; novelty = 0 when the matrix changed since the last solve, j at its j-th further solve.

    >>> learner, total = Auto(seed=1), 0.0
    >>> for _ in range(50):
    ...     choice = learner.choose((0.99, 0.98, 0.0, 8.0, 0.0))
    ...     cost = 1 + (choice.omega - 1.75) ** 2
    ...     learner.update(choice, cost)
    ...     total += cost
    >>> bool(total < 1.1 * 50)
    True
    """

    name = "auto"
    loss_range = "positive: effort per digit, or any other cost of a solve"
    default_range = (0.75, 1.976)
    _remembered = ("weights", "P", "logw", "noise", "rho_top", "low", "high")

    def __init__(self, *, space: Space = Space(), seed: int = 0):
        super().__init__(space=space, seed=seed)
        safe, ends = _u(space.omega), (_u(space.omega_max), _u(space.omega_min))
        below, above = int((safe - ends[0]) / STEP + 1e-9), int((ends[1] - safe) / STEP + 1e-9)
        self.safe = below
        self.u = safe + STEP * np.arange(-below, above + 1)
        self.omegas = 2 / (1 + np.exp(self.u))
        self.omegas[self.safe] = space.omega
        self.v = np.arange(-4.4, 0.51, 0.05)
        self.curves = _curves(self.u[None, :] - self.v[:, None], self.v[:, None])
        self.members = len(EPSILON) + len(FIXED)
        self.weights = np.tile(PRIOR_MEAN, (self.members, 1))
        self.P = np.tile(np.diag(PRIOR_VAR), (self.members, 1, 1))
        self.logw = np.where(np.arange(self.members) < len(EPSILON), 0.0, -1.0)
        self.noise = 0.01
        self.rho_top = 1.0
        self.low = self.high = self.safe
        self.known = None
        self._read(())

    def _choose(self, context):
        if context != self.known:
            self._read(context)
        if self.rounds == 0:
            return Choice(self.space.omega, self.safe, 1.0, False, context)
        mu = np.matmul(self.weights[:, None, LEVEL:], self.F)[:, 0]
        mu += (self.weights[:, :LEVEL] @ self.z)[:, None]
        p = np.exp(self.logw)
        mean = p @ mu
        mu -= mean
        mu *= mu
        score = mean - 0.7 * np.sqrt(p @ mu)
        a, b = max(0, self.low - HALF_STEP), self.high + HALF_STEP + 1
        window = score[a:b]
        near = (window <= window.min() + 0.002).nonzero()[0]
        i = a + int(near[int(self.rng.random() * len(near))])
        return Choice(float(self.omegas[i]), i, 1.0 / len(near), False, context)

    def _update(self, choice, loss):
        if choice.context != self.known:
            self._read(choice.context)
        i = choice.index
        self.low, self.high = min(self.low, i), max(self.high, i)
        y = log(loss + self.space.least)
        X = self.X
        X[:, LEVEL:] = self.F[:, :, i]
        r = y - np.einsum("ij,ij->i", self.weights, X)
        if self.rounds == 1:
            self.weights[:, 0] += r
            r[:] = 0
        PX = np.matmul(self.P, X[:, :, None])[:, :, 0]
        q = np.einsum("ij,ij->i", PX, X)
        h = int(self.logw.argmax())
        d = q + self.noise
        d[: len(EPSILON)] = q[: len(EPSILON)] + min(self.noise, 0.09)
        z2 = r * r / d
        qh, rh2 = q[h], r[h] ** 2
        dh = qh + self.noise
        g = self.noise / dh
        self.noise += max(0.05, 1 / (self.rounds + 2)) * (min(rh2, 16 * dh) * g * g + qh * g - self.noise)
        self.noise = max(self.noise, 0.0025)
        surprise = z2[h] > 16 and self.rounds > 3
        self.logw = 0.995 * self.logw - 0.25 * (np.minimum(z2, 16) + np.log(d))
        self.logw -= self.logw.max()
        self.logw -= log(np.exp(self.logw).sum())
        if surprise:
            self.P[:, range(LEVEL, 7), range(LEVEL, 7)] += 0.1 * PRIOR_VAR[LEVEL:]
        sd = 4 * np.sqrt(d)
        r = np.clip(r, -sd, sd)
        gain = PX / d[:, None]
        self.weights += gain * r[:, None]
        self.P -= gain[:, :, None] * PX[:, None, :]
        if self.rounds % 8 == 0:
            diag = np.einsum("kii->ki", self.P)
            diag += np.where(diag < PRIOR_VAR, 8 * 5e-4 * PRIOR_VAR, 0)

    def _read(self, context):
        """Context → where each member expects the minimum (its curves) and the features of the level."""
        self.known = context
        v = np.empty(self.members)
        v[len(EPSILON) :] = FIXED
        z = np.array([1.0, 0, 0, 0])
        if len(context) >= 2 and not isnan(context[0]):
            rho, rho_mean, asymmetry = context[:3]
            shrink = np.cosh(asymmetry)
            rho, rho_mean = rho / shrink, rho_mean / shrink
            self.rho_top = max(self.rho_top, rho)
            gap = 1 - (rho / self.rho_top) ** 2
            v[: len(EPSILON)] = 0.5 * np.log(gap + EPSILON)
            x = 0.5 * log(gap + 0.02) + 1
            xm = 0.5 * log(1.05 - min(rho_mean / self.rho_top, 1)) + 1
            z[1:] = x, x * x - 1, xm - x
        else:
            v[: len(EPSILON)] = 0.5 * np.log(EPSILON)
        index = np.clip(np.rint((v + 4.4) / 0.05), 0, len(self.v) - 1).astype(int)
        self.F = self.curves[index]
        self.z = z
        self.X = np.empty((self.members, LEVEL + SHAPE))
        self.X[:, :LEVEL] = z


def _u(omega):
    return log(2 / omega - 1)


def _curves(delta, v):
    s = np.sqrt(np.maximum(1.0001, 0.03 + np.exp(-v) * np.cosh(delta)))
    c = -np.log(np.log((s + 1) / (s - 1)))
    return np.stack([c - c.min(axis=1, keepdims=True), np.tanh(delta), np.sqrt(delta**2 + 0.01) - 0.1], axis=1)
