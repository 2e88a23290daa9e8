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
def _solve_at(address: int) -> bytes:
    """The solve that this return address lies in, or nothing; there are few, and looking one up takes 10 µs."""
    symbol = _Symbol()
    known = _libc.dladdr(ctypes.c_void_p(address), ctypes.byref(symbol))
    return symbol.name if known and symbol.name in _SOLVES else b""


def _solves() -> list[bytes]:
    """The KSP solves under way in this process, the innermost first; none where that can't be told."""
    try:
        frames = (ctypes.c_void_p * _FRAMES)()
        count = _libc.backtrace(frames, _FRAMES)
        return [solve for address in frames[:count] if address and (solve := _solve_at(address))]
    except AttributeError:  # a C library without backtrace
        return []


def depth() -> int:
    """Number of KSP solves under way in this process, one inside the other; 1 where that can't be told."""
    return max(len(_solves()), 1)


def solves_transposed() -> bool:
    """Whether the innermost KSP solve under way is KSPSolveTranspose."""
    return _solves()[:1] == [b"KSPSolveTranspose"]


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
