"""The problems' systems: sequences of matrices and right-hand sides, and this process's part of one system."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, NamedTuple

from lag import heat3d, swelling
from lines import distributed
from petsc4py import PETSc
from sequences import Instance, heat2d, jumping3d

from .plan import RTOL, Size

CG = "-{}ksp_type cg -{}ksp_norm_type unpreconditioned"
GMRES = "-{}ksp_type gmres -{}ksp_pc_side right"


class Problem(NamedTuple):
    """A sequence from a seed, its grid's interior points in each direction, and the solver, {} being its prefix."""

    sequence: Callable[[int], Iterator[Instance]]
    shape: tuple[int, ...]
    ksp: str = CG

    @property
    def symmetric(self) -> bool:
        """Whether it is CG's."""
        return self.ksp == CG


KINDS: dict[str, Callable[[int], Problem]] = {
    "heat2d": lambda n: Problem(heat2d(n), (n - 1,) * 2),
    "heat3d": lambda n: Problem(partial(heat3d, n=n - 1), (n - 1,) * 3),
    "blocks3d": lambda n: Problem(partial(jumping3d, n=n - 1), (n - 1,) * 3),
    "convection": lambda n: Problem(partial(swelling, n=n - 1), (n - 1,) * 2, GMRES),
}


def find(name: str) -> Problem:
    """The problem of a name as in ``plan.py``: its kind, and the intervals in each direction."""
    kind, intervals = name.split()
    return KINDS[kind](int(intervals))


def instances(problem: Problem, size: Size) -> Iterator[Instance]:
    """The systems of a run; in parallel every process makes all of each."""
    return islice(problem.sequence(0), 0, size.solves * size.stride, size.stride)


class System:
    """One system after another in the same matrix and vectors.

    Attributes
    ----------
    A, b, x : petsc4py.PETSc.Mat, Vec, Vec
    guess : bool
        Whether solves start from what `assemble` leaves in x.
    """

    def __init__(self, instance: Instance):
        self.A = distributed(instance.A, PETSc.COMM_WORLD)
        self.x, self.b = self.A.createVecs()
        self._residual = self.b.duplicate()
        self.take(instance)
        self.assemble()

    def take(self, instance: Instance) -> None:
        """Have another system, which is assembled next."""
        low, high = self.A.getOwnershipRange()
        part = instance.A[low:high]
        self._rows = part.indptr, part.indices, part.data
        self.guess = instance.x0 is not None
        self._start = instance.x0[low:high] if instance.x0 is not None else 0.0
        self.b.setArray(instance.b[low:high])
        self._norm = self.b.norm()

    def assemble(self) -> None:
        """Assemble it anew, as an application does in every step: nothing that a solver has kept in A stays."""
        self.A.setValuesCSR(*self._rows)
        self.A.assemble()
        self.x.setArray(self._start)

    def residual(self) -> float:
        """‖b − Ax‖/‖b‖."""
        self.A.mult(self.x, self._residual)
        self._residual.aypx(-1.0, self.b)
        return self._residual.norm() / self._norm

    def destroy(self) -> None:
        for thing in self.A, self.b, self.x, self._residual:
            thing.destroy()


def new_ksp(prefix: str, typed: str, system: System) -> Any:
    """A KSP of these options for the system; tolerances are those of all."""
    PETSc.Options().insertString(typed.replace("{}", prefix))
    ksp = PETSc.KSP().create(system.A.comm)
    ksp.setOptionsPrefix(prefix)
    ksp.setOperators(system.A)
    ksp.setTolerances(rtol=RTOL, atol=1e-50, divtol=1e30, max_it=10_000)
    ksp.setFromOptions()
    return ksp
