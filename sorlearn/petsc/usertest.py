"""The test that the user asked for, whichever ω an answer came from.

KSP stops where ‖M⁻¹r‖ ≤ max(rtol ‖M⁻¹b‖, atol), or where √(rᵀM⁻¹r) is in the natural norm, with the M of the ω that it
runs with; the user asked for it with the M of the solver that was configured, SOR at the safe ω.
"""

from __future__ import annotations

import ctypes
from math import inf, log10
from typing import Any, Callable, NamedTuple

from petsc4py import PETSc

from ..tuning.record import Verdict
from .clib import PetscBool, PetscInt, address, convergence_test, file_at, has, library
from .tolerances import Tolerances

_NATURAL = int(PETSc.KSP.NormType.NATURAL)
_TINY = 1e-300


class StoppingTest(NamedTuple):
    """A KSP's convergence test.

    Attributes
    ----------
    function : int
        Address of it.
    from_initial : bool
        Whether PETSc's own measures against the first residual (`-ksp_converged_use_initial_residual_norm`, or the
        lesser of this and the right-hand side).
    plain : bool
        Whether it is PETSc's own and another KSP's with the same tolerances would say the same.
    """

    function: int
    from_initial: bool = False
    plain: bool = False

    @property
    def default(self) -> bool:
        """Whether it is PETSc's own, with the tolerances."""
        return self.function == address("KSPConvergedDefault")

    @property
    def least_squares(self) -> bool:
        """Whether it is PETSc's own of LSQR, which tests the residual of the normal equations, too."""
        return self.function == address("KSPLSQRConvergedDefault")

    @property
    def skips(self) -> bool:
        """Whether nothing is tested, and all iterations are run (`-ksp_convergence_test skip`)."""
        return self.function == address("KSPConvergedSkip")

    @property
    def foreign(self) -> bool:
        """Whether it is one that a part of PETSc has set for its own ends, as SNES does for a trust region."""
        known = ("KSPConvergedDefault", "KSPConvergedSkip", "KSPLSQRConvergedDefault")
        return self.function not in map(address, known) and file_at(self.function) == file_at(address(known[0]))


#: For each inner KSP that is solving, the outer one whose test counts.
outer_of: dict[int, int] = {}


def test_of(ksp: Any) -> StoppingTest:
    """The convergence test that counts for this KSP's solves."""
    handle = outer_of.get(ksp.handle, ksp.handle)
    function, context = convergence_test(handle)
    if handle != ksp.handle and StoppingTest(function).default:
        own = StoppingTest(convergence_test(ksp.handle)[0])
        if own.least_squares:  # stays the inner one's
            return own
    if function != address("KSPConvergedDefault") or not context:
        return StoppingTest(function)
    flags = (PetscBool * 3).from_address(context)  # KSPConvergedDefaultCtx of kspimpl.h begins with them
    return StoppingTest(function, bool(flags[0] or flags[1]), not any(flags) and not _least_iterations(handle))


def _least_iterations(handle: int) -> int:
    """What KSPSetMinimumIterations has set; 3.18 doesn't have it."""
    if not has("KSPGetMinimumIterations"):
        return 0
    least = PetscInt(0)
    library().KSPGetMinimumIterations(ctypes.c_void_p(handle), ctypes.byref(least))
    return least.value


class UserTest:
    """Puts answers to the test; keeps two vectors."""

    def __init__(self) -> None:
        self._vectors: list[Any] = []

    def reset(self) -> None:
        """Let go of the vectors."""
        for vector in self._vectors:
            vector.destroy()
        self._vectors = []

    def judge(
        self,
        ksp: Any,
        b: Any,
        x: Any,
        *,
        sweep: Callable[[Any, Any, Any, float], None] | None,
        omega: float,
        omega_safe: float,
        tolerances: Tolerances,
        nonzero_guess: bool,
        guess: Any,
        before: float | None,
        transposed: bool,
    ) -> Verdict | None:
        """What the answer x at `omega` is worth; None where that can't be said.  Collective.

        Parameters
        ----------
        sweep : callable or None
            ``sweep(P, r, z, omega)`` is z = M⁻¹r; None for z = r.
        tolerances : Tolerances
            The user's.
        nonzero_guess : bool
            Whether the right-hand side isn't the first residual.
        guess : Vec or None
            The initial guess, where it was kept.
        before : float or None
            First residual norm in the KSP's own norm, where that is known.
        """
        A, P = ksp.getOperators()
        test, own = test_of(ksp), ksp.getResidualNorm()
        initial = nonzero_guess and test.from_initial
        if initial and guess is None:
            return None
        if not self._vectors:
            self._vectors = [b.duplicate(), b.duplicate()]
        r, z = self._vectors
        null, left_null = (A.getTransposeNullSpace(), A.getNullSpace()) if transposed else (
            A.getNullSpace(), A.getTransposeNullSpace())  # fmt: skip

        def residual(y: Any) -> None:
            (A.multTranspose if transposed else A.mult)(y, r)
            r.aypx(-1.0, b)
            if left_null:
                left_null.remove(r)

        def norms(*omegas: float) -> list[float]:
            """Of M⁻¹r for these ω, in the KSP's norm."""
            found: list[float] = []
            if sweep is None and not null:
                return [float(r.norm())] * len(omegas)
            for each in omegas:
                sweep(P, r, z, each) if sweep else r.copy(z)
                if null:
                    null.remove(z)
                found.append(abs(z.dot(r)) ** 0.5 if int(ksp.norm_type) == _NATURAL else z.norm())
            return found

        residual(x)
        true, safe = r.norm(), own if omega == omega_safe else norms(omega_safe)[0]
        if initial:
            residual(guess)
        else:
            b.copy(r)
        scale = r.norm()
        unknown = before is None or (nonzero_guess and not initial)
        found = norms(*[omega_safe] * (omega != omega_safe), *[omega] * unknown)
        own_scale = found.pop() if unknown else before
        safe_scale = found.pop() if found else own_scale
        if not all(0.0 < each < inf for each in (safe, true, scale, safe_scale)):
            return None
        if not (0.0 < own < inf and 0.0 < own_scale < inf):  # of a KSP that measures nothing, such as preonly
            own, own_scale = safe, safe_scale
        allowed = max(tolerances.rtol * safe_scale, tolerances.atol)
        relative = log10((safe / safe_scale) / (own / own_scale))
        return Verdict(
            lacks=log10(max(safe, _TINY) / allowed) if test.default and allowed > 0.0 else relative,
            relative=relative,
            absolute=log10(safe / own),
            true=log10((true / scale) / (own / own_scale)),
        )
