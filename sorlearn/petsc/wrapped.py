"""A PC of PETSc inside another one, set up only when it is told to be."""

from __future__ import annotations

import ctypes
from typing import Any

from petsc4py import PETSc

from ..errors import OptionError
from .clib import PetscBool, library

#: Types that change the operator or the right-hand side around a solve, and have next to no set-up or a fixed one.
_AROUND_A_SOLVE = ("eisenstat", "bddc", "deflation")
_failed_reason, _set_failed_reason = library().PCGetFailedReason, library().PCSetFailedReason


def reuses(pc: Any) -> bool:
    """Whether the application has said that the preconditioner stays as it is (KSPSetReusePreconditioner)."""
    flag = PetscBool(0)
    library().PCGetReusePreconditioner(ctypes.c_void_p(pc.handle), ctypes.byref(flag))
    return bool(flag.value)


class Wrapped:
    """Made from the options under its prefix when it is first set up; it has the outer PC's operators and DM.

    `-pc_type` of the prefix is any that PETSc has.

    Parameters
    ----------
    stem : str
        What its prefix has behind the outer PC's.
    kind : str, optional
        Its type where none is given; otherwise PETSc's default.

    Attributes
    ----------
    pc : petsc4py.PETSc.PC or None
        The inner PC.
    """

    def __init__(self, stem: str = "lag_", kind: str | None = None) -> None:
        self.pc: Any = None
        self._stem, self._kind = stem, kind
        self._reason = ctypes.c_int()
        self._reason_place = ctypes.byref(self._reason)

    def set_up(self, outer: Any, anew: bool) -> None:
        """Set it up for the outer PC's operators, from nothing if `anew`.  Collective.

        Raises OptionError, on all ranks, for a type that can't be wrapped.
        From nothing, because some types keep parts of the first set-up for ever (GAMG its interpolation).
        """
        if anew or self.pc is None:
            self.destroy()
            self._make(outer)
        self.pc.setReusePreconditioner(False)
        self.pc.setOperators(*outer.getOperators())
        self.pc.setUp()
        self.pc.setUpOnBlocks()
        self.pass_on_failure(outer)

    def _make(self, outer: Any) -> None:
        self.pc = PETSc.PC().create(outer.comm)
        prefix = (outer.getOptionsPrefix() or "") + self._stem
        self.pc.setOptionsPrefix(prefix)
        self.pc.incrementTabLevel(1, parent=outer)
        self.pc.setOperators(*outer.getOperators())
        dm = outer.getDM()
        if dm:
            self.pc.setDM(dm)
        if self._kind:
            self.pc.setType(self._kind)
        self.pc.setFromOptions()
        kind = self.pc.getType()
        if kind in _AROUND_A_SOLVE:
            name = f"-{outer.getOptionsPrefix() or ''}"
            raise OptionError(f"-{prefix}pc_type {kind}: must be a PC that leaves operator and right-hand side "
                              f"as they are; remedy: {name}pc_type {kind}, without sorlearn.Lag")  # fmt: skip

    def keep(self, outer: Any) -> None:
        """Give it the outer PC's operators, and leave its set-up as it is.  Collective."""
        self.pc.setReusePreconditioner(True)
        self.pc.setOperators(*outer.getOperators())

    def settle(self) -> None:
        """To be called after the first application: what was put off till then has been set up, too.  Collective."""
        self.pc.setReusePreconditioner(True)  # or it would be set up when the application changes the matrix

    def pass_on_failure(self, outer: Any) -> bool:
        """Make its PCFailedReason the outer PC's, KSPs ask for it, and return whether there is one on this rank."""
        _failed_reason(ctypes.c_void_p(self.pc.handle), self._reason_place)
        _set_failed_reason(ctypes.c_void_p(outer.handle), self._reason)
        return bool(self._reason.value)

    def destroy(self) -> None:
        """Let go of the inner PC."""
        if self.pc is not None:
            self.pc.destroy()
        self.pc = None
