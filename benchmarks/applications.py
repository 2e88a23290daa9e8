"""Sequences of linear systems as applications make them; generators as in ``sequences.py``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import scipy.sparse as sp
from scipy.ndimage import gaussian_filter
from scipy.sparse.linalg import splu
from scipy.spatial import Delaunay
from sequences import Instance, diffusion, wander


def squares(n: int, dimensions: int = 2) -> tuple[np.ndarray, ...]:
    """Centres of the cells of a grid on the unit square or cube."""
    return tuple(np.meshgrid(*[(np.arange(n) + 0.5) / n] * dimensions, indexing="ij"))


def lognormal(rng: np.random.Generator, shape: tuple[int, ...], length: float, deviation: float) -> np.ndarray:
    """exp of a Gaussian field with the given correlation length (in cells) and standard deviation."""
    field = gaussian_filter(rng.standard_normal(shape), length, mode="wrap")
    return np.exp(deviation * field / field.std())


def newton_systems(low: float = -3.0, high: float = -1.0, n: int = 40) -> Callable[[int], Iterator[Instance]]:
    """u_t = ∇·(u²∇u) + f by implicit Euler: three systems a step for ever smaller corrections of u.

    The time step wanders between 10^low and 10^high.
    """

    def make(seed: int) -> Iterator[Instance]:
        rng = np.random.default_rng(seed)
        x, y = squares(n)
        u = 0.1 + np.exp(-20 * ((x - 0.3) ** 2 + (y - 0.4) ** 2))
        for angle, decade in zip(wander(rng, 0, 2 * np.pi, 0.1), wander(rng, low, high, 0.1)):
            f = np.exp(-50 * ((x - 0.5 - 0.3 * np.cos(angle)) ** 2 + (y - 0.5 - 0.3 * np.sin(angle)) ** 2))
            new = u
            for _ in range(3):
                A = (sp.eye(n * n) + 10**decade * n**2 * diffusion(new**2 + 1e-3)).tocsr()
                b = (u + 10**decade * 5 * f).ravel() - A @ new.ravel()
                yield Instance(A, b)
                new = np.maximum(new + splu(A.tocsc()).solve(b).reshape(n, n), 0.0)
            u = new

    return make


def moving_interface(low: float = -1.0, high: float = 1.0, n: int = 40) -> Callable[[int], Iterator[Instance]]:
    """A disc that conducts 1000 times better and moves; path and time step (10^low to 10^high) wander."""

    def make(seed: int) -> Iterator[Instance]:
        rng = np.random.default_rng(seed)
        x, y = squares(n)
        for angle, decade in zip(wander(rng, 0, 2 * np.pi, 0.1), wander(rng, low, high, 0.1)):
            inside = (x - 0.5 - 0.25 * np.cos(angle)) ** 2 + (y - 0.5 - 0.25 * np.sin(angle)) ** 2 < 0.04
            A = sp.eye(n * n) + 10**decade * diffusion(np.where(inside, 1000.0, 1.0))
            yield Instance(A.tocsr(), rng.standard_normal(n * n))

    return make


def linear_elements(points: np.ndarray) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Mass and stiffness matrix of P1 elements on the Delaunay triangulation, natural boundary."""
    corners = Delaunay(points).simplices
    p = points[corners]
    edge = np.stack([p[:, 2] - p[:, 1], p[:, 0] - p[:, 2], p[:, 1] - p[:, 0]], axis=1)
    area = abs(edge[:, 0, 0] * edge[:, 1, 1] - edge[:, 0, 1] * edge[:, 1, 0]) / 2
    sound = area > 1e-9  # slivers on the hull
    corners, edge, area = corners[sound], edge[sound], area[sound]
    K = np.einsum("tid,tjd->tij", edge, edge) / (4 * area[:, None, None])
    M = area[:, None, None] * (np.ones((3, 3)) + np.eye(3)) / 12
    rows, cols = np.repeat(corners, 3, axis=1).ravel(), np.tile(corners, (1, 3)).ravel()
    shape = (len(points),) * 2
    return sp.csr_matrix((M.ravel(), (rows, cols)), shape), sp.csr_matrix((K.ravel(), (rows, cols)), shape)


def random_mesh(seed: int, n: int = 1500) -> Iterator[Instance]:
    """Implicit Euler for diffusion by linear elements on random points; the time step wanders."""
    rng = np.random.default_rng(seed)
    M, K = linear_elements(rng.random((n, 2)))
    for decade in wander(rng, -4, -1, 0.15):
        yield Instance((M + 10**decade * K).tocsr(), M @ rng.standard_normal(n))


def heat3d(strength: float = 2.0, roughness: float = 1.0, n: int = 14) -> Callable[[int], Iterator[Instance]]:
    """Heat in a heterogeneous cube with a wandering source; the conductivity swings in time."""

    def make(seed: int) -> Iterator[Instance]:
        rng = np.random.default_rng(seed)
        L = diffusion(lognormal(rng, (n,) * 3, 2.0, roughness))
        x, y, z = squares(n, 3)
        u, t = np.zeros(n**3), 0.0
        while True:
            t += 0.01
            cx, cy = 0.5 + 0.3 * np.cos(9 * t), 0.5 + 0.3 * np.sin(9 * t)
            source = np.exp(-40 * ((x - cx) ** 2 + (y - cy) ** 2 + (z - 0.5) ** 2))
            A = (sp.eye(n**3) + strength * (1.1 + np.sin(2 * np.pi * t)) * L).tocsr()
            b = u + source.ravel()
            yield Instance(A, b, u.copy())
            u = splu(A.tocsc()).solve(b)

    return make


def six_iterations(seed: int, n: int = 40) -> Iterator[Instance]:
    """Diffusion beside a reaction of twice its strength."""
    rng = np.random.default_rng(seed)
    A = (diffusion(np.ones((n, n))) + 2 * sp.eye(n * n)).tocsr()
    while True:
        yield Instance(A, rng.standard_normal(n * n))


def indefinite(seed: int, n: int = 24) -> Iterator[Instance]:
    """Laplacian shifted past its first eigenvalues."""
    rng = np.random.default_rng(seed)
    A = (diffusion(np.ones((n, n))) - 0.3 * sp.eye(n * n)).tocsr()
    while True:
        yield Instance(A, rng.standard_normal(n * n))


def smooth_modes(seed: int, n: int = 40) -> Iterator[Instance]:
    """Right-hand sides that are an eigenvector of the matrix but for a thousandth."""
    rng = np.random.default_rng(seed)
    A = (sp.eye(n * n) + 20.0 * diffusion(np.ones((n, n)))).tocsr()
    grid = np.pi * (np.arange(n) + 0.5) / n
    while True:
        i, j = rng.integers(1, 5, 2)
        mode = np.outer(np.sin(i * grid), np.sin(j * grid)).ravel()
        yield Instance(A, mode + 1e-3 * rng.standard_normal(n * n))
