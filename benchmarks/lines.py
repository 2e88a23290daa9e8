"""Solvers that take turns: all solve one system before the next one comes, so that what disturbs the machine disturbs
all of them, and caches are as cold as in an application that does other things between its solves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from time import process_time
from typing import Any

import numpy as np
import scipy.sparse as sp
from petsc4py import PETSc
from sequences import Instance

_prefixes = count()


class Grid:
    """Callbacks of a DM for a tensor grid of interior points, which multigrid coarsens by halves."""

    def __init__(self, shape: tuple[int, ...], comm: Any):
        self.shape, self.comm = shape, comm

    def dm(self) -> Any:
        """A shell that knows its vectors, its coarser grid and the interpolation from there."""
        dm = PETSc.DMShell().create(self.comm)
        dm.setAttr("grid", self)
        dm.setCreateGlobalVector(lambda dm: PETSc.Vec().createMPI(int(np.prod(self.shape)), comm=self.comm))
        dm.setCoarsen(lambda dm, comm: Grid(tuple((n - 1) // 2 for n in self.shape), self.comm).dm())
        dm.setCreateInterpolation(lambda coarse, fine: (interpolation(coarse, fine), None))
        return dm

    def give_to(self, ksp: Any) -> None:
        """Have a KSP's multigrid use it, and nothing else."""
        ksp.setDM(self.dm())
        ksp.setDMActive(*([ksp.DMActive.ALL] if hasattr(ksp, "DMActive") else []), False)  # PETSc 3.26; 3.18


def interpolation(coarse: Any, fine: Any) -> Any:
    """Linear in each direction."""
    P: Any = sp.eye(1)
    for m, n in zip(coarse.getAttr("grid").shape, fine.getAttr("grid").shape):
        at = np.arange(1, n + 1) / (n + 1)
        hats = [np.interp(at, np.arange(m + 2) / (m + 1), np.eye(m + 2)[j]) for j in range(1, m + 1)]
        P = sp.kron(P, sp.csr_matrix(np.array(hats).T))
    return distributed(P.tocsr(), fine.getAttr("grid").comm)


def distributed(A: sp.csr_matrix, comm: Any) -> Any:
    """The matrix, in PETSc's default distribution."""
    rows, columns = (PETSc.Vec().createMPI(n, comm=comm) for n in A.shape)
    (low, high), local = rows.getOwnershipRange(), columns.getLocalSize()
    part = A[low:high]
    sizes = ((high - low, A.shape[0]), (local, A.shape[1]))
    return PETSc.Mat().createAIJ(sizes, csr=(part.indptr, part.indices, part.data), comm=comm)


class Line:
    """One of them: its KSP or, with `choose`, the KSPs among which that chooses, and what its solves have taken.

    Parameters
    ----------
    words : sequence of str
        The options of each KSP.
    shape : tuple of int
        Of the grid; empty where there is none.
    symmetric : bool, optional
        What the matrices are said to be, if anything.
    choose : callable, optional
        ``choose(step, seconds)`` is told what the last solve took, and says which KSP solves; what that leaves
        unsolved is repeated with the first one.

    Attributes
    ----------
    seconds : list of float
        CPU time of every solve on this rank.
    iterations, failed : int
        Of all of them; those that were left unsolved.
    """

    def __init__(self, words: Sequence[str], shape: tuple[int, ...], comm: Any, symmetric: bool | None = None,
                 choose: Callable[[int, float], int] | None = None) -> None:  # fmt: skip
        self.seconds: list[float] = []
        self.iterations = self.failed = 0
        self.solvers: list[Any] = []
        self._words, self._shape, self._comm = words, shape, comm
        self._symmetric, self._choose = symmetric, choose
        self._last: Any = None

    def _begin(self, instance: Instance) -> None:
        self._A = A = distributed(instance.A, self._comm)
        if self._symmetric is not None:
            A.setOption(PETSc.Mat.Option.SYMMETRIC, self._symmetric)
        self._x, self._b = A.createVecs()
        self._rows = slice(*self._b.getOwnershipRange())
        for words in self._words:
            # a prefix that no other has had: what one has learned another would go on with
            prefix = f"line{next(_prefixes)}_"
            PETSc.Options().insertString(re.sub("(^| )-", rf"\1-{prefix}", words))
            ksp = PETSc.KSP().create(self._comm)
            ksp.setOptionsPrefix(prefix)
            if self._shape:
                Grid(self._shape, self._comm).give_to(ksp)
            ksp.setOperators(A)
            ksp.setFromOptions()
            self.solvers.append(ksp)

    def solve(self, instance: Instance) -> None:
        """Solve the next system.  Collective."""
        if not self.solvers:
            self._begin(instance)
        elif instance.A is not self._last:
            part = instance.A[self._rows]
            self._A.setValuesCSR(part.indptr, part.indices, part.data)
            self._A.assemble()
        self._last = instance.A
        self._b.setArray(instance.b[self._rows])
        before = self.seconds[-1] if self.seconds else 0.0
        chosen = self._choose(len(self.seconds), before) if self._choose else 0
        began = process_time()
        for ksp in [self.solvers[chosen], *self.solvers[: chosen > 0]]:
            self._x.setArray(0.0 if instance.x0 is None else instance.x0[self._rows])
            ksp.setInitialGuessNonzero(instance.x0 is not None)
            ksp.solve(self._b, self._x)
            self.iterations += ksp.getIterationNumber()
            if ksp.getConvergedReason() > 0:
                break
        self.seconds.append(process_time() - began)
        self.failed += ksp.getConvergedReason() < 0

    def destroy(self) -> None:
        """The end of it, and of its options, of which PETSc 3.18 takes 512 in all.  Collective."""
        database, prefixes = PETSc.Options(), tuple(ksp.getOptionsPrefix() for ksp in self.solvers)
        for thing in (*self.solvers, self._A, self._x, self._b):
            thing.destroy()
        for name in database.getAll():
            if name.startswith(prefixes):
                database.delValue(name)


def take_turns(lines: Sequence[Line], sequence: Iterator[Instance], steps: int) -> None:
    """Solve all in turn, in an order that changes.  Collective."""
    rng = np.random.default_rng(0)
    for instance in islice(sequence, steps):
        for k in rng.permutation(len(lines)):
            lines[k].solve(instance)
