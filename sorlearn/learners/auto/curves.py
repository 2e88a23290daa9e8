"""The axis u = log(2/ω − 1), on which log cost is smooth, and the curves that it is made of there.

Axelsson's bound on the condition number of SSOR (1994, theorem 7.17; :func:`sorlearn.theory.ssor_condition`) is
½ + e^(−v) cosh(u − v) for δ = 0, where v is its minimiser: ω enters through u alone.
"""

from __future__ import annotations

from math import log

import numpy as np

STEP = 0.1  # of the grid of u
V_MIN, V_MAX, V_STEP = -4.4, 0.5, 0.05  # tabulated minimisers
SHAPE = 3  # number of curves


def u_of(omega: float) -> float:
    """The place of ω on the axis; 0 for ω = 1."""
    return log(2.0 / omega - 1.0)


def grid(least: float, safe: float, most: float) -> tuple[np.ndarray, int]:
    """Places from `least` to `most` in steps from `safe`, and the index of `safe`."""
    below, above = max(int((safe - least) / STEP + 1e-9), 0), max(int((most - safe) / STEP + 1e-9), 0)
    return safe + STEP * np.arange(-below, above + 1), below


def minimisers() -> np.ndarray:
    """The tabulated ones."""
    return np.arange(V_MIN, V_MAX + 1e-9, V_STEP)


def slot(v: np.ndarray) -> np.ndarray:
    """Index of the nearest tabulated minimiser."""
    return np.rint((np.clip(v, V_MIN, V_MAX) - V_MIN) / V_STEP).astype(int)


def iterations(delta: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Iterations of CG with SSOR a decade of the error, up to a factor, at u = v + delta with the minimum at v."""
    s = np.sqrt(np.maximum(1.0001, 0.03 + np.exp(-v) * np.cosh(delta)))
    return 1.0 / np.log((s + 1.0) / (s - 1.0))


def shapes(u: np.ndarray) -> np.ndarray:
    """Theory, tilt and cusp around every tabulated minimiser, shape (minimisers, SHAPE, len(u))."""
    v = minimisers()[:, None]
    delta = u[None, :] - v
    c = np.log(iterations(delta, v))
    return np.stack([c - c.min(axis=1, keepdims=True), np.tanh(delta), np.sqrt(delta**2 + 0.01) - 0.1], axis=1)
