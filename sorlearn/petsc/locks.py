"""The locks by which newer PETScs keep vectors in use from being written; 3.18 locks in debugging only."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .clib import PetscInt, has, library


def _locks(v: Any) -> int:
    """How many there are on a vector; below 0 while it is only to be written."""
    count = PetscInt(0)
    if has("VecLockGet"):
        library().VecLockGet(ctypes.c_void_p(v.handle), ctypes.byref(count))
    return count.value


def _unlock(v: Any, left: int = 0) -> int:
    """Leave no more than so many locks for reading; returns how many were taken away."""
    taken = range(_locks(v) - left)
    for _ in taken:
        library().VecLockReadPop(ctypes.c_void_p(v.handle))
    return len(taken)


@contextmanager
def writable(b: Any) -> Iterator[None]:
    """A vector that others keep for reading can be written in here."""
    taken = _unlock(b)
    try:
        yield
    finally:
        for _ in range(taken):
            library().VecLockReadPush(ctypes.c_void_p(b.handle))


@contextmanager
def unlocking(*vectors: Any) -> Iterator[None]:
    """What an error in here leaves locked is as free as before: a KSP gives b back only where its solve ends."""
    before = [_locks(v) for v in vectors]
    try:
        yield
    except BaseException:  # whatever it is, it goes on
        for v, left in zip(vectors, before):
            _unlock(v, left)
        raise
