"""Solvers that are alive when the interpreter ends: they save what they learned and let go of their Python contexts.

PETSc 3.18 would crash otherwise.
"""

from __future__ import annotations

import atexit
import ctypes
from functools import cache
from typing import Any

from petsc4py import PETSc

from .clib import library

#: By the address of a PC or KSP: the function that sets its type, and a type without Python.
_harmless: dict[int, tuple[str, bytes]] = {}


def enter(solver: Any) -> None:
    """This PC or KSP is alive."""
    _harmless[solver.handle] = ("PCSetType", b"none") if isinstance(solver, PETSc.PC) else ("KSPSetType", b"preonly")
    _register()


def leave(solver: Any) -> None:
    """This one isn't any more."""
    _harmless.pop(solver.handle, None)


@cache
def _register() -> None:
    """After what prints summaries, which is to come later."""
    atexit.register(_at_exit)


def _at_exit() -> None:
    if PETSc.Sys.isInitialized() and not PETSc.Sys.isFinalized():
        for handle in list(_harmless):
            if handle in _harmless:  # one inside another goes with it
                set_type, harmless = _harmless[handle]
                library()[set_type](ctypes.c_void_p(handle), harmless)
