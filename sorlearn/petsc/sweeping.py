"""Applying the preconditioner: a sweep, what its errors mean to the user, and a look at the solve now and then."""

from __future__ import annotations

from typing import Any

from petsc4py import PETSc

from ..errors import MatrixError
from . import say
from .applier import Applier
from .context import identity
from .eisenstat import Eisenstat
from .rescue import Rescue
from .sor import Sweeps
from .unattended import Unattended

#: PETSC_ERR_SUP.
_NO_SUPPORT = 56


class Sweeping:
    """Of one PC, which lends its rooms; with fast.c only what is beside the sweeps comes here.

    Attributes
    ----------
    prefix : str
        Options prefix of the solver.
    sweeps : Sweeps
        SOR as the user configured it.
    applier : Applier
        What is applied: these sweeps, or their other form.
    A : petsc4py.PETSc.Mat or None
        Preconditioning matrix of the solve under way.
    watched : bool
        Whether ω is judged by the solve under way.
    """

    def __init__(self, unattended: Unattended, rescue: Rescue) -> None:
        self._unattended, self._rescue = unattended, rescue
        self.prefix, self.watched = "", False
        self.sweeps: Sweeps | None = None
        self.applier: Applier | None = None
        self.A: Any = None
        self._ksp = 0
        self.count_down(1)

    @property
    def plain(self) -> bool:
        """Whether nothing but sweeps is applied, as fast.c can."""
        return self.applier is self.sweeps

    def configure(self, database: Any, in_eisenstats_form: bool) -> None:
        """Take over what the user wants applied."""
        self.applier = self.sweeps = Sweeps(database)
        self._rescue.form = None
        if in_eisenstats_form:
            self.applier = self._rescue.form = Eisenstat(self.prefix)

    def reset(self) -> None:
        """Let go of the matrix."""
        self.A, self.watched = None, False
        if self.applier is not None:
            self.applier.reset()

    def watch(self, pc: Any, ksp: Any) -> None:
        """The solve of this KSP is under way."""
        self.A, self.watched, self._ksp = pc.getOperators()[1], True, identity(ksp)

    def within(self, ksp: Any) -> bool:
        """Whether another KSP's solve is, or an error has ended it."""
        state = self._unattended.state
        if not (self.watched or state.running):
            return False
        return identity(ksp) != (state.solver if state.running else self._ksp)

    def begin(self) -> None:
        """A solve begins, or has ended: nothing is to be looked after but what fast.c does by itself."""
        self.count_down(0 if self._unattended.attached else 1)

    def count_down(self, applications: int) -> None:
        """Look after something after so many applications, 0 for never; what fails fast.c passes on by itself."""
        self._countdown = self._unattended.state.countdown = applications

    def apply(self, pc: Any, x: Any, y: Any) -> None:
        """y = M⁻¹x; after fast.c's own sweep, or error, only what is to be looked after then.  Collective."""
        if self._unattended.attached and self._swept(pc):
            return
        try:
            self.applier.apply(self.A or pc.getOperators()[1], x, y, self._unattended.state.omega)
        except PETSc.Error as error:
            say.explain(pc, self.prefix, self.sweeps, error)
            raise
        self._countdown -= 1
        if not self._countdown:
            self._look_after(pc)

    def _swept(self, pc: Any) -> bool:
        state = self._unattended.state
        if state.error:
            say.explain(pc, self.prefix, self.sweeps, PETSc.Error(state.error))
        elif state.swept:
            self.count_down(self._rescue.lent.watch())
        return bool(state.error or state.swept)

    def _look_after(self, pc: Any) -> None:
        """Pass on that a pivot was zero, as PCSOR does; give the KSP its tolerances back, or cut it off."""
        self.sweeps.pass_on_failure(pc, self.A or pc.getOperators()[1])
        self.count_down(self._rescue.lent.watch() if self.watched else 1)

    def apply_transpose(self, pc: Any, x: Any, y: Any) -> None:
        """y = M⁻ᵀx, for symmetric matrices and sweeps.  Collective."""
        self._rescue.applied_transpose = True
        try:
            self.applier.apply_transpose(pc.getOperators()[1], x, y, self._unattended.state.omega)
        except (MatrixError, PETSc.Error) as error:
            say.explain(pc, self.prefix, self.sweeps, error)
            refusal = PETSc.Error(_NO_SUPPORT) if isinstance(error, MatrixError) else error  # PCSOR's code
            if not self._unattended.returns(refusal):
                raise refusal from (error if refusal is not error else None)
