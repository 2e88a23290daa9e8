"""The preconditioner of the arm in use, where the outer KSP has its PC."""

from __future__ import annotations

from typing import Any

from petsc4py import PETSc

from ..errors import OptionError
from . import alive


class InUse:
    """Stands where the outer KSP has its PC, for the preconditioner of the arm in use.

    Parameters
    ----------
    solver : KSP
        Whose `arms` they are.
    """

    def __init__(self, solver: Any) -> None:
        self._solver = solver

    def setUp(self, pc: Any) -> None:
        """Each arm sets itself up; the one in use may be applied before it solves."""
        if self._solver.arms is not None:
            self._solver.arms.in_use.pc.setOperators(*pc.getOperators())

    def destroy(self, pc: Any) -> None:
        """The end of the PC, or of its Python context."""
        alive.leave(pc)

    def apply(self, pc: Any, x: Any, y: Any) -> None:
        """y = M⁻¹x.  Collective."""
        self._in_use(pc).apply(x, y)

    def applyTranspose(self, pc: Any, x: Any, y: Any) -> None:
        """y = M⁻ᵀx.  Collective."""
        self._in_use(pc).applyTranspose(x, y)

    def _in_use(self, pc: Any) -> Any:
        if self._solver.arms is None:
            name = f"-{(pc.getOptionsPrefix() or '').removesuffix('sorlearn_in_use_')}"
            raise OptionError(f"{name}sorlearn_arms: the KSP isn't sorlearn.KSP any more, whose arms had the "
                              f"preconditioner; remedy: set {name}pc_type, too")  # fmt: skip
        return self._solver.arms.in_use.pc

    def view(self, pc: Any, viewer: Any) -> None:
        """What `-ksp_view` shows of the arms."""
        if self._solver.arms is not None and viewer.getType() == PETSc.Viewer.Type.ASCII:
            for line in self._solver.arms.state():
                viewer.printfASCII(f"  {line}\n")
