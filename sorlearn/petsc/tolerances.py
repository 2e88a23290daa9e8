"""A KSP's tolerances, read and written without a second look at what PETSc has taken already.

KSPSetFromOptions of PETSc 3.18 takes any number (`-ksp_atol -1` for never, `-ksp_rtol 2` for at once);
KSPSetTolerances refuses some of them, and it would refuse them when they are given back, too.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Tolerances(NamedTuple):
    """What KSPGetTolerances says."""

    rtol: float
    atol: float
    divtol: float
    max_it: int


def read(ksp: Any) -> Tolerances:
    """The tolerances that the KSP has."""
    return Tolerances(*ksp.getTolerances())


def write(
    ksp: Any,
    rtol: float | None = None,
    atol: float | None = None,
    divtol: float | None = None,
    max_it: int | None = None,
) -> None:
    """Set tolerances of the KSP, those that aren't None.  Collective; never raises.

    One that PETSc refuses, or couldn't be given back because PETSc refuses what the KSP has, stays what it is: such a
    number says never or at once, and a stricter one would say no more.
    """
    given = {
        name: new
        for name, new, old in zip(Tolerances._fields, (rtol, atol, divtol, max_it), ksp.getTolerances())
        if new is not None and new != old and _allowed(name, new) and _allowed(name, old)
    }
    if given:
        ksp.setTolerances(**given)


def _allowed(name: str, value: float) -> bool:
    """Whether KSPSetTolerances takes this number for what it is, and not for the name of another."""
    return 0.0 <= value < 1.0 if name == "rtol" else value >= 0.0
