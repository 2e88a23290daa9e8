"""The solves that a PC is in, one inside the other: PETSc allows two, and goes on counting those that errors ended."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from petsc4py import PETSc

from .clib import PetscInt, library

_SCANNED = 800  # bytes of a PC that are searched for the count
_MOST = 2


@cache
def _place() -> int | None:
    """Where the count is in a PC: what PCPreSolve counts up, and PCPostSolve down; None where that isn't found."""
    size, places = ctypes.sizeof(PetscInt), list(range(0, _SCANNED, 4))
    pc, ksp = PETSc.PC().create(PETSc.COMM_SELF), PETSc.KSP().create(PETSc.COMM_SELF)
    steps = [*["PCPreSolve"] * _MOST, *["PCPostSolve"] * _MOST]
    for count, step in zip((1, 2, 1, 0), steps):
        library()[step](ctypes.c_void_p(pc.handle), ctypes.c_void_p(ksp.handle))
        struct = ctypes.string_at(pc.handle, _SCANNED + size)
        places = [place for place in places if PetscInt.from_buffer_copy(struct, place).value == count]
    pc.destroy()
    ksp.destroy()
    return places[0] if len(places) == 1 else None


def left_by_error(ksp: Any) -> None:
    """Count the solve of this KSP no more, which an error ends."""
    if (place := _place()) is not None:
        PetscInt.from_address(ksp.getPC().handle + place).value -= 1


@contextmanager
def leaving(inner: Any, outer: Any) -> Iterator[None]:
    """What an error ends in here, of a KSP that solves for an outer one, is counted no more.

    Where they have one PC, the outer solve isn't either, which that error ends, too: it would be one of the two.
    """
    pc, place = inner.getPC(), _place()
    count = PetscInt() if place is None else PetscInt.from_address(pc.handle + place)
    before = count.value - (pc == outer.getPC())
    try:
        yield
    except BaseException:  # whatever it is, it goes on
        count.value = before
        raise
