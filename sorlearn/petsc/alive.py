"""Solvers that are alive when the interpreter ends: they save what they learned and let go of their Python contexts.

PETSc 3.18 would crash otherwise.  Where PetscFinalize ends the interpreter, newer PETScs have done away with all types
of solvers before; contexts stay then, and nothing asks for them any more.
"""

from __future__ import annotations

import atexit
import ctypes
import sys
import traceback
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from petsc4py import PETSc

from .clib import library


class _Alive(NamedTuple):
    """The function that sets a solver's type, a type without Python, and what gives back what was learned."""

    set_type: str
    harmless: bytes
    leave: weakref.WeakMethod[Callable[[], None]] | None


#: By the address of a PC or KSP.
_alive: dict[int, _Alive] = {}


def enter(solver: Any, leave: Callable[[], None] | None = None) -> None:
    """This PC or KSP is alive.

    Parameters
    ----------
    leave : method, optional
        Of its context, which isn't kept alive: called at the end, before any context goes.  Takes back solves that went
        by without Python and saves what was learned.  Not collective.
    """
    names = ("PCSetType", b"none") if isinstance(solver, PETSc.PC) else ("KSPSetType", b"preonly")
    _alive[solver.handle] = _Alive(*names, leave and weakref.WeakMethod(leave))
    _register()


def created(leave: str) -> Callable[[Any, Any], None]:
    """The `create` of a context, which petsc4py calls when a solver gets it; `leave` names the method as in `enter`."""

    def create(context: Any, solver: Any) -> None:
        enter(solver, getattr(context, leave))

    return create


def leave(solver: Any) -> None:
    """This one isn't any more."""
    _alive.pop(solver.handle, None)


@cache
def _register() -> None:
    """After what prints summaries, which is to come later."""
    atexit.register(_at_exit)


def _at_exit() -> None:
    if PETSc.Sys.isInitialized() and not PETSc.Sys.isFinalized():
        for one in list(_alive.values()):
            _leave(one)
        for handle in list(_alive) if _has_types() else ():
            if handle in _alive:  # one inside another goes with it
                library()[_alive[handle].set_type](ctypes.c_void_p(handle), _alive[handle].harmless)


def _leave(one: _Alive) -> None:
    method = one.leave and one.leave()
    try:
        if method:
            method()
    except Exception:  # the run is over, and others are still to save
        sys.stderr.write(f"sorlearn: at the end of the run:\n{traceback.format_exc()}")


def _has_types() -> bool:
    """Whether PETSc still knows any type of PC and KSP."""
    return all(ctypes.c_void_p.in_dll(library(), name).value for name in ("PCList", "KSPList"))
