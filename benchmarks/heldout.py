"""Sequences that no constant of sorlearn was tuned on, and none shall be; generators as in ``sequences.py``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import scipy.sparse as sp
from applications import lognormal, squares
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree
from sequences import Instance, diffusion, wander


def plate(seed: int, n: int = 32) -> Iterator[Instance]:
    """A vibrating plate by the 13-point stencil: couplings of both signs; the time step wanders."""
    rng = np.random.default_rng(1000 + seed)
    L = diffusion(np.ones((n, n)))
    for decade in wander(rng, -2, 2, 0.15):
        yield Instance((sp.eye(n * n) + 10**decade * (L @ L)).tocsr(), rng.standard_normal(n * n))


def bursts(seed: int, n: int = 40) -> Iterator[Instance]:
    """Diffusion in a heterogeneous medium; reactions that flare up somewhere and die away."""
    rng = np.random.default_rng(1000 + seed)
    L, (x, y) = diffusion(lognormal(rng, (n, n), 2.0, 1.5)), squares(n)
    reaction = np.zeros((n, n))
    while True:
        reaction *= 0.8
        if rng.random() < 0.15:
            cx, cy = rng.random(2)
            reaction += 10 ** rng.uniform(0, 3) * (((x - cx) ** 2 + (y - cy) ** 2) < 0.06)
        b = rng.standard_normal(n * n)
        yield Instance((sp.diags(1 + reaction.ravel()) + 30.0 * L).tocsr(), b)


def penalty(seed: int, n: int = 28) -> Iterator[Instance]:
    """Stokes-like: two velocity components coupled by a penalty on their divergence, which wanders."""
    rng = np.random.default_rng(1000 + seed)
    L, one = diffusion(np.ones((n, n))), sp.eye(n)
    slope = sp.diags([-1, 1], [0, 1], shape=(n, n))
    D = sp.hstack([sp.kron(slope, one), sp.kron(one, slope)])
    for decade, mass in zip(wander(rng, -1, 1.5, 0.1), wander(rng, -3, 0, 0.1)):
        A = sp.block_diag([L, L]) + 10**decade * D.T @ D + 10**mass * sp.eye(2 * n * n)
        yield Instance(A.tocsr(), rng.standard_normal(2 * n * n))


def graph(seed: int, n: int = 1500) -> Iterator[Instance]:
    """A network of near neighbours whose links have strengths over two decades and fail at times."""
    rng = np.random.default_rng(1000 + seed)
    near = cKDTree(points := rng.random((n, 2))).query(points, 7)[1][:, 1:]
    i, j = np.repeat(np.arange(n), 6), near.ravel()
    strength = np.exp(rng.standard_normal(len(i)))
    for decade in wander(rng, -3.5, -0.5, 0.15):
        w = np.where(rng.random(len(i)) < 0.05, 1e-3, strength)
        W = sp.csr_matrix((w, (i, j)), (n, n))
        W = W + W.T
        A = sp.diags(np.asarray(W.sum(axis=1)).ravel() + 10**decade) - W
        yield Instance(A.tocsr(), rng.standard_normal(n))


def swirl(seed: int, n: int = 12) -> Iterator[Instance]:
    """Anisotropic diffusion in 3-D under a wind that turns and rises and falls, upwind."""
    rng = np.random.default_rng(1000 + seed)
    one, t = sp.eye(n), 0
    for peclet, decade in zip(wander(rng, 0, 2, 0.1), wander(rng, -0.5, 2, 0.1)):
        t += 1
        wind = 10**peclet / (n + 1) * np.array([np.cos(0.07 * t), np.sin(0.07 * t), 0.3])
        total: Any = sp.eye(n**3)
        for axis, (w, k) in enumerate(zip(wind, (1.0, 0.3, 0.05))):
            lower, upper = k + max(w, 0.0), k + max(-w, 0.0)
            factors = [one, one, one]
            factors[axis] = sp.diags([-lower, lower + upper, -upper], [-1, 0, 1], shape=(n, n))
            total = total + 10**decade * sp.kron(sp.kron(*factors[:2]), factors[2])
        yield Instance(total.tocsr(), rng.standard_normal(n**3))


def reservoir(seed: int, n: int = 40) -> Iterator[Instance]:
    """Pressure between wells in a closed reservoir; time steps grow by a quarter until one is rejected."""
    rng = np.random.default_rng(1000 + seed)
    T = diffusion(lognormal(rng, (n, n), 3.0, 2.0))
    T = T - sp.diags(np.asarray(T.sum(axis=1)).ravel())  # nothing flows through the rim
    wells = np.zeros((n, n))
    p, dt = rng.standard_normal(n * n), 0.1
    while True:
        if rng.random() < 0.05:
            wells[tuple(rng.integers(0, n, 2))] = rng.choice([-1.0, 1.0])
        A = (sp.eye(n * n) / dt + T).tocsr()
        b = p / dt + wells.ravel()
        yield Instance(A, b, p.copy())
        p = splu(A.tocsc()).solve(b)
        dt = dt * 1.25 if dt < 1e3 * rng.random() else 0.1
