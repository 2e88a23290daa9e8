"""Where a solver stands: on its own, or inside the preconditioner of another one.

Krylov methods rely on a preconditioner that stays what it is; flexible ones don't.  PETSc doesn't tell a KSP who
calls it, so the call stack is asked, and for the caller's type the options.
"""

from __future__ import annotations

import ctypes
import re
from functools import lru_cache
from typing import Any

from petsc4py import PETSc

from .sor import library

#: Outer KSP types that bear a preconditioner which changes from one application to the next.
FLEXIBLE = ("fgmres", "pipefgmres", "gcr", "pipegcr", "fcg", "pipefcg", "richardson", "preonly")
_FRAMES = 256
_SOLVES = (b"KSPSolve", b"KSPSolveTranspose")
_libc = ctypes.CDLL(None)


class _Symbol(ctypes.Structure):
    """Dl_info of dlfcn.h."""

    _fields_ = [
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    ]


@lru_cache(maxsize=4096)
def _is_solve(address: int) -> bool:
    """Whether this return address lies in KSPSolve; there are few different ones, and looking them up takes 10 µs."""
    symbol = _Symbol()
    return bool(_libc.dladdr(ctypes.c_void_p(address), ctypes.byref(symbol))) and symbol.name in _SOLVES


def depth() -> int:
    """Number of KSP solves under way in this process, one inside the other; 1 where that can't be told."""
    try:
        frames = (ctypes.c_void_p * _FRAMES)()
        count = _libc.backtrace(frames, _FRAMES)
        return max(sum(_is_solve(address) for address in frames[:count] if address), 1)
    except AttributeError:  # a C library without backtrace
        return 1


def inside_unflexible(prefix: str, outermost: int = 1) -> bool:
    """Whether a KSP that is solving now is inside another one that isn't known to be flexible.

    Parameters
    ----------
    prefix : str
        Of the KSP.  `-pc_type ksp`, bjacobi and asm append to the outer one's prefix, which leads to its type.
    outermost : int
        Depth of a solver that is on its own.
    """
    for _ in range(depth() - outermost):
        inner = re.fullmatch("(.*?)(?:ksp|sub)_", prefix)
        if not inner:
            return True
        prefix = inner[1]
        if PETSc.Options(prefix).getString("ksp_type", "") not in FLEXIBLE:
            return True
    return False


def runs_a_fixed_number(ksp: Any) -> bool:
    """Whether the KSP doesn't test for convergence (`-ksp_convergence_test skip`)."""
    test, context, destroy = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
    library().KSPGetConvergenceTest(
        ctypes.c_void_p(ksp.handle), ctypes.byref(test), ctypes.byref(context), ctypes.byref(destroy)
    )
    return test.value == ctypes.cast(library().KSPConvergedSkip, ctypes.c_void_p).value
