"""PETSc's C library beside petsc4py, and what the dynamic linker knows of addresses in it."""

from __future__ import annotations

import ctypes
from functools import cache

from petsc4py import PETSc

#: The program that is running, and all that it was linked with.
program = ctypes.CDLL(None)
#: PETSc's integers, and its truth values, which have become one byte with PETSc 3.24.
PetscInt: type = ctypes.c_int64 if PETSc.IntType().itemsize == 8 else ctypes.c_int32
PetscBool: type = ctypes.c_bool if PETSc.Sys.getVersion() >= (3, 24, 0) else ctypes.c_int


class _Symbol(ctypes.Structure):
    """Dl_info of dlfcn.h."""

    _fields_ = [
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    ]


@cache
def library() -> ctypes.PyDLL:
    """PETSc's C library."""
    return ctypes.PyDLL(PETSc.__file__)


@cache
def address(name: str) -> int:
    """Where a function of PETSc's is."""
    return ctypes.cast(getattr(library(), name), ctypes.c_void_p).value or 0


@cache
def has(name: str) -> bool:
    """Whether this PETSc has a function of this name."""
    return hasattr(library(), name)


def error_text(code: int) -> str:
    """What PETSc has said of the last error, which has this code."""
    text, specific = ctypes.c_char_p(), ctypes.c_char_p()
    library().PetscErrorMessage(code, ctypes.byref(text), ctypes.byref(specific))
    said = specific.value or text.value or b"error code %d" % code
    return said.decode(errors="replace").strip().splitlines()[-1]


def convergence_test(ksp: int) -> tuple[int, int]:
    """KSPGetConvergenceTest of the KSP with this handle: where the function is, and its context; 0 for none."""
    found = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
    library().KSPGetConvergenceTest(ctypes.c_void_p(ksp), *map(ctypes.byref, found))
    return found[0].value or 0, found[1].value or 0


class Refusals:
    """PETSc's errors are exceptions and nothing else in here; in an application in C its own handler would print them,
    and abort all ranks but the first.
    """

    def __enter__(self) -> None:
        PETSc.Sys.pushErrorHandler("python")

    def __exit__(self, *error: object) -> None:
        PETSc.Sys.popErrorHandler()


def origin(error: BaseException) -> BaseException:
    """What went wrong at first: newer PETScs wrap an exception once for each solver that it passes."""
    while isinstance(error, PETSc.Error) and error.__cause__ is not None:
        error = error.__cause__
    return error


def _symbol_at(place: int) -> _Symbol:
    symbol = _Symbol()
    program.dladdr(ctypes.c_void_p(place), ctypes.byref(symbol))
    return symbol


def name_at(place: int) -> bytes:
    """The function that an address lies in, as far as it has a public name."""
    return _symbol_at(place).name or b""


def file_at(place: int) -> bytes:
    """The file that an address was loaded from."""
    return _symbol_at(place).file or b""


def callers(most: int) -> list[int]:
    """Return addresses of the call stack, the innermost first; empty with a C library that can't tell."""
    try:
        frames = (ctypes.c_void_p * most)()
        return [place for place in frames[: program.backtrace(frames, most)] if place]
    except AttributeError:
        return []
