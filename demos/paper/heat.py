"""The heat problem of demos/heat2d.py, one linear system a step, for several solvers to be tried on each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import heat2d as simulation
import numpy as np

from .contenders import CG, Contender, matrix, vector
from .model import delsq, numgrid

#: Marches the simulation from step to step.
OMEGA = 1.75


class Step(NamedTuple):
    """A system of the simulation; A, b and u belong to it and change with the next step.

    Attributes
    ----------
    number : int
    A, b : petsc4py.PETSc.Mat, Vec
        I − sL with s = ½ κ Δt, and the right-hand side of Crank–Nicolson.
    u : petsc4py.PETSc.Vec
        The solution so far, from which solves start.
    kappa, dt : float
        Conductivity in the middle of the step, and its length.
    """

    number: int
    A: Any
    b: Any
    u: Any
    kappa: float
    dt: float


def march(n_x: int, steps: int, kappa_of: Any = simulation.conductivity, dt_of: Any = None) -> Iterator[Step]:
    """Steps of the simulation on an n_x × n_x grid; functions of time may give other κ and Δt than the paper's."""
    h = 1.0 / n_x
    L = matrix(delsq(numgrid("S", n_x + 1)) / h**2)
    A, grid = L.duplicate(), h * np.arange(1, n_x)
    x, y = grid[:, None], grid[None, :]
    u = vector(simulation.bump(x, y, (0.5, 0.5), 1 / 4).ravel())
    b, solver, t = u.duplicate(), Contender({**CG, "pc_sor_omega": OMEGA}, guess=True), 0.0
    for number in range(steps):
        length = simulation.DT if dt_of is None else dt_of(t)
        middle = t + length / 2
        kappa = kappa_of(middle)
        L.copy(A, structure=A.Structure.SAME_NONZERO_PATTERN)
        A.scale(0.5 * kappa * length)
        A.shift(1.0)  # A = I − sL, so that (I + sL) u = 2u − Au
        A.mult(u, b)
        b.setArray(2.0 * u.array - b.array + length * simulation.source(x, y, middle).ravel())
        yield Step(number, A, b, u, kappa, length)
        solver.solve(A, b, u)
        t += length
    for thing in solver, L, A, u, b:
        thing.destroy()
