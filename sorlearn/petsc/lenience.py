"""Keeping a KSP from raising an error for a failed solve (errorIfNotConverged), because a repair comes first."""

from __future__ import annotations

import ctypes
from typing import Any

from . import fast


class Lenience:
    """One KSP at a time; where it raises no errors anyway there is nothing to do.

    With fast.c it is as the user had it as soon as an error ends the solve; without, when PETSc next calls Python.
    """

    def __init__(self) -> None:
        self._known_to_c = ctypes.c_void_p()
        self._lenient = False

    def begin(self, ksp: Any) -> None:
        """The KSP's solve begins."""
        if not ksp.getErrorIfNotConverged():
            return
        if fast.library():
            fast.call("sorlearn_be_lenient", ctypes.byref(self._known_to_c), ctypes.c_void_p(ksp.handle))
        else:
            self._lenient = True
            ksp.setErrorIfNotConverged(False)

    def end(self, ksp: Any) -> None:
        """Its solve has ended, now or long ago."""
        if self._known_to_c.value:
            fast.call("sorlearn_be_strict", ctypes.byref(self._known_to_c))
        if self._lenient:
            ksp.setErrorIfNotConverged(True)
            self._lenient = False
