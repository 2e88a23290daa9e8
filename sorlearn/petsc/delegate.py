"""What petsc4py gives Python KSPs no way to do, so that one KSP can stand for another.

Methods are handed to the other KSP where petsc4py has none or drops the answer; the norms that it supports are copied,
so that PETSc itself refuses what it would refuse there.  Where these things stand in PETSc's struct is found by what
public functions leave there.
"""

from __future__ import annotations

import ctypes
import sys
import traceback
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from petsc4py import PETSc

from .clib import PetscBool, PetscInt, address, convergence_test, has, library

_SCANNED = 1560  # bytes of a KSP that are searched: it has 1576 in PETSc 3.18, 1608 in 3.26
_NORMS, _SIDES = 4, 3  # KSP_NORM_MAX and PC_SIDE_MAX
_MARK = 76543210
_pointer, _code = ctypes.c_void_p, ctypes.c_int
#: Methods by PETSc's function: the types of its arguments after the KSP, and the place in struct _KSPOps of kspimpl.h.
_METHODS = {
    "KSPBuildSolution": ((_pointer, _pointer), 0),  # petsc4py's own can't hand out a vector
    "KSPComputeExtremeSingularValues": ((_pointer, _pointer), 7),
    "KSPComputeEigenvalues": ((PetscInt, _pointer, _pointer, _pointer), 8),
}
#: Functions that only some types of KSP compose, by what they take after the KSP.
_COMPOSED = {
    "KSPCGSetRadius": (ctypes.c_double,),
    "KSPCGSetObjectiveTarget": (ctypes.c_double,),
    "KSPCGGetNormD": (_pointer,),
    "KSPCGGetObjFcn": (_pointer,),
    "KSPGMRESSetRestart": (PetscInt,),
    "KSPRichardsonSetScale": (ctypes.c_double,),
    "KSPChebyshevSetEigenvalues": (ctypes.c_double, ctypes.c_double),
}
_SOLVE = 2  # the place of `solve`
_USER = 83  # PETSC_ERR_USER
_inner: dict[int, Any] = {}
_own: dict[int, dict[int, int | None]] = {}
_composed: dict[int, list[str]] = {}


class _Places(NamedTuple):
    """Offsets in a KSP, in bytes."""

    operations: int
    norms: int
    residual: int
    monitors: int
    norm: tuple[int, int]  # in use, and as the user has set it
    side: tuple[int, int]


@cache
def _places() -> _Places:
    """Look for what public functions have put into a new KSP."""
    ksp = PETSc.KSP().create(PETSc.COMM_SELF)
    marks = (PetscInt * (_NORMS * _SIDES))(*range(_MARK, _MARK + _NORMS * _SIDES))
    for index, mark in enumerate(marks):
        library().KSPSetSupportedNorm(_pointer(ksp.handle), *divmod(index, _SIDES), PetscInt(mark))
    ksp.setResidualNorm(float(_MARK))
    struct = ctypes.string_at(ksp.handle, _SCANNED)
    first = ctypes.cast(library().KSPBuildSolutionDefault, _pointer)
    places = [struct.index(bytes(left)) for left in (first, marks, ctypes.c_double(_MARK))]
    handle, monitor = _pointer(ksp.handle), _pointer(address("KSPMonitorResidual"))
    (monitors,) = _places_of(ksp, PetscInt, lambda n: library().KSPMonitorSet(handle, monitor, _pointer(n), None))
    norm, norm_set = _places_of(ksp, _code, lambda n: library().KSPSetNormType(handle, n))
    side, side_set = _places_of(ksp, _code, lambda n: library().KSPSetPCSide(handle, n))
    ksp.destroy()
    return _Places(*places, monitors, (norm, norm_set), (side, side_set))


def _places_of(ksp: Any, kind: Any, put: Callable[[int], object]) -> list[int]:
    """Where the numbers are that become 1, 2 and 3 as these are put there."""
    places = list(range(0, _SCANNED, 4))
    for number in (1, 2, 3):
        put(number)
        struct = ctypes.string_at(ksp.handle, _SCANNED + ctypes.sizeof(kind))
        places = [place for place in places if kind.from_buffer_copy(struct, place).value == number]
    return places


def stand_for(outer: Any, inner: Any) -> None:
    """Have the inner KSP answer for the outer one, until `stand_alone`."""
    stand_alone(outer)
    _inner[outer.handle], _own[outer.handle] = inner, {}
    for slot, method in _slots(outer, [*_methods(), *_where_codes_arrive()]):
        _own[outer.handle][slot] = _pointer.from_address(slot).value
        _pointer.from_address(slot).value = ctypes.cast(method, _pointer).value
    _composed[outer.handle] = [name for name in _COMPOSED if _has(inner, name)]
    for name in _composed[outer.handle]:
        _compose(outer, name, ctypes.cast(_function(name, _COMPOSED[name]), _pointer))


def hand_to(outer: Any, inner: Any) -> None:
    """Have another inner KSP answer for the outer one."""
    _inner[outer.handle] = inner


def stand_alone(outer: Any) -> None:
    """Give the outer KSP its own methods back."""
    _inner.pop(outer.handle, None)
    for slot, method in _own.pop(outer.handle, {}).items():
        _pointer.from_address(slot).value = method
    for name in _composed.pop(outer.handle, []):
        _compose(outer, name, None)


def _has(ksp: Any, name: str) -> bool:
    found = _pointer()
    library().PetscObjectQueryFunction_Private(_pointer(ksp.handle), f"{name}_C".encode(), ctypes.byref(found))
    return bool(found.value)


def _compose(ksp: Any, name: str, function: Any) -> None:
    library().PetscObjectComposeFunction_Private(_pointer(ksp.handle), f"{name}_C".encode(), function)


def _slots(outer: Any, methods: list[tuple[int, Any]]) -> list[tuple[int, Any]]:
    return [(_slot(outer.handle, place), method) for place, method in methods]


def _slot(handle: int, place: int) -> int:
    return handle + _places().operations + place * ctypes.sizeof(_pointer)


@cache
def _methods() -> list[tuple[int, Any]]:
    """C functions and their places in _KSPOps."""
    return [(place, _function(name, types)) for name, (types, place) in _METHODS.items()]


@cache
def _function(name: str, types: tuple[Any, ...]) -> Any:
    """A C function that calls this one of PETSc's with the inner KSP; it lives as long as the process."""
    return ctypes.CFUNCTYPE(_code, _pointer, *types)(_delegated(name, types))


def _delegated(name: str, types: tuple[Any, ...]) -> Callable[..., int]:
    function = library()[name]
    function.argtypes, function.restype = (_pointer, *types), _code

    return lambda outer, *arguments: _code_of(lambda: function(_inner[outer].handle, *arguments))


def _code_of(call: Callable[[], int]) -> int:
    """What it returns, or the code of the error that ends it."""
    try:
        return int(call())
    except PETSc.Error as error:
        return int(error.ierr)
    except BaseException:  # ctypes would drop it
        traceback.print_exc()
        return _USER


def _where_codes_arrive() -> list[tuple[int, Any]]:
    """The solve of an application in C, which would get one code of petsc4py's for all errors in Python."""
    frame: Any = sys._getframe()
    while frame.f_back:
        frame = frame.f_back
    in_c = frame.f_globals.get("__name__", "").startswith(__package__)  # nobody else in Python waits for an exception
    return [(_SOLVE, _solve)] if in_c else []


@ctypes.CFUNCTYPE(_code, _pointer)
def _solve(outer: int) -> int:
    """petsc4py's, but for the code of an error."""
    own = _own[outer][_slot(outer, _SOLVE)]
    return _code_of(lambda: ctypes.PYFUNCTYPE(_code, _pointer)(own)(outer))


def copy_norms(inner: Any, outer: Any) -> None:
    """Have the outer KSP support the norms and sides that the inner one does, with its defaults."""
    supported = _supported(inner)
    chosen = _SIDES * int(inner.getNormType()) + int(inner.getPCSide())
    for index, priority in enumerate(supported):
        if index == chosen:
            priority = max(supported) + 1
        library().KSPSetSupportedNorm(_pointer(outer.handle), *divmod(index, _SIDES), PetscInt(priority))


def forget_norms(ksp: Any) -> None:
    """Leave of its norm and side what the user has set, as PETSc does before another type brings its own."""
    for in_use, as_set in (_places().norm, _places().side):
        _code.from_address(ksp.handle + in_use).value = _code.from_address(ksp.handle + as_set).value


def _supported(ksp: Any) -> Any:
    """The priorities of norms and sides, shape (4 · 3,), 0 for what its type doesn't support."""
    return (PetscInt * (_NORMS * _SIDES)).from_address(ksp.handle + _places().norms)


def set_residual_norm(ksp: Any, norm: float) -> None:
    """Note a residual norm; NaN, which petsc4py refuses, too."""
    if norm >= 0.0:
        ksp.setResidualNorm(norm)
    else:
        ctypes.c_double.from_address(ksp.handle + _places().residual).value = norm


def ask_test(ksp: Any, iteration: int, norm: float) -> int:
    """What the KSP's convergence test says, as a KSPConvergedReason; to NaN, too, which petsc4py refuses."""
    if norm >= 0.0:
        return int(ksp.callConvergenceTest(iteration, norm))
    function, context = convergence_test(ksp.handle)
    reason = ctypes.c_int()
    test = ctypes.PYFUNCTYPE(_code, _pointer, PetscInt, ctypes.c_double, _pointer, _pointer)(function)
    error = test(ksp.handle, iteration, norm, ctypes.addressof(reason), context)
    if error:
        raise PETSc.Error(error)
    return reason.value


def watched(ksp: Any) -> bool:
    """Whether somebody looks at the KSP's residual norms: a monitor, or a history that is kept."""
    history, length = _pointer(), ctypes.c_int64()
    library().KSPGetResidualHistory(_pointer(ksp.handle), ctypes.byref(history), ctypes.byref(length))
    return bool(history.value or PetscInt.from_address(ksp.handle + _places().monitors).value)


def copy_curvature(outer: Any, inner: Any) -> None:
    """Have a negative curvature be no failure of the inner KSP where it is none of the outer one; 3.18 doesn't ask."""
    if has("KSPGetConvergedNegativeCurvature"):
        converged = PetscBool(False)
        library().KSPGetConvergedNegativeCurvature(_pointer(outer.handle), ctypes.byref(converged))
        library().KSPSetConvergedNegativeCurvature(_pointer(inner.handle), converged)


def cancel_monitors(ksp: Any) -> None:
    """Take all monitors from the KSP; petsc4py's name for that changed after 3.18."""
    (ksp.monitorCancel if PETSc.Sys.getVersion() >= (3, 20, 0) else ksp.cancelMonitor)()


def has_operators(pc: Any) -> bool:
    """Whether the PC, and so its KSP, has a matrix."""
    matrix, preconditioning = PetscBool(0), PetscBool(0)
    library().PCGetOperatorsSet(_pointer(pc.handle), ctypes.byref(matrix), ctypes.byref(preconditioning))
    return bool(preconditioning.value)


def set_own_test(ksp: Any, least_squares: bool, enough_at_the_limit: bool) -> None:
    """Have the KSP test by PETSc's default, or by that of LSQR, whatever its type.

    Parameters
    ----------
    enough_at_the_limit : bool
        Whether it says CONVERGED_ITS where its iterations are at their end.
    """
    default, context, handle = _pointer(address("KSPConvergedDefault")), _pointer(), _pointer(ksp.handle)
    test = _pointer(address("KSPLSQRConvergedDefault")) if least_squares else default
    library().KSPConvergedDefaultCreate(ctypes.byref(context))
    library().KSPSetConvergenceTest(handle, default, context, None)
    if enough_at_the_limit:  # PETSc sets that beside its default only
        library().KSPConvergedDefaultSetConvergedMaxits(handle, PetscBool(True))
    library().KSPSetConvergenceTest(handle, test, context, _pointer(address("KSPConvergedDefaultDestroy")))


def set_no_test(ksp: Any) -> None:
    """Have the KSP run all its iterations (`-ksp_convergence_test skip`)."""
    library().KSPSetConvergenceTest(_pointer(ksp.handle), _pointer(address("KSPConvergedSkip")), None, None)
