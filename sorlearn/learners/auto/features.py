"""From a context to features of the level of the cost, and to where the members of the bank believe its minimum."""

from __future__ import annotations

from math import cosh, isfinite, log, sqrt
from typing import NamedTuple

import numpy as np

from ..base import Context, MatrixFeatures
from ..state import Remembers
from . import curves
from .index import Index

EPSILON = np.exp(np.linspace(-7.0, -0.5, 8))  # how far 1 − ρ² may be from what the minimiser obeys, one a member
FLAT = -1.2  # minimiser of the member that heeds the context for the level alone
BLIND = np.array([0.0, -0.7, -1.4, -2.1])  # minimisers of the members that ignore the context
OFFSET, SLOPE = np.repeat([-0.8, -1.8], 4), np.tile([-1.0, -0.5, 0.5, 1.0], 2)  # minimisers over a user's context
THEORY, AWARE, MEMBERS = len(EPSILON), len(EPSILON) + 1, len(EPSILON) + 1 + len(BLIND)
LEVEL = 4  # features of the level of the cost
GAP_SLOTS = 226  # slots of log(1 − ρ²), 25 to a unit, from e⁻⁹ to 1
STEEPEST = 20.0  # skew beyond which nothing changes


class Reading(NamedTuple):
    """What a context says: `x` is where it lies, `level` the features, `slots` the members' minimisers."""

    x: float
    level: tuple[float, float, float, float]
    slots: np.ndarray
    key: int


class Features(Remembers):
    """The feature map; it learns the largest ρ, and mean and spread of a user's number, or of several as one."""

    _remembered = ("top", "user_mean", "user_var", "index")

    def __init__(self) -> None:
        self.top = 1.0
        self.user_mean, self.user_var = 0.0, 0.0
        self.index = Index()
        gaps = np.exp(np.arange(GAP_SLOTS) / 25.0 - 9.0)
        others = np.tile([FLAT, *BLIND], (GAP_SLOTS, 1))
        self._by_gap = curves.slot(np.hstack([0.5 * np.log(gaps[:, None] + EPSILON), others]))

    def read(self, context: Context) -> Reading:
        """Features of the level, and the members' minimisers."""
        matrix = context.matrix
        if context.user and isfinite(sum(context.user)):
            x = self._standardised(self._number(context.user))
            slots = np.append(curves.slot(OFFSET + SLOPE * x), self._by_gap[0, THEORY:])
            return Reading(x, (1.0, x, x * x - 1.0, 0.0), slots, -1)
        if matrix is None or not isfinite(matrix.rho + matrix.rho_mean + matrix.skew):
            return Reading(0.0, (1.0, 0.0, 0.0, 0.0), self._by_gap[0], GAP_SLOTS)
        shrink = cosh(min(abs(matrix.skew), STEEPEST))
        rho, mean = max(matrix.rho, 0.0) / shrink, matrix.rho_mean / shrink
        self.top = max(self.top, rho)
        gap = 1.0 - (rho / self.top) ** 2
        x = 0.5 * log(gap + 0.02) + 1.0
        spread = 0.5 * log(1.05 - min(mean / self.top, 1.0)) + 1.0 - x
        place = max(0, int(25.0 * log(gap + 1e-9) + 225.5))
        return Reading(x, (1.0, x, x * x - 1.0, spread), self._by_gap[place], place)

    def gap(self, member: int, matrix: MatrixFeatures) -> tuple[float, float, float | None]:
        """(1 − (scale·ρ)², scale, ε) of a member's minimiser; ε is None where that doesn't move."""
        scale = 1.0 / (cosh(min(abs(matrix.skew), STEEPEST)) * self.top)
        gap = 1.0 - (max(matrix.rho, 0.0) * scale) ** 2
        return gap, scale, float(EPSILON[member]) if member < THEORY else None

    def note(self, context: Context, y: float, rounds: int) -> None:
        """Follow the mean and the spread of the user's number; of several, also what they say of the log cost `y`."""
        if context.user and isfinite(sum(context.user)):
            step, number = max(0.01, 1.0 / rounds), self._number(context.user)
            self.user_mean += step * (number - self.user_mean)
            self.user_var += step * ((number - self.user_mean) ** 2 - self.user_var)
            if len(context.user) > 1:
                self.index.note(context.user, y, rounds)

    def _number(self, user: tuple[float, ...]) -> float:
        return user[0] if len(user) == 1 else self.index.read(user)

    def _standardised(self, value: float) -> float:
        """A user's number, less the mean so far, over the standard deviation so far, within ±2."""
        if self.user_var <= 0.0:
            return 0.0
        return min(max((value - self.user_mean) / sqrt(self.user_var), -2.0), 2.0)
