"""Symmetric SOR in Eisenstat's form, in which a sweep spares the multiplication, for `-pc_sorlearn_pc_type eisenstat`.

PCEISENSTAT replaces operator, right-hand side and solution for as long as a solve takes.  Its residual is
(L + D/ω)⁻¹r, which says little of the true one: natively many times the tolerance may be left of that.  So the true
residual is what the user is taken to have asked for, and tolerances are tightened until it passes, at the safe ω, too.

S. Eisenstat, *Efficient implementation of a class of preconditioned conjugate gradient methods*, SIAM J. Sci. Stat.
Comput. 2 (1981).
"""

from __future__ import annotations

import ctypes
from math import inf, log10
from typing import Any

from petsc4py import PETSc

from ..errors import MatrixError
from ..tuning.record import Verdict
from . import say
from .applier import Applier
from .clib import PetscBool, library
from .locks import writable
from .tolerances import Tolerances
from .usertest import test_of

#: MatSORType of petscmat.h: from zero, forward, this process's part.
_FORWARD = 16 + 4
_PLAIN = "pc_eisenstat_no_diagonal_scaling"
_NATURAL, _UNPRECONDITIONED = int(PETSc.KSP.NormType.NATURAL), int(PETSc.KSP.NormType.UNPRECONDITIONED)


class Eisenstat(Applier):
    """PCEISENSTAT inside another PC.

    Parameters
    ----------
    prefix : str
        Options prefix of the other PC; `-pc_eisenstat_no_diagonal_scaling` given for it holds.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._database = PETSc.Options(prefix)
        self._pc: Any = None
        self._A: Any = None  # the other PC's operator, during a solve
        self._vectors: list[Any] = []

    def __str__(self) -> str:
        return "symmetric, in Eisenstat's form"

    def set_up(self, pc: Any) -> None:
        """Take over the other PC's matrices.  Collective; raises MatrixError on several ranks."""
        if pc.comm.getSize() > 1:
            name = f"-{self._prefix}pc_sorlearn_pc_type"
            text = f"{name} eisenstat: Eisenstat's form is for one rank only; remedy: {name} sor"
            say.once(pc.comm, self._prefix, text)
            raise MatrixError(text)
        if self._A is not None:
            if pc.getOperators()[0] == self._pc.getOperators()[0]:  # in a solve: the diagonal is new, no more
                return self._pc.setUp()
            self.reset()
        if self._pc is None:
            self._pc = PETSc.PC().create(pc.comm)
            self._pc.setType("eisenstat")
            if self._database.hasName(_PLAIN):
                _call("PCEisenstatSetNoDiagonalScaling", self._pc, PetscBool(self._database.getBool(_PLAIN)))
        self._pc.setOperators(*pc.getOperators())
        self._pc.setUp()

    def reset(self) -> None:
        """Let go of the matrices, also out of a solve that ended in an error."""
        if self._A is not None:  # PCEISENSTAT has swapped them without counting references
            self._pc.getOperators()[0].incRef()
            self._pc.setOperators(self._A, self._pc.getOperators()[1])
            self._A.decRef()
        for each in (*self._vectors, *([self._pc] if self._pc is not None else [])):
            each.destroy()
        self._pc, self._A, self._vectors = None, None, []

    def begin(self, pc: Any, ksp: Any, omega: float) -> None:
        """A solve of the other PC's KSP begins, unless another KSP will iterate for that.  Collective."""
        if _delegates(ksp):
            return
        if self._A is not None:  # the one before ended in an error
            A = self._A
            self.reset()
            pc.setOperators(A, pc.getOperators()[1])
            self.set_up(pc)
        A, P = pc.getOperators()
        _call("PCEisenstatSetOmega", self._pc, ctypes.c_double(omega))
        with writable(ksp.getRhs()):
            _call("PCPreSolve", self._pc, ksp)
        self._A = A
        pc.setOperators(self._pc.getOperators()[0], P)

    def end(self, pc: Any, ksp: Any) -> None:
        """It has ended.  Collective."""
        if _delegates(ksp):
            return
        with writable(ksp.getRhs()):
            _call("PCPostSolve", self._pc, ksp)
        A, self._A = self._A, None
        pc.setOperators(A, pc.getOperators()[1])

    def apply(self, A: Any, x: Any, y: Any, omega: float) -> None:
        """What PCEISENSTAT still applies: the diagonal."""
        self._pc.apply(x, y)

    def apply_transpose(self, A: Any, x: Any, y: Any, omega: float) -> None:
        """Likewise."""
        self._pc.applyTranspose(x, y)

    def judge(
        self, ksp: Any, b: Any, x: Any, omega: float, tolerances: Tolerances, before: float | None
    ) -> Verdict | None:
        """What the answer x at `omega` is worth by its true residual; None where that can't be said.  Collective.

        Parameters
        ----------
        tolerances : Tolerances
            The user's.
        before : float or None
            First residual norm in the KSP's own norm, from a zero guess.
        """
        test, own = test_of(ksp), ksp.getResidualNorm()
        if test.from_initial and ksp.guess_nonzero:
            return None
        if not self._vectors:
            self._vectors = [b.duplicate(), b.duplicate()]
        r, z = self._vectors
        A, P = ksp.getOperators()
        if before is None or ksp.guess_nonzero:
            P.SOR(b, r, omega, _FORWARD, 0.0, 1, 1)
            self._pc.apply(r, z)
            norm = int(ksp.norm_type)
            before = abs(z.dot(r)) ** 0.5 if norm == _NATURAL else (r if norm == _UNPRECONDITIONED else z).norm()
        A.mult(x, r)
        r.aypx(-1.0, b)
        if A.getTransposeNullSpace():
            A.getTransposeNullSpace().remove(r)
        true, scale = r.norm(), b.norm()
        if not all(0.0 < each < inf for each in (own, before, true, scale)):
            return None
        allowed = max(tolerances.rtol * scale, tolerances.atol)
        relative = log10((true / scale) / (own / before))
        lacks = log10(true / allowed) if test.default and allowed > 0.0 else relative
        return Verdict(lacks=lacks, relative=relative, absolute=log10(true / own), true=relative)


def _delegates(ksp: Any) -> bool:
    """Whether this is `sorlearn.KSP`, whose inner KSP has the same preconditioner."""
    return ksp.getType() == "python" and getattr(ksp.getPythonContext(), "inner", None) is not None


def _call(name: str, pc: Any, last: Any) -> None:
    error = getattr(library(), name)(
        ctypes.c_void_p(pc.handle), ctypes.c_void_p(last.handle) if hasattr(last, "handle") else last
    )
    if error:
        raise PETSc.Error(error)
