"""Applying PETSc's SOR with a given ω."""

from __future__ import annotations

import ctypes
from typing import Any, Callable

from petsc4py import PETSc

from ..errors import MatrixError
from .applier import Applier
from .clib import PetscInt, library

# MatSORType of petscmat.h; petsc4py's names for them differ between versions.
_ZERO_GUESS = 16
_SWEEPS = {
    "symmetric": 3, "backward": 2, "forward": 1,
    "local_symmetric": 12, "local_backward": 8, "local_forward": 4,
}  # fmt: skip
#: Matrix types whose SOR refuses every ω but 1.
ONLY_ONE = ("seqbaij", "mpibaij")
_factor_error = library().MatFactorGetError


class Sweeps(Applier):
    """Kind and number of sweeps: what `-pc_sor_*` says for a prefix.

    Parameters
    ----------
    options : petsc4py.PETSc.Options
        With the prefix of the solver.
    """

    def __init__(self, options: Any):
        self.kind = "local_symmetric"
        for kind in _SWEEPS:
            if options.getBool("pc_sor_" + kind, False):
                self.kind = kind
        self.shift = options.getReal("pc_sor_diagonal_shift", 0.0)
        self.its = options.getInt("pc_sor_its", 1)
        self.lits = options.getInt("pc_sor_lits", 1)
        self._failure = ctypes.c_int()
        self._failure_place = ctypes.byref(self._failure)
        self.flags = _SWEEPS[self.kind] | _ZERO_GUESS
        casts_shift = PETSc.Sys.getVersion() < (3, 20, 0) and self.shift != int(self.shift)
        self.sweep: Callable[[Any, Any, Any, float], None] = self._by_address if casts_shift else self._direct()

    def __str__(self) -> str:
        return f"type = {self.kind}, iterations = {self.its}, local iterations = {self.lits}"

    def _direct(self) -> Callable[[Any, Any, Any, float], None]:
        flags, shift, its, lits = self.flags, self.shift, self.its, self.lits

        def sweep(A: Any, x: Any, y: Any, omega: float) -> None:  # nothing is looked up: every iteration comes here
            A.SOR(x, y, omega, flags, shift, its, lits)

        return sweep

    def _by_address(self, A: Any, x: Any, y: Any, omega: float) -> None:
        """The same through C: petsc4py before 3.20 turns a fractional shift into an integer."""
        handle, integer, real = ctypes.c_void_p, ctypes.c_int, ctypes.c_double
        error = library().MatSOR(
            handle(A.handle), handle(x.handle), real(omega), integer(self.flags), real(self.shift),
            PetscInt(self.its), PetscInt(self.lits), handle(y.handle),
        )  # fmt: skip
        if error:
            raise PETSc.Error(error)

    def pass_on_failure(self, pc: Any, A: Any) -> None:
        """Make what the last sweep found wrong with the matrix the PCFailedReason, as PCSOR does; KSPs ask for it."""
        passed_on = self._failure.value
        _factor_error(ctypes.c_void_p(A.handle), self._failure_place)
        if passed_on or self._failure.value:
            library().PCSetFailedReason(ctypes.c_void_p(pc.handle), self._failure)

    def apply(self, A: Any, x: Any, y: Any, omega: float) -> None:
        self.sweep(A, x, y, omega)

    def apply_transpose(self, A: Any, x: Any, y: Any, omega: float) -> None:
        """The same, where the sweeps are their own transpose, as PCSOR does."""
        known, symmetric = A.isSymmetricKnown()
        if not (known and symmetric and self.kind in ("symmetric", "local_symmetric")):
            raise MatrixError(
                "SOR has a transpose only for a symmetric matrix (MatSetOption MAT_SYMMETRIC) "
                "and symmetric sweeps (-pc_sor_symmetric, -pc_sor_local_symmetric)"
            )
        self.sweep(A, x, y, omega)
