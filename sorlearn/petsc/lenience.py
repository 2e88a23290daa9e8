"""Keeping a KSP from raising an error for a failed solve (errorIfNotConverged), because a repair comes first."""

from __future__ import annotations

import ctypes
from typing import Any

from . import fast
from .tolerances import Tolerances


class Lenience:
    """One KSP at a time; where it raises no errors anyway there is nothing to do.

    With fast.c it is as the user had it as soon as an error ends the solve, and so are its tolerances; without, when
    PETSc next calls Python.
    """

    def __init__(self) -> None:
        self._loan = fast.Loan()
        self._lenient = False

    def begin(self, ksp: Any, user: Tolerances | None, lenient: bool) -> None:
        """The KSP's solve begins, with other tolerances than the user's unless these are None."""
        lenient = lenient and ksp.getErrorIfNotConverged()
        if not (lenient or user):
            return
        if fast.library():
            rtol, atol = user[:2] if user else (ksp.rtol, ksp.atol)
            handle, real, integer = ctypes.c_void_p(ksp.handle), ctypes.c_double, ctypes.c_int64
            fast.call("sorlearn_lend", ctypes.byref(self._loan), handle, real(rtol), real(atol), integer(lenient))
        elif lenient:
            self._lenient = True
            ksp.setErrorIfNotConverged(False)

    def end(self, ksp: Any) -> None:
        """Its solve has ended, now or long ago."""
        if self._loan.ksp:
            fast.call("sorlearn_give_back", ctypes.byref(self._loan))
        if self._lenient:
            ksp.setErrorIfNotConverged(True)
            self._lenient = False
