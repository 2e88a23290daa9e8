"""Several numbers of the user's as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..state import Remembers

NUMBERS = 8  # heeded at most
NOISE = 0.1  # variance of log costs that no number explains
FADING = 1e-3  # of what is known, a solve


class Index(Remembers):
    """The combination of a user's numbers that explains log cost best, by recursive least squares.

    What makes solves dearer makes them stiffer and thereby moves the best ω, so that one direction tells both.  Until
    more is known it is the first number's.  Numbers that work by their product are best given as logarithms.
    """

    _remembered = ("mean", "var", "level", "w", "P")

    def __init__(self) -> None:
        self.mean, self.var = np.zeros(NUMBERS), np.zeros(NUMBERS)
        self.level = 0.0
        self.w, self.P = 0.1 * np.eye(NUMBERS)[0], np.eye(NUMBERS)

    def read(self, numbers: Sequence[float]) -> float:
        """What `numbers` come to."""
        return float(self.w @ self._standardised(numbers))

    def note(self, numbers: Sequence[float], y: float, rounds: int) -> None:
        """Learn that a solve's log cost was `y`."""
        step = max(0.01, 1.0 / rounds)
        self.level += step * (y - self.level)
        z = self._standardised(numbers)
        Pz = self.P @ z
        gain = Pz / (NOISE + float(z @ Pz))
        self.w += gain * (y - self.level - float(self.w @ z))
        self.P -= np.outer(gain, Pz)
        self.P += FADING * (np.eye(NUMBERS) - self.P)
        given = np.zeros(NUMBERS)
        given[: len(numbers)] = numbers[:NUMBERS]
        self.mean += step * (given - self.mean)
        self.var += step * ((given - self.mean) ** 2 - self.var)

    def _standardised(self, numbers: Sequence[float]) -> np.ndarray:
        """The numbers less their means over their standard deviations so far, within ±2, zeros behind them."""
        z = np.zeros(NUMBERS)
        z[: len(numbers)] = numbers[:NUMBERS]
        return np.clip((z - self.mean) / np.sqrt(np.where(self.var > 0.0, self.var, np.inf)), -2.0, 2.0)
