"""Solves inside a solve, of which the application is to notice nothing: its callbacks around one, its residual history.

PETSc has functions that set these, and none that give them back: their places in a KSP are looked for once.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
from petsc4py import PETSc

from .clib import library

_SCANNED = 8192  # bytes of a KSP at most, up to what was put there
_CALLBACKS = ("KSPSetPreSolve", "KSPSetPostSolve")
_ENTRIES = 3


@cache
def _places() -> tuple[list[int], int | None]:
    """Where a KSP has the functions that these set, and how many entries its history has, as far as found."""
    ksp, word = PETSc.KSP().create(PETSc.COMM_SELF), ctypes.sizeof(ctypes.c_void_p)
    handle, mark = ctypes.c_void_p(ksp.handle), ctypes.create_string_buffer(1)  # which nobody calls
    hooks = []
    for name in _CALLBACKS:
        library()[name](handle, mark, None)
        places = (place for place in range(0, _SCANNED, word)
                  if ctypes.c_void_p.from_address(ksp.handle + place).value == ctypes.addressof(mark))  # fmt: skip
        hooks += [place for place in [next(places, None)] if place is not None]
        library()[name](handle, None, None)
    ksp.setConvergenceHistory(_ENTRIES + 1, reset=True)
    before = list(range(0, min(hooks, default=0), 4))  # it comes before them
    for entries in range(1, _ENTRIES + 1):
        ksp.logConvergenceHistory(1.0)
        before = [place for place in before if ctypes.c_int32.from_address(ksp.handle + place).value == entries]
    ksp.destroy()
    return hooks, before[0] if len(before) == 1 else None


@contextmanager
def unheard(ksp: Any) -> Iterator[None]:
    """Around solves of a KSP inside one of its own, whose history goes on where it was."""
    hooks, count = _places()
    functions = [ctypes.c_void_p.from_address(ksp.handle + place) for place in hooks]
    callbacks, history = [function.value for function in functions], ksp.getConvergenceHistory()
    for function in functions:
        function.value = None
    try:
        yield
    finally:
        for function, callback in zip(functions, callbacks):
            function.value = callback
    if len(history) > 1 and count is not None:  # the application's, not `keep_first_residual`'s
        more = ksp.getConvergenceHistory()
        if np.array_equal(more[: len(history)], history):
            more = more[len(history) :]
        ctypes.c_int32.from_address(ksp.handle + count).value = 0
        for norm in (*history, *more[1:]):  # the first is of where it was
            ksp.logConvergenceHistory(norm)
