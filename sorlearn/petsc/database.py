"""PETSc's options database, whose names and values are bytes: petsc4py refuses them all where one isn't UTF-8.

They are text in here, and as in Python's names of files a lone surrogate is a byte that UTF-8 doesn't have.
"""

from __future__ import annotations

import ctypes
from typing import Any

from petsc4py import PETSc

from .clib import PetscBool, library, program

_CODE = ("utf-8", "surrogateescape")
#: Bytes of a value that are read: PETSc's longest path.
_LONGEST = 4096
_Free = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p)


def _free(place: ctypes.c_void_p) -> None:
    """PetscFree, whose pointer is the program's own copy where that uses it, too: the library's isn't set then."""
    for scope in (program, library()):
        try:
            free = _Free.in_dll(scope, "PetscTrFree")
        except ValueError:  # a program in Python doesn't know PETSc
            continue
        free(place, 0, b"_free", b"database.py")
        return


def _call(name: str, *arguments: Any) -> None:
    error = getattr(library(), name)(*arguments)
    if error:
        raise PETSc.Error(error)


def _key(name: str) -> bytes:
    return (name if name.startswith("-") else f"-{name}").encode(*_CODE)


def value_of(name: str) -> str | None:
    """Text of the option of this name, which counts as used; empty if it has no value, None if it isn't given."""
    text, given = ctypes.create_string_buffer(_LONGEST), PetscBool(0)
    _call("PetscOptionsGetString", None, None, _key(name), text, ctypes.c_size_t(_LONGEST), ctypes.byref(given))
    return text.value.decode(*_CODE) if given.value else None


def set_value(name: str, value: str | None) -> None:
    """Put an option into the database; None for no value."""
    _call("PetscOptionsSetValue", None, _key(name), None if value is None else value.encode(*_CODE))


def clear_value(name: str) -> None:
    """Take an option out of the database."""
    _call("PetscOptionsClearValue", None, _key(name))


def is_used(name: str) -> bool:
    """Whether anyone has asked for an option."""
    used = PetscBool(0)
    _call("PetscOptionsUsed", None, _key(name)[1:], ctypes.byref(used))
    return bool(used.value)


def all_options() -> dict[str, str | None]:
    """All options by their names without the dash; None where there is no value.  They don't count as used.

    As by petsc4py's ``getAll``, of a value with blanks only its first word is there.
    """
    found, name = {}, ""
    for word in _words():
        if _is_name(word):
            name = word[1:].removeprefix(b"-").decode(*_CODE)
            found[name] = None
        elif name:
            found[name], name = word.decode(*_CODE), ""
    return found


def _words() -> list[bytes]:
    """The database as on a command line."""
    text, token, word = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_char_p()
    _call("PetscOptionsGetAll", None, ctypes.byref(text))
    try:
        _call("PetscTokenCreate", text, ctypes.c_char(b" "), ctypes.byref(token))
    finally:
        _free(text)
    words = []
    try:
        _call("PetscTokenFind", token, ctypes.byref(word))
        while word.value is not None:
            words.append(word.value)
            _call("PetscTokenFind", token, ctypes.byref(word))
    finally:
        _call("PetscTokenDestroy", ctypes.byref(token))
    return words


def _is_name(word: bytes) -> bool:
    valid = PetscBool(0)
    _call("PetscOptionsValidKey", word, ctypes.byref(valid))
    return bool(valid.value)
