"""How ω follows a matrix that changes, without a choice."""

from __future__ import annotations

from math import exp, log
from typing import NamedTuple


class Course(NamedTuple):
    """u = log(2/ω − 1) rises by weight·log(g + ε), where g = 1 − (scale·ρ)² is the gap that ρ leaves.

    Young's theorem, with an unknown ε; ``petsc/fast.c`` reckons the same.

    Attributes
    ----------
    u, gap : float
        Where a choice was made.
    scale, epsilon, weight : float
        As above; a weight of 0 leaves ω where it is.
    farthest : float
        Change of u beyond which it takes a choice.
    u_least, u_most : float
        Range in which u may be; beyond `u_most` it stays there, below `u_least` it takes a choice.
    """

    u: float
    gap: float
    scale: float
    epsilon: float
    weight: float
    farthest: float
    u_least: float
    u_most: float

    def at(self, rho: float) -> float | None:
        """ω for a matrix with this ρ; None where that takes a choice."""
        gap = 1.0 - (max(rho, 0.0) * self.scale) ** 2
        if min(gap, self.gap) < 0.0:
            return None
        shift = self.weight * log((gap + self.epsilon) / (self.gap + self.epsilon))
        u = min(self.u + shift, self.u_most)
        return 2.0 / (1.0 + exp(u)) if abs(shift) <= self.farthest and u >= self.u_least else None
