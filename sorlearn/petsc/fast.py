"""What Python and fast.c know together of one PC, and whether there is a fast.c for the PETSc that is running."""

from __future__ import annotations

import ctypes
import os
import shlex
from functools import cache
from typing import Any

from petsc4py import PETSc

from .build import HERE, library_name

_integer, _real, _pointer = ctypes.c_int64, ctypes.c_double, ctypes.c_void_p
#: Set to 0, sorlearn does without.
SWITCH = "SORLEARN_FAST"


def _fields(kind: Any, names: str) -> list[tuple[str, Any]]:
    return [(name, kind) for name in names.split()]


#: Solves of which all is kept.
KEPT = 512


class Kept(ctypes.Structure):
    """A solve that has repeated a decision."""

    _fields_ = [*_fields(_real, "omega seconds"), *_fields(_integer, "iterations reason applications")]


class Loan(ctypes.Structure):
    """struct Loan of fast.c, which says what the fields are."""

    _fields_ = [
        ("ksp", _pointer),
        ("strict", _integer),
        *_fields(_real, "rtol atol tight_rtol tight_atol"),
        *_fields(_integer, "max_it limit"),
    ]


class State(ctypes.Structure):
    """struct State of fast.c, which says what the fields are."""

    _fields_ = [
        *_fields(_pointer, "next pc setup apply applytranspose presolve postsolve"),
        *_fields(_real, "omega last shift"),
        *_fields(_integer, "flags its lits countdown swept error"),
        ("kind", ctypes.c_char * 64),
        *_fields(_integer, "solver norm holds"),
        ("inner", _pointer),
        ("set_up", _real),
        *_fields(_integer, "wraps fresh applications left patience"),
        *_fields(_real, "chosen least most safe fallback"),
        *_fields(_integer, "repairable limit early"),
        *_fields(_real, "tighten_rtol tighten_atol least_rtol easy"),
        *_fields(_pointer, "test guess"),
        *_fields(_integer, "matrix matrix_state row place rows"),
        *_fields(_real, "here rho scale gap epsilon weight farthest u u_low u_high u_least u_most drift rate"),
        *_fields(_integer, "running limited transposed"),
        ("ksp", _pointer),
        ("loan", Loan),
        *_fields(_real, "began elapsed"),
        *_fields(_integer, "solves iterations idle"),
        ("seconds", _real),
        ("kept", Kept * KEPT),
    ]


class Turn(ctypes.Structure):
    """struct Turn of fast.c, which says what the fields are."""

    _fields_ = [
        *_fields(_pointer, "next outer inner solve pc"),
        *_fields(_integer, "left most norm side"),
        *_fields(_pointer, "minimum curvature judge guess"),
        *_fields(_real, "lenient scale"),
        ("fetch", _pointer),
        ("error", _integer),
        ("exception", _pointer * 3),
        *_fields(_integer, "solves iterations"),
        *_fields(_real, "seconds lacks"),
        *_fields(_integer, "lost lost_iterations"),
        *_fields(_real, "lost_seconds lost_lacks"),
    ]


def _built_for() -> list[int]:
    """What sorlearn_built_for of fast.c has to say."""
    scalar, real, integer = (kind().itemsize for kind in (PETSc.ScalarType, PETSc.RealType, PETSc.IntType))
    return [*PETSc.Sys.getVersion(), scalar, real, integer, ctypes.sizeof(State), ctypes.sizeof(Turn)]


@cache
def _load() -> tuple[Any, str]:
    """fast.c's library, or None and why there is none."""
    path = HERE / library_name(PETSc)
    try:
        found = ctypes.PyDLL(str(path))
        wanted = _built_for()
        if list((_integer * len(wanted)).in_dll(found, "sorlearn_built_for")) != wanted:
            return None, f"{path.name} was compiled for something else"
    except (OSError, ValueError) as error:
        return None, f"{path.name} can't be loaded: {error}" if path.exists() else f"there is no {path.name}"
    return found, ""


def library() -> Any:
    """fast.c's library; None where it is left out."""
    return None if os.environ.get(SWITCH) == "0" else _load()[0]


def missing() -> str:
    """Why the library is left out, with the remedy; empty where it isn't."""
    if os.environ.get(SWITCH) == "0":
        return f"{SWITCH}=0"
    why = _load()[1]
    return why and f"{why}; remedy: python3 {shlex.quote(str(HERE / 'build.py'))}"


def call(name: str, *arguments: Any) -> None:
    """A function of fast.c's library."""
    code = getattr(_load()[0], name)(*arguments)
    if code:
        raise PETSc.Error(code)
