"""Choosing ω by the least lower confidence bound of the bank's predictions."""

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np

from ..base import NO_CONTEXT, Choice, Context, Learner, Space
from . import curves
from .bank import Bank
from .features import Features

OPTIMISM = 0.4  # standard deviations of the members' disagreement that a choice hopes for
TIE = 0.002  # relative costs this close are one and the same
REACH = 18  # steps that a choice may go beyond what has been tried
ALARM, CALM = 3.0, 8  # standard deviations that call for a safe solve at once, if so many solves went without one
DEAR = 4.0  # a cost this many times the prediction is a risk, remembered for all ω from there on
ALLOWED, LEAST_ALLOWED = 0.1, 0.03  # share of the safe ω's total that may be lost after 20 solves, and in the end
EVEN = 0.01  # share of the safe ω's total by which the account may be overdrawn before ties go to the safe ω
OVERDUE = 10**9  # solves since the last safe one: more than any
AUDIT = 0.0015  # share of the total that safe solves in good times may cost
FOLLOWED = 0.5  # change of u up to which a moving ρ is followed without a choice
STILL = 0.01  # square of what a context may move by (in x) and still be the same
SETTLED, SPARE = 100, 4  # rounds after which what was foreseen is learned from only one time in so many


class Auto(Learner):
    """Chooses u = log(2/ω − 1), the axis on which log cost is smooth, from a bank of regressions.

    A member k believes that the cost is least at v_k and learns the rest by Bayesian linear regression (a Kalman
    filter with drift) of log cost on features of the level, z, and curves of the shape in δ = u − v_k::

        log cost = w·(z, c(δ) − min c, tanh δ, √(δ² + 0.01) − 0.1) + noise
        c(δ) = −log log((s + 1)/(s − 1)),   s² = 0.03 + e^(−v) cosh δ

    c is the iteration count of CG under SSOR (Axelsson 1994, theorem 7.17).  For eight members the minimiser is
    Young's, with one unknown each: v = ½ log(1 − (ρ/ρ̄)² + ε_k), where ρ is the context's signed dominance
    1 − row sum/diagonal, divided by cosh(skew), and ρ̄ the largest so far or 1.  One more leaves its
    minimiser where it is; four others know no context at all.  The first nine differ in nothing but the minimiser, so
    that their likelihoods, slowly forgotten, judge just that.  The choice is the least of mean − 0.4 standard
    deviations of the members' predictions.

    The safe ω comes first; what it costs is weighed against theory, for where it is cheap there is little to gain.
    After that choices go only `REACH` steps beyond what has been tried, keep away from where costs were far above the
    prediction, and are interrupted by solves at the safe ω: rarely while it is predicted dearer, once after an
    unforeseen cost above its own, at every solve while the account says that the total is too far above its own.

    Memory and time a solve are constant.  There is no regret statement: the design is empirical, its constants are
    tuned on the sequences of ``benchmarks/learning.py``, which measures it.

    Loss range: positive.  Context: ρ, its mean and the skew of the matrix; one number of the user's, to which the
    minimiser may then be linear; or nothing.

    Examples
    --------
    >>> learner = Auto(seed=3)
    >>> for _ in range(30):
    ...     choice = learner.choose()
    ...     learner.update(choice, 3.0 + 40.0 * (choice.omega - 1.6) ** 2)
    >>> print(f"{choice.omega:.2f}")
    1.69
    """

    name = "auto"
    loss_range = "positive"
    default_range = (0.75, 1.976)
    reads_matrix = True
    repeatable = True
    _remembered = (
        "map", "bank", "low", "high", "risk", "spent", "base", "since", "seen", "told",
        "x", "mean", "best", "key", "predicted", "trend",
    )  # fmt: skip

    def __init__(self, *, space: Space = Space(), seed: int = 0):
        super().__init__(space=space, seed=seed)
        places = (curves.u_of(omega) for omega in (space.omega_max, space.omega, space.omega_min))
        self.u, self.safe = curves.grid(*places)
        self.omegas = 2.0 / (1.0 + np.exp(self.u))
        self.omegas[self.safe] = space.omega
        self.map, self.bank = Features(), Bank(self.u, self.safe)
        self.low = self.high = self.safe
        self.x = 0.0
        self.trend = 0.0  # mean surprise of the last ten solves or so, in standard deviations
        self.risk = np.zeros(len(self.u))
        self.spent = self.base = self.seen = self.told = 0.0
        self.since = 0
        self.mean = np.zeros(len(self.u))
        self.best = np.zeros(len(self.u), dtype=bool)  # the choices that are as good as the best
        self.predicted = False  # whether the two above are up to date
        self.context = NO_CONTEXT
        self.moved = 0.0
        self.key = -1

    # -- choosing

    def _choose(self, context: Context) -> Choice:
        self._read(context)
        if self.rounds == 0 or self._safe_is_due():
            return Choice(self.space.omega, self.safe, 1.0, self.rounds > 0, context)
        if self.best[self.safe] and self.spent > (1.0 + EVEN) * self.base:
            return Choice(self.space.omega, self.safe, 1.0, False, context)
        ties = self.best.nonzero()[0]
        i = int(ties[int(self.rng.random() * len(ties))])
        return Choice(float(self.omegas[i]), i, 1.0 / len(ties), False, context)

    def _read(self, context: Context) -> None:
        """Heed the context, and predict."""
        self.context = context
        reading = self.map.read(context)
        self.bank.heed(reading)
        if reading.key < 0 or reading.key != self.key:
            self.key, self.predicted = reading.key, False
        self.moved, self.x = (reading.x - self.x) ** 2, reading.x
        if not self.predicted:
            self._predict()

    def _predict(self) -> None:
        """Means, and the choices that are as good as the best."""
        self.mean, deviation = self.bank.predict()
        score = np.exp(self.mean - OPTIMISM * deviation)
        score += self.risk / max(self.rounds, 1)
        first, last = max(self.low - REACH, 0), self.high + REACH + 1
        np.less_equal(score, score[first:last].min() * (1.0 + TIE), out=self.best)
        self.best[:first] = self.best[last:] = False
        self.predicted = True

    def _safe_is_due(self) -> bool:
        """Whether the account calls for a solve at the safe ω."""
        lost = self.spent - self.base
        if lost > self.base * max(ALLOWED * sqrt(20.0 / self.rounds), LEAST_ALLOWED):
            return True
        return self.since > 16.0 + max(self.base / self.spent - 1.0, 0.0) / AUDIT

    def foreseen(self, choice: Choice) -> float | None:
        """By the mean of the members; None before the first cost."""
        return exp(max(-5.0, min(5.0, float(self.mean[self.safe] - self.mean[choice.index])))) if self.rounds else None

    def follow(self, omega: float, context: Context, rho: float) -> float | None:
        """ω moved as far as the heaviest member's minimiser; None past `FOLLOWED`, or to where none was tried."""
        if context.matrix is None:
            return None
        shift = self.map.shift(self.bank.heaviest(), context.matrix, rho)
        if shift is None or abs(shift) > FOLLOWED:
            return None
        u = min(curves.u_of(omega) + shift, float(self.u[self.high]))  # less ω than has been tried gains little
        return 2.0 / (1.0 + exp(u)) if u >= self.u[self.low] else None

    # -- learning

    def _update(self, choice: Choice, loss: float) -> None:
        if choice.context != self.context:
            self._read(choice.context)
        self.map.note(choice.context, self.rounds)
        i, y = choice.index, log(max(loss + self.space.least, 1e-300))
        self._account(i, loss)
        surprise, noise = y - float(self.mean[i]), float(self.bank.noise[0])
        self.trend += 0.1 * (max(-4.0, min(4.0, surprise / sqrt(noise))) - self.trend)
        if self._alarming(i, y, surprise):
            self.since = OVERDUE
        new = i < self.low or i > self.high
        if self.rounds > SETTLED and self.rounds % SPARE and not new and surprise * surprise < noise:
            return
        self.low, self.high = min(self.low, i), max(self.high, i)
        self.bank.learn(i, y, loss, self.rounds, 4.0 * self.moved + self.trend**2)
        self.predicted = False

    def _alarming(self, i: int, y: float, surprise: float) -> bool:
        """Whether a cost so far above its prediction, and the safe ω's, calls for a safe solve now; not in wealth."""
        if i == self.safe or self.since <= CALM or 2.0 * self.spent <= self.base:
            return False
        return surprise > ALARM * sqrt(self.bank.noise[0]) and y > float(self.mean[self.safe])

    def _account(self, i: int, loss: float) -> None:
        """What was spent, and what the safe ω would have cost.

        That is as predicted while the context stands still, else its share of this loss as predicted; scaled by how
        the last solves at the safe ω compared with their predictions.
        """
        self.spent += loss
        safe, here = float(self.mean[self.safe]), float(self.mean[i])
        if i == self.safe:
            self.since = 0
            self.base += loss
            if self.rounds > 1:
                self.seen = 0.9 * self.seen + loss
                self.told = 0.9 * self.told + exp(min(safe, 50.0))
        else:
            self.since += 1
            known = min(self.seen / self.told, 1.5) if self.told else 1.0
            still = self.moved < STILL
            self.base += known * (exp(min(safe, 50.0)) if still else loss * exp(min(safe - here, 3.0)))
        over = loss - DEAR * exp(min(here, 50.0))
        if over > 0.0 and self.rounds > 1:
            first, last = (0, i + 3) if i <= self.safe else (i - 2, len(self.u))
            self.risk[max(first, 0) : last] += over
