"""Sequences of linear systems to learn on: generators of :class:`Instance`, from a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.fft import dstn, idstn


class Instance(NamedTuple):
    """A x = b; P is what SOR sweeps (A itself unless given), x0 the initial guess (zero unless given)."""

    A: sp.csr_matrix
    b: np.ndarray
    x0: np.ndarray | None = None
    P: sp.csr_matrix | None = None
    rtol: float = 1e-8


# ---------------------------------------------------------------------------------------------- matrices


def diffusion(coefficient: np.ndarray) -> sp.csr_matrix:
    """−∇·(a ∇) by finite volumes on a grid of unit cells, zero boundary; harmonic means, any dimension."""
    n, shape = coefficient.size, coefficient.shape
    index = np.arange(n).reshape(shape)
    diagonal, rows, cols, values = np.zeros(shape), [], [], []
    for axis in range(coefficient.ndim):
        a, i = np.moveaxis(coefficient, axis, 0), np.moveaxis(index, axis, 0)
        d = np.moveaxis(diagonal, axis, 0)
        face = 2 * a[1:] * a[:-1] / (a[1:] + a[:-1])
        d[1:] += face
        d[:-1] += face
        d[0] += a[0]
        d[-1] += a[-1]
        rows += [i[1:].ravel(), i[:-1].ravel()]
        cols += [i[:-1].ravel(), i[1:].ravel()]
        values += [-face.ravel()] * 2
    A = sp.csr_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(cols))), shape=(n, n))
    return (A + sp.diags(diagonal.ravel())).tocsr()


def stencil(weights: np.ndarray, n: int) -> sp.csr_matrix:
    """The matrix of a 3 × 3 stencil on an n × n grid, zero boundary."""
    shifts = [sp.eye(n, k=k, format="csr") for k in (-1, 0, 1)]
    return sum(weights[i, j] * sp.kron(shifts[i], shifts[j]) for i in range(3) for j in range(3)).tocsr()


def convection(n: int, wind: tuple[float, float]) -> sp.csr_matrix:
    """−Δ + wind·∇ upwind on an n × n grid, scaled by h²."""
    h = 1 / (n + 1)
    total: Any = 0
    for axis, w in enumerate(wind):
        lower, upper = 1 + h * max(w, 0), 1 + h * max(-w, 0)
        one = sp.diags([-lower, lower + upper, -upper], [-1, 0, 1], shape=(n, n))
        total = total + (sp.kron(one, sp.eye(n)) if axis == 0 else sp.kron(sp.eye(n), one))
    return total.tocsr()


def elasticity(n: int, poisson: float) -> sp.csr_matrix:
    """Plane strain on n × n bilinear elements, clamped at the left: two unknowns a node, couplings of both signs."""
    lam, mu = poisson / (1 - 2 * poisson), 0.5
    C = np.array([[lam + 2 * mu, lam, 0], [lam, lam + 2 * mu, 0], [0, 0, mu]])
    K, corner = np.zeros((8, 8)), np.array([[0, 0], [1, 0], [1, 1], [0, 1]])
    for g in np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) / (2 * np.sqrt(3)) + 0.5:
        sign = 2 * corner - 1
        other = np.where(corner[:, ::-1] == 1, g[::-1], 1 - g[::-1])
        grad = sign * other
        B = np.zeros((3, 8))
        B[0, ::2], B[1, 1::2], B[2, ::2], B[2, 1::2] = grad[:, 0], grad[:, 1], grad[:, 1], grad[:, 0]
        K += B.T @ C @ B / 4
    node = np.arange((n + 1) ** 2).reshape(n + 1, n + 1)
    quads = np.stack([node[:-1, :-1], node[1:, :-1], node[1:, 1:], node[:-1, 1:]], axis=-1).reshape(-1, 4)
    dofs = (2 * quads[:, :, None] + np.arange(2)).reshape(-1, 8)
    rows, cols = np.repeat(dofs, 8, axis=1).ravel(), np.tile(dofs, (1, 8)).ravel()
    A = sp.csr_matrix((np.tile(K.ravel(), len(dofs)), (rows, cols)))
    free = np.arange(2 * (n + 1), A.shape[0])
    return A[free][:, free].tocsr()


def bump(x: np.ndarray, y: np.ndarray, centre: tuple[float, float], radius: float) -> np.ndarray:
    square = np.minimum(1, ((x - centre[0]) ** 2 + (y - centre[1]) ** 2) / radius**2)
    inside = square < 1
    return np.where(inside, np.exp(1 - 1 / np.where(inside, 1 - square, 1)), 0)


# ---------------------------------------------------------------------------------------------- sequences


def heat2d(n_x: int, dt: float = 1e-3) -> Callable[[int], Iterator[Instance]]:
    """The heat equation of the paper: κ(t) = max(0.1 sin 2πt, −10 sin 2πt), Crank–Nicolson."""

    def make(seed: int) -> Iterator[Instance]:
        n = n_x - 1
        grid = np.arange(1, n_x) / n_x
        x, y = np.meshgrid(grid, grid, indexing="ij")
        L = diffusion(np.ones((n, n)))
        one = 2 - 2 * np.cos(np.pi * grid)
        eigenvalues = one[:, None] + one
        u = bump(x, y, (0.5, 0.5), 0.25)
        t = 0.0
        while True:
            s = 0.5 * max(0.1 * np.sin(2 * np.pi * (t + dt / 2)), -10 * np.sin(2 * np.pi * (t + dt / 2))) * dt * n_x**2
            angle = 16 * np.pi * (t + dt / 2)
            f = 32 * bump(x, y, (0.5 + np.cos(angle) / 4, 0.5 + np.sin(angle) / 4), 1 / 8)
            b = u.ravel() - s * (L @ u.ravel()) + dt * f.ravel()
            yield Instance((sp.eye(n * n) + s * L).tocsr(), b, u.ravel().copy())
            u = idstn(dstn(b.reshape(n, n), type=1) / (1 + s * eigenvalues), type=1)
            t += dt

    return make


def shifts(seed: int) -> Iterator[Instance]:
    """Laplacian of 100 unknowns, shifted by −.15 + .6 Beta(½, 3/2), as in the paper."""
    rng = np.random.default_rng(seed)
    A, one = diffusion(np.ones((10, 10))), sp.eye(100)
    while True:
        b = rng.standard_normal(100)
        while np.linalg.norm(b) > 10:
            b = rng.standard_normal(100)
        yield Instance((A + (-0.15 + 0.6 * rng.beta(0.5, 1.5)) * one).tocsr(), b)


def constant(n: int = 48, s: float = 20.0) -> Callable[[int], Iterator[Instance]]:
    """One matrix, random right-hand sides."""

    def make(seed: int) -> Iterator[Instance]:
        rng = np.random.default_rng(seed)
        A = (sp.eye(n * n) + s * diffusion(np.ones((n, n)))).tocsr()
        while True:
            yield Instance(A, rng.standard_normal(n * n))

    return make


def jumps(seed: int, n: int = 48) -> Iterator[Instance]:
    """Five diffusion coefficients over four decades, a new one every 40 solves."""
    rng = np.random.default_rng(seed)
    L = diffusion(np.ones((n, n)))
    while True:
        for kappa in rng.permutation(np.logspace(-1, 3, 5)):
            A = (sp.eye(n * n) + kappa * L).tocsr()
            for _ in range(40):
                yield Instance(A, rng.standard_normal(n * n))


def drift(seed: int, n: int = 48) -> Iterator[Instance]:
    """Diffusion swinging slowly over four decades: with its context withheld, a drift that nothing shows."""
    rng = np.random.default_rng(seed)
    L, t = diffusion(np.ones((n, n))), 0
    while True:
        kappa = 10 ** (1 - 2 * np.cos(2 * np.pi * t / 500))
        yield Instance((sp.eye(n * n) + kappa * L).tocsr(), rng.standard_normal(n * n))
        t += 1


def wander(rng: np.random.Generator, low: float, high: float, step: float) -> Iterator[float]:
    """A reflected random walk."""
    x = rng.uniform(low, high)
    while True:
        yield x
        x += step * rng.standard_normal()
        x = low + abs(x - low) if x < high else 2 * high - x


def jumping3d(seed: int, n: int = 12) -> Iterator[Instance]:
    """Coefficients 1 or 100 in blocks of 3³ cells in 3-D; the time step wanders over four decades."""
    rng = np.random.default_rng(seed)
    block = 100.0 ** rng.integers(0, 2, (n // 3,) * 3)
    L = diffusion(np.kron(block, np.ones((3, 3, 3))))
    for decade in wander(rng, -3, 1, 0.2):
        yield Instance((sp.eye(n**3) + 10**decade * L).tocsr(), rng.standard_normal(n**3))


def gmres(seed: int, n: int = 40) -> Iterator[Instance]:
    """Time-dependent convection–diffusion; Péclet number and diffusion number wander."""
    rng = np.random.default_rng(seed)
    for peclet, decade in zip(wander(rng, 0, 2.5, 0.1), wander(rng, -1, 3, 0.15)):
        wind = 10**peclet * np.array([0.8, 0.6])
        yield Instance((sp.eye(n * n) + 10**decade * convection(n, wind)).tocsr(), rng.standard_normal(n * n))


def checkerboard(seed: int, n: int = 40) -> Iterator[Instance]:
    """Coefficients log-uniform over four decades in 8 × 8 squares, new each solve."""
    rng = np.random.default_rng(seed)
    while True:
        a = np.kron(10 ** rng.uniform(-2, 2, (8, 8)), np.ones((n // 8, n // 8)))
        yield Instance(diffusion(a), rng.standard_normal(n * n))


def blocks8(seed: int, n: int = 48) -> Iterator[Instance]:
    """Eight blocks, as on eight ranks, each swept on its own; diffusion wanders."""
    rng = np.random.default_rng(seed)
    L = diffusion(np.ones((n, n)))
    rank = np.arange(n * n) * 8 // (n * n)
    for decade in wander(rng, 0, 3, 0.1):
        A = (sp.eye(n * n) + 10**decade * L).tocoo()
        same = rank[A.row] == rank[A.col]
        P = sp.csr_matrix((A.data[same], (A.row[same], A.col[same])), shape=A.shape)
        yield Instance(A.tocsr(), rng.standard_normal(n * n), P=P)


def rotated(seed: int, n: int = 40) -> Iterator[Instance]:
    """Rotated anisotropy by bilinear elements: couplings of both signs; angle and mass wander."""
    rng = np.random.default_rng(seed)
    for angle, decade in zip(wander(rng, 0, np.pi, 0.1), wander(rng, -3, 0, 0.15)):
        c, s, eps = np.cos(angle), np.sin(angle), 0.1
        a, d, m = c * c + eps * s * s, s * s + eps * c * c, (1 - eps) * c * s
        K = np.array([[-a - d, 2 * a - 4 * d, -a - d], [2 * d - 4 * a, 8 * (a + d), 2 * d - 4 * a],
                      [-a - d, 2 * a - 4 * d, -a - d]]) / 6 + m / 2 * np.array([[-1, 0, 1], [0, 0, 0], [1, 0, -1]])
        yield Instance((10**decade * sp.eye(n * n) + stencil(K.T, n)).tocsr(), rng.standard_normal(n * n))


def elements(seed: int, n: int = 40) -> Iterator[Instance]:
    """A reaction–diffusion step with a bilinear mass matrix: positive couplings when the step is short."""
    rng = np.random.default_rng(seed)
    M = stencil(np.array([[1, 4, 1], [4, 16, 4], [1, 4, 1]]) / 36, n)
    K = stencil(np.array([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]) / 3, n)
    for decade in wander(rng, -2, 3, 0.15):
        yield Instance((M + 10**decade * K).tocsr(), rng.standard_normal(n * n))


def solid(seed: int, n: int = 24) -> Iterator[Instance]:
    """Plane elasticity, two unknowns a node; Poisson's ratio and the mass wander."""
    rng = np.random.default_rng(seed)
    one = sp.eye(2 * n * (n + 1))
    for poisson, decade in zip(wander(rng, 0.1, 0.45, 0.02), wander(rng, -4, 0, 0.15)):
        yield Instance((elasticity(n, poisson) + 10**decade * one).tocsr(), rng.standard_normal(one.shape[0]))


def newton(seed: int, n: int = 40) -> Iterator[Instance]:
    """Two solves a step under one name: a stiff one to few digits, then an easy one to many."""
    rng = np.random.default_rng(seed)
    L = diffusion(np.ones((n, n)))
    for decade in wander(rng, 1, 2, 0.05):
        yield Instance((sp.eye(n * n) + 10**decade * L).tocsr(), rng.standard_normal(n * n), rtol=1e-4)
        yield Instance((sp.eye(n * n) + 0.3 * L).tocsr(), rng.standard_normal(n * n), rtol=1e-9)


def wind3d(seed: int, n: int = 10) -> Iterator[Instance]:
    """Convection–diffusion in 3-D, upwind; wind, anisotropy and time step wander."""
    rng = np.random.default_rng(seed)
    one = sp.eye(n)
    for peclet, decade, thin in zip(wander(rng, 0, 2, 0.1), wander(rng, -1, 2, 0.15), wander(rng, -2, 0, 0.05)):
        total: Any = sp.eye(n**3)
        for axis, (w, k) in enumerate(zip((0.8, 0.5, 0.3), (1, 1, 10**thin))):
            lower = k + 10**peclet * w / (n + 1)
            factors = [one, one, one]
            factors[axis] = sp.diags([-lower, lower + k, -k], [-1, 0, 1], shape=(n, n))
            total = total + 10**decade * sp.kron(sp.kron(*factors[:2]), factors[2])
        yield Instance(total.tocsr(), rng.standard_normal(n**3))


def switching(seed: int, n: int = 36) -> Iterator[Instance]:
    """Diffusion that switches between three strengths every few solves, beside a rough reaction."""
    rng = np.random.default_rng(seed)
    L, reaction = diffusion(np.ones((n, n))), sp.diags(np.exp(2 * rng.standard_normal(n * n)))
    while True:
        for kappa, solves in ((1, 3), (100, 3), (1, 10), (1000, 5)):
            for _ in range(solves):
                yield Instance((reaction + kappa * L).tocsr(), rng.standard_normal(n * n))


def tutorial(seed: int, n: int = 9) -> Iterator[Instance]:
    """A small Poisson matrix with growing right-hand sides, as in PETSc's ksp/ex16."""
    A = diffusion(np.ones((n, n + 1)))
    k = 0
    while True:
        k += 1
        yield Instance(A, A @ (100.0 * k * np.ones(A.shape[0])), rtol=1e-5)


def easy(seed: int, n: int = 40) -> Iterator[Instance]:
    """Mass matrices: ω = 1 is nearly the best there is and everything else loses."""
    rng = np.random.default_rng(seed)
    L = diffusion(np.ones((n, n)))
    while True:
        yield Instance((sp.eye(n * n) + 0.05 * L).tocsr(), rng.standard_normal(n * n))
