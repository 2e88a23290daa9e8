"""Choosing ω by the least lower confidence bound of the bank's predictions."""

from __future__ import annotations

from math import exp, log, sqrt

import numpy as np

from ..base import NO_CONTEXT, Choice, Context, Learner, Space
from ..course import Course
from . import curves
from .bank import Bank
from .features import Features

OPTIMISM = 0.4  # standard deviations of the members' disagreement that a choice hopes for
TIE = 0.002  # log costs this close are one and the same
FIRST, REACH = 18, 6  # steps that the first choice may go from the safe one, and others beyond what has been tried
FOLLOWED = 0.5  # change of u up to which a moving ρ is followed without a choice
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
    After that the first choice goes as far as `FIRST` steps, as theory says, and others `REACH` beyond what was tried.

    Memory and time a solve are constant.  There is no regret statement: the design is empirical, its constants are
    tuned on the sequences of ``benchmarks/learning.py``, which measures it.

    Loss range: positive.  Context: ρ, its mean and the skew of the matrix; one number of the user's, to which the
    minimiser may then be linear, or up to eight, of which `Index` makes one; or nothing.

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
    smooth = True
    _remembered = (
        "map", "bank", "low", "high", "x", "mean", "best", "key", "predicted", "trend",
    )  # fmt: skip

    def __init__(self, *, space: Space = Space(), seed: int = 0):
        super().__init__(space=space, seed=seed)
        places = (curves.u_of(omega) for omega in (space.omega_max, space.omega, space.omega_min))
        self.u, self.i_safe = curves.grid(*places)
        self.omegas = 2.0 / (1.0 + np.exp(self.u))
        self.omegas[self.i_safe] = space.omega
        self.map, self.bank = Features(), Bank(self.u, self.i_safe)
        self.low = self.high = self.i_safe
        self.x = 0.0
        self.trend = 0.0  # mean surprise of the last ten solves or so, in standard deviations
        self.mean = np.zeros(len(self.u))
        self.best = np.zeros(len(self.u), dtype=bool)  # the choices that are as good as the best
        self.predicted = False  # whether the two above are up to date
        self.context = NO_CONTEXT
        self.moved = 0.0
        self.key = -1

    # -- choosing

    def _choose(self, context: Context) -> Choice:
        self._read(context)
        if self.rounds == 0 or self.best[self.i_safe]:
            return Choice(self.space.omega, self.i_safe, 1.0, False, context)
        ties = self.best.nonzero()[0]
        i = int(ties[int(self.rng.random() * len(ties))])
        return Choice(float(self.omegas[i]), i, 1.0 / len(ties), False, context)

    def _read(self, context: Context) -> None:
        """Heed the context, and predict."""
        self.context = context
        reading = self.map.read(context)
        moves = reading.key < 0 or reading.key != self.key
        self.bank.heed(reading.level, reading.slots if moves else None)
        if moves:
            self.key, self.predicted = reading.key, False
        self.moved, self.x = (reading.x - self.x) ** 2, reading.x
        if not self.predicted:
            self._predict()

    def _predict(self) -> None:
        """Means, and the choices that are as good as the best."""
        self.mean, deviation = self.bank.predict()
        reach = FIRST if self.low == self.high else REACH
        first, last = max(self.low - reach, 0), self.high + reach + 1
        score = self.mean[first:last] - OPTIMISM * deviation[first:last]
        self.best[:] = False
        self.best[first:last] = score <= score.min() + TIE
        self.predicted = True

    def course(self, omega: float, context: Context) -> Course | None:
        """ω moves as far as the heaviest member's minimiser; not past `FOLLOWED`, nor to where none was tried."""
        if context.matrix is None:
            return None
        gap, scale, epsilon = self.map.gap(self.bank.heaviest(), context.matrix)
        weight = 0.0 if epsilon is None else 0.5
        low, high = float(self.u[self.low]), float(self.u[self.high])  # less ω than has been tried gains little
        return Course(curves.u_of(omega), gap, scale, epsilon or 1.0, weight, FOLLOWED, low, high)

    def safe(self, context: Context) -> Choice:
        """The safe choice, from which there is as much to learn as from any other."""
        self._read(context)
        return Choice(self.space.omega, self.i_safe, 1.0, True, context)

    def at_safe(self, choice: Choice, loss: float) -> float:
        """What a solve would have cost at the safe ω, as the bank's heaviest member sees it."""
        if choice.context != self.context:
            self._read(choice.context)
        y = log(max(loss + self.space.least, 1e-300))
        expected = self.bank.counterpart(choice.index, y, self.i_safe)
        return exp(min(expected, 700.0)) - self.space.least

    def excess(self, omega: float, choice: Choice) -> float:
        """As the members expect at the nearest place that there is."""
        place = self.i_safe + round((curves.u_of(omega) - self.u[self.i_safe]) / curves.STEP)
        return exp(float(self.mean[min(max(place, 0), len(self.u) - 1)] - self.mean[choice.index])) - 1.0

    # -- learning

    def _update(self, choice: Choice, loss: float) -> None:
        if choice.context != self.context:
            self._read(choice.context)
        i, y = choice.index, log(max(loss + self.space.least, 1e-300))
        self.map.note(choice.context, y, self.rounds)
        surprise, noise = y - float(self.mean[i]), float(self.bank.noise[0])
        self.trend += 0.1 * (max(-4.0, min(4.0, surprise / sqrt(noise))) - self.trend)
        new = i < self.low or i > self.high
        if self.rounds > SETTLED and self.rounds % SPARE and not new and surprise * surprise < noise:
            return
        self.low, self.high = min(self.low, i), max(self.high, i)
        self.bank.learn(i, y, loss, self.rounds, 4.0 * self.moved + self.trend**2)
        self.predicted = False
