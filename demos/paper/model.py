"""The small matrices of the paper: Laplacians on a grid, shifted, with truncated normal right-hand sides."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

#: Beta distributions of the shift c = −.15 + .6 Beta(a, b), by the variance that they have.
SHIFTS = {"low variance": (2.0, 6.0), "high variance": (0.5, 1.5)}
#: Range of the shift that the contextual learners are told.
RANGE = (-0.15, 0.65)
EPS = 1e-8


def numgrid(shape: str, n: int) -> np.ndarray:
    """Interior points of a domain in an n × n grid on [−1, 1]², True inside: 'S' a square, 'L' less a quarter."""
    x, y = np.meshgrid(*[np.linspace(-1.0, 1.0, n)] * 2)
    inside = (abs(x) < 1.0) & (abs(y) < 1.0)
    return inside & ((x > 0.0) | (y > 0.0)) if shape == "L" else inside


def delsq(inside: np.ndarray) -> sp.csr_matrix:
    """The 5-point Laplacian with diagonal 4 on the points inside, numbered down the columns."""
    number = np.full(inside.shape, -1)
    number.T[inside.T] = np.arange(inside.sum())
    pairs = [(a[(a >= 0) & (b >= 0)], b[(a >= 0) & (b >= 0)]) for a, b in
             ((number[1:], number[:-1]), (number[:, 1:], number[:, :-1]))]  # fmt: skip
    i, j = (np.concatenate([pair[k] for pair in pairs]) for k in (0, 1))
    off = sp.coo_matrix((-np.ones(len(i)), (i, j)), shape=[inside.sum()] * 2)
    return (off + off.T + 4.0 * sp.identity(inside.sum())).tocsr()


def shifted(c: float, shape: str = "S", n: int = 12) -> sp.csr_matrix:
    """The Laplacian + c I."""
    A = delsq(numgrid(shape, n))
    return (A + c * sp.identity(A.shape[0])).tocsr()


def truncated_normal(rng: np.random.Generator, n: int) -> np.ndarray:
    """A standard normal vector, drawn again until ‖b‖ ≤ √n, shape (n,)."""
    while True:
        b = rng.standard_normal(n)
        if b @ b <= n:
            return b


def shifts(rng: np.random.Generator, variance: str, size: int) -> np.ndarray:
    """Shifts of a distribution of `SHIFTS`, shape (size,)."""
    return -0.15 + 0.6 * rng.beta(*SHIFTS[variance], size=size)
