"""A KSP that a PC knows of and doesn't keep alive: the PC is the KSP's, and neither would ever end."""

from __future__ import annotations

import ctypes
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any

from petsc4py import PETSc

from .clib import PetscInt, library

#: The attribute of a KSP that ends with it.
_LIFE = "sorlearn_life"


class _Life:
    """Ends when its KSP does."""


class Borrowed:
    """One KSP at a time, as long as somebody else keeps it.

    Parameters
    ----------
    gone : callable, optional
        Called when it is there no more.
    """

    def __init__(self, gone: Callable[[], None] | None = None) -> None:
        self._handle, self._gone = 0, gone
        self._life: Any = None

    def hold(self, ksp: Any) -> None:
        """It is this KSP from now on."""
        if self._handle == ksp.handle and self._life():
            return
        life = ksp.getAttr(_LIFE) or _Life()
        ksp.setAttr(_LIFE, life)
        gone = self._gone
        self._handle, self._life = ksp.handle, weakref.ref(life, gone and (lambda _: gone()))

    def get(self) -> Any:
        """The KSP; None where it isn't there any more, or is being destroyed."""
        if not self._handle or self._life() is None:
            return None
        references = PetscInt(0)
        library().PetscObjectGetReference(ctypes.c_void_p(self._handle), ctypes.byref(references))
        return _ksp()(self._handle) if references.value > 0 else None


@cache
def _ksp() -> Any:
    """PyPetscKSP_New of petsc4py's C interface: the KSP at an address."""
    capsule = PETSc.__pyx_capi__["PyPetscKSP_New"]
    api = ctypes.pythonapi
    name = ctypes.PYFUNCTYPE(ctypes.c_char_p, ctypes.py_object)(("PyCapsule_GetName", api))
    pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(("PyCapsule_GetPointer", api))
    return ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p)(pointer(capsule, name(capsule)))
