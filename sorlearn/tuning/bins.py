"""The axis on which what is known of single ω's is kept: u = log(2/ω − 1), in bins of 0.1."""

from __future__ import annotations

from math import exp, log

U_MAX, U_MIN, WIDTH = 1.5, -5.5, 0.1
BINS = round((U_MAX - U_MIN) / WIDTH) + 1


def u_of(omega: float) -> float:
    """log(2/ω − 1): 0 for ω = 1, and cost is smooth and nearly symmetric about its minimum on it."""
    return log(2.0 / omega - 1.0)


def bin_of(omega: float) -> int:
    """Index of ω's bin, in [0, BINS)."""
    return min(max(round((U_MAX - u_of(omega)) / WIDTH), 0), BINS - 1)


def range_of(index: int) -> tuple[float, float]:
    """The least and the largest u of a bin."""
    return U_MAX - WIDTH * (index + 0.5), U_MAX - WIDTH * (index - 0.5)


def omega_of(index: int) -> float:
    """The ω in the middle of a bin."""
    return 2.0 / (1.0 + exp(U_MAX - WIDTH * index))
