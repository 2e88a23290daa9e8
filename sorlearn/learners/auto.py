"""The default learner: theory with one unknown where it holds, a regression where it doesn't, an account of both."""

from __future__ import annotations

from math import cosh, exp, isnan, log, sqrt
from typing import ClassVar

import numpy as np

from .base import Choice, Learner, Space

#: Spacing of the choices in u = log(2/ω − 1): the best of them costs about 0.1 % more than the best there is.
STEP = 0.1
#: Minimisers that are told apart: ω from 1.976 to 0.75.
V = np.arange(-4.4, 0.51, 0.05)
#: What theory may leave unexplained of 1 − ρ²: from nothing to nearly all.
EPSILON = np.exp(np.linspace(-7.0, -0.5, 8))
#: Minimisers of the members that know no context: ω = 1, 1.38, 1.66, 1.83.
FIXED = np.array([0.0, -0.8, -1.6, -2.4])
#: Members for a user's number s: v = centre + slope · s, falling or rising.
CENTRES, SLOPES = np.repeat([-0.4, -1.0, -1.6, -2.4], 2), np.tile([-0.7, 0.7], 4)
AWARE, MEMBERS, LEVEL = len(EPSILON), len(EPSILON) + len(FIXED), 4
#: Prior of a member's coefficients: level (constant, x, x² − 1, x_mean − x), shape (theory, tilt, cusp).
MEAN = np.array([0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0])
VARIANCE = np.array([1.0, 1.0, 0.5, 0.5, 0.3, 0.3, 0.5]) ** 2
#: Share of the prior variance that a coefficient may drift by in a solve, and that of the shape after a surprise.
DRIFT, UPHEAVAL = 5e-4, 0.1
#: Standard deviations of the members' disagreement that an ω is credited with: tried, and beyond what was tried.
TRUST, HOPE = 0.7, 0.35
#: Grid steps that a choice may go beyond what was tried: theory's cost is then at most √cosh(1.2) = 1.35 times higher.
REACH = 12
#: Costs within this factor of the least are as good: choosing among them at random keeps the curve known.
TIE = 1.002
#: Least and first variance of log cost: iteration counts are integers.
NOISE = 0.05**2, 0.1**2
#: How much of the evidence counts, as errors of neighbouring solves are alike, and how long.
TEMPER, MEMORY = 0.25, 0.995
#: Nats a solve that aware members must win, when the context jumps or the cost drifts, to be believed.
TOLL = 0.1
#: A cost this many times what is thought likely even after it was seen is a danger.
DANGER = 4.0
#: Debt allowed against the safe ω: DEBT √20 of its solves at first, DEBT √t after 20, so that 1.045 is kept.
DEBT = 0.2
#: Solves until deciding may be lazy: no solve is learned from that went as expected, but every fourth.
LAZY = 64


def _slot(v: np.ndarray) -> np.ndarray:
    return np.clip(((v - V[0]) * 20 + 0.5).astype(int), 0, len(V) - 1)


#: Slots of theory's members, by 25 (log(1 − ρ²) + 9).
BY_GAP = _slot(0.5 * np.log(np.exp(np.arange(-9.0, 0.01, 0.04))[:, None] + EPSILON))


class Auto(Learner):
    """Members that know where the minimum lies, weighted by how well they predict; the safe ω keeps the account.

    On u = log(2/ω − 1) the cost of SSOR–CG is nearly symmetric about its minimiser v.  Member k predicts

        log cost(u) ≈ ⟨a_k, z⟩ + ⟨c_k, f(u − v_k)⟩,   f = (theory, tilt, cusp),

    theory = −log log((s+1)/(s−1)), s² = 0.03 + e^{−v} cosh(u − v) (Axelsson 1994, Thm 7.17), tilt = tanh, cusp = |·|
    (which plain SOR has).  Eight aware members say v_k = ½ log(1 − ρ² + ε_k): Young's formula with one unknown
    ε, ρ relative to the largest seen, divided by cosh(skew); their level depends on z = (1, x, x² − 1, x_mean − x),
    x = ½ log(1.02 − ρ²) + 1.  Four others have fixed v and a level without context: they win where the context
    explains nothing.  They weigh solves by their cost, so that they find the minimum of the mean.  a, c are Kalman
    filters with drift; the weights W_k ∝ tempered likelihoods.  It plays about the argmin of
    exp(Σ W μ − 0.7 sd_W μ) + danger, at most 1.2 in u beyond what has been tried.

    What the safe ω would have cost is predicted by the members and scaled by the real solves with it, which are
    made when more has been spent, and the rarer the more is saved.

    Context: empty; a user's number; or (ρ max, ρ mean, skew, …): ρ = 1 − row sum/diagonal of some rows,
    skew = ½ log(Σ|lower|/Σ|upper|); NaN where unknown.  Loss: positive, any unit.

    Examples
    --------
    >>> learner = Auto(space=Space(omega_min=0.75, omega_max=1.976, least=0.0), seed=1)
    >>> total = 0.0
    >>> for _ in range(100):
    ...     choice = learner.choose((0.99, 0.98, 0.0, 8.0, 0.0))
    ...     loss = 1 + 4 * (choice.omega - 1.75) ** 2
    ...     learner.update(choice, loss)
    ...     total += loss
    >>> print(round(total / 100, 2))
    1.03
    """

    name = "auto"
    loss_range = "positive"
    default_range: ClassVar[tuple[float, float]] = (0.75, 1.976)
    _remembered = (
        "weights", "P", "logw", "p", "noise", "risk", "top", "x", "centre", "spread", "typical", "trend",
        "low", "high", "spent", "base", "pending", "seen", "told", "since",
    )  # fmt: skip

    def __init__(self, *, space: Space = Space(), seed: int = 0):
        super().__init__(space=space, seed=seed)
        safe = _u(space.omega)
        below, above = (int(abs(_u(end) - safe) / STEP + 1e-9) for end in (space.omega_max, space.omega_min))
        u = safe + STEP * np.arange(-below, above + 1)
        self.omegas = 2 / (1 + np.exp(u))
        self.omegas[below] = space.omega
        self.safe = self.low = self.high = below
        self.curves = _curves(u - V[:, None])
        self.weights = np.tile(MEAN, (MEMBERS, 1))
        self.P = np.tile(np.diag(VARIANCE), (MEMBERS, 1, 1))
        self.logw = np.repeat([0.0, -1.0], [AWARE, len(FIXED)])
        self.p = np.exp(self.logw) / np.exp(self.logw).sum()
        self.noise = np.full(2, NOISE[1])
        self.risk = np.zeros(len(u))
        self.top, self.x, self.centre, self.spread, self.typical, self.trend = 1.0, 0.0, 0.0, 0.0, 0.0, 0.0
        self.spent = self.base = self.pending = self.seen = self.told = 0.0
        self.since = 0
        self._F = np.empty((MEMBERS, 3, len(u)))  # shapes of the members for the present context
        self._F[AWARE:] = self.curves[_slot(FIXED)]
        self._X = np.zeros((MEMBERS, LEVEL + 3))
        self._X[:, 0] = 1.0
        self._mu = np.zeros((MEMBERS, len(u)))
        self._key: tuple | None = None
        self._asked: Choice | None = None
        self._basis = self.weights

    def _choose(self, context):
        if self.rounds == 0:
            return Choice(self.space.omega, self.safe, context=context)
        self._predict(context)
        near = self._good()
        audit = self._due()
        i = self.safe if audit else int(near[int(self.rng.random() * len(near))])
        self._asked = Choice(float(self.omegas[i]), i, 1.0 / (1 if audit else len(near)), audit, context)
        return self._asked

    def _good(self) -> np.ndarray:
        """Indices of the ω's worth playing."""
        score = self.p @ self._mu
        spread = self._mu - score
        spread *= spread
        sd = np.sqrt(self.p @ spread)
        sd *= HOPE
        sd[self.low : self.high + 1] *= TRUST / HOPE
        score -= sd
        np.exp(np.minimum(score, 50.0, out=score), out=score)
        score += self.risk * (1 / self.rounds)
        first = max(0, self.low - REACH)
        score = score[first : self.high + REACH + 1]
        return (score <= TIE * score.min()).nonzero()[0] + first

    def _due(self) -> bool:
        """Whether the safe ω must be played: more was spent than with it, or its cost was last seen long ago."""
        base = self.base + self.pending * self.seen / self.told
        debt = DEBT * base * max(sqrt(20) / self.rounds, 1 / sqrt(self.rounds))
        return self.spent - base > debt or self.since * max(0.005, self.spent / base - 0.6) > 16

    def _predict(self, context):
        """Every member's log cost of every ω."""
        self._read(context)
        np.matmul(self.weights[:, None, LEVEL:], self._F, out=self._mu[:, None])
        self._mu += np.einsum("ij,ij->i", self.weights[:, :LEVEL], self._X[:, :LEVEL])[:, None]
        self._basis = self.weights

    def _read(self, context):
        """Context → level features and minimisers of the aware members."""
        key = (context, self.top, self.centre, self.spread)
        if key == self._key:
            return
        self._key = key
        if len(context) > 1 and not isnan(context[0]):
            rho, mean, skew = (0.0 if isnan(number) else number for number in context[:3])
            top = max(self.top, rho / cosh(skew)) * cosh(skew)
            gap = 1 - (rho / top) ** 2
            x = 0.5 * log(gap + 0.02) + 1
            z, slots = (x, x * x - 1, 0.5 * log(1.05 - min(mean / top, 1.0)) + 1 - x), self._theory(gap)
        elif len(context) == 1 and not isnan(context[0]):
            s = max(-2.0, min(2.0, (context[0] - self.centre) / sqrt(self.spread + 1e-300)))
            z, slots = (s, s * s - 1, 0.0), _slot(CENTRES + SLOPES * s)
        else:
            z, slots = (0.0, 0.0, 0.0), self._theory(0.0)
        self._X[:AWARE, 1:LEVEL] = z
        self.curves.take(slots, 0, self._F[:AWARE], "clip")

    @staticmethod
    def _theory(gap: float) -> np.ndarray:
        return BY_GAP[max(0, int(25 * log(gap + 1e-9) + 225.5))]

    def _price(self, i: int) -> float:
        """What a solve at the i-th ω costs, by all that is known."""
        return exp(min(50.0, float(self.p @ self._mu[:, i])))

    def _update(self, choice, loss):
        if choice is not self._asked or self._basis is not self.weights:
            self._predict(choice.context)
        i, y = choice.index, log(max(loss + self.space.least, 1e-12))
        self._book(i, loss)
        h = int(self.p.argmax())
        group, r = int(h >= AWARE), y - float(self._mu[h, i])
        noise = float(self.noise[group])
        self.trend += 0.1 * (max(-4.0, min(4.0, r / sqrt(noise))) - self.trend)
        if self.rounds > LAZY and self.rounds % 4 and r * r < noise:
            self.noise[group] = max(NOISE[0], noise + 0.05 * (r * r - noise))
        else:
            self._learn(i, y, loss)
            self._widen(choice.context)
            self._predict(choice.context)
            self._fear(i, loss)
        if i != self.safe:
            self.pending += self._price(self.safe)

    def _book(self, i: int, loss: float) -> None:
        """What was spent, and what the safe ω would have cost: as predicted since it was last played, scaled."""
        self.spent += loss
        self.typical += (loss - self.typical) * max(0.01, 1 / self.rounds)
        self.since += 1
        self.low, self.high = min(self.low, i), max(self.high, i)
        if i == self.safe:
            predicted = self._price(i) if self.rounds > 1 else loss
            self.seen, self.told = 0.9 * self.seen + loss, 0.9 * self.told + predicted
            self.base += self.pending * self.seen / self.told + loss
            self.pending, self.since = 0.0, 0

    def _fear(self, i: int, loss: float) -> None:
        """Remember a disaster at i, its neighbours and all that is farther from the safe ω."""
        excess = max(0.0, loss - DANGER * self._price(i))
        self.risk[0 if i < self.safe else i - 2 : len(self.risk) if i > self.safe else i + 3] += excess

    def _widen(self, context) -> None:
        """Ranges of the contexts so far."""
        self.x = float(self._X[0, 1])
        if len(context) == 1 and not isnan(context[0]):
            away, step = context[0] - self.centre, max(0.01, 1 / self.rounds)
            self.centre += step * away
            self.spread += step * ((1 - step) * away**2 - self.spread)
        elif len(context) > 1 and not isnan(context[0]):
            self.top = max(self.top, context[0] / cosh(0.0 if isnan(context[2]) else context[2]))

    def _learn(self, i: int, y: float, loss: float) -> None:
        """One step of every member's Kalman filter, residuals cut at four standard deviations."""
        X = self._X
        X[:, LEVEL:] = self._F[:, :, i]
        r = y - self._mu[:, i]
        if self.rounds == 1:  # the first level is anybody's guess
            self.weights[:, 0] += r
            r[:] = 0.0
        PX = np.matmul(self.P, X[:, :, None])[:, :, 0]
        q = np.einsum("ij,ij->i", PX, X)
        d = q + self.noise[0]
        d[AWARE:] = q[AWARE:] + self.noise[1] / min(max(loss / self.typical, 0.1), 10.0)
        self._tune(r, q, d)
        self._weigh(r, d, float(X[0, 1]))
        r /= np.maximum(d, np.abs(r) * np.sqrt(d) / 4)
        self.weights += PX * r[:, None]
        PX /= np.sqrt(d)[:, None]
        self.P -= PX[:, :, None] * PX[:, None, :]
        if self.rounds % 8 == 0:
            diagonal = np.einsum("kii->ki", self.P)
            diagonal += np.where(diagonal < VARIANCE, 8 * DRIFT * VARIANCE, 0.0)

    def _tune(self, r: np.ndarray, q: np.ndarray, d: np.ndarray) -> None:
        """Noise from the best member of either group; a surprise to it makes the group's shapes uncertain."""
        for g, group in enumerate((slice(0, AWARE), slice(AWARE, MEMBERS))):
            h = group.start + int(self.logw[group].argmax())
            noise, share = self.noise[g], self.noise[g] / d[h]
            seen = min(r[h] ** 2, 16 * d[h]) * share**2 + q[h] * share
            self.noise[g] = max(NOISE[0], noise + max(0.05, 1 / (self.rounds + 2)) * (seen - noise))
            if r[h] ** 2 > 16 * d[h] and self.rounds > 3:
                np.einsum("kii->ki", self.P)[group, LEVEL:] += UPHEAVAL * VARIANCE[LEVEL:]

    def _weigh(self, r: np.ndarray, d: np.ndarray, x: float) -> None:
        self.logw *= MEMORY
        self.logw -= TEMPER * (np.minimum(r * r / d, 16.0) + np.log(d))
        self.logw[:AWARE] -= TOLL * min(1.0, 4 * (x - self.x) ** 2 + self.trend**2)
        self.logw -= self.logw.max()
        np.maximum(self.logw, -20.0, out=self.logw)
        np.exp(self.logw, out=self.p)
        self.p /= self.p.sum()


def _u(omega: float) -> float:
    return log(2 / omega - 1)


def _curves(delta: np.ndarray) -> np.ndarray:
    """theory, tilt and cusp at u − v, for all v: shape (len(V), 3, grid)."""
    s = np.sqrt(np.maximum(1.0001, 0.03 + np.exp(-V)[:, None] * np.cosh(delta)))
    theory = -np.log(np.log((s + 1) / (s - 1)))
    theory -= theory.min(axis=1, keepdims=True)
    return np.stack([theory, np.tanh(delta), np.sqrt(delta**2 + 0.01) - 0.1], axis=1)
