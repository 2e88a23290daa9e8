"""The options database as PETSc has it: what petsc4py says of it where it can, and what bytes it can't."""

from __future__ import annotations

import pytest
from petsc4py import PETSc

from sorlearn.petsc.clib import library
from sorlearn.petsc.database import all_options, clear_value, is_used, set_value, value_of

#: As on a command line.
LINES = [
    "",
    "-a",
    "-a 1",
    "-a -b",
    "-a -1.5e3 -b",
    "-a 1 2 -b 3",
    "-A 1 -a 2",
    "-a 1 -a 2 -a",
    "-ksp_type cg -heat_ksp_type gmres -heat_ksp_monitor",
    "-a 1,2,3 -file /there/is.json",
    "-title 'two words' -b 1",
    '-title "two words" -b',
    "-title 'says \"two words\" and more'",
    "-title 'a -b c' -d",
    "-title it's",
    "-file zurück.json",
]


@pytest.mark.parametrize("line", LINES)
def test_what_petsc4py_says_of_options_is_said(line):
    library().PetscOptionsInsertString(None, line.encode())
    theirs = PETSc.Options()
    names = theirs.getAll()
    assert all_options() == names
    assert {name: value_of(name) for name in names} == {name: theirs.getString(name, None) for name in names}
    assert value_of("-a") == value_of("a") and value_of("missing") is None


@pytest.mark.parametrize("value", [None, "", "1", "two words", "'q", "zurück"])
def test_values_are_put_as_petsc4py_puts_them(value):
    theirs = PETSc.Options("theirs_")
    theirs.setValue("a", value)
    set_value("ours_a", value)
    assert value_of("ours_a") == theirs.getString("a")
    assert all_options()["ours_a"] == theirs.getAll()["a"]
    clear_value("ours_a")
    assert value_of("ours_a") is None and value_of("theirs_a") is not None


def test_who_asks_for_an_option_uses_it_and_a_list_of_all_does_not():
    set_value("a", "1")
    all_options()
    assert not is_used("a")
    value_of("a")
    assert is_used("a")


def test_any_byte_goes_in_and_comes_out():
    every = bytes(set(range(1, 256)) - {ord(" ")}).decode("utf-8", "surrogateescape")
    set_value("b\udce9ta", every)
    try:
        assert all_options() == {"b\udce9ta": every} and value_of("b\udce9ta") == every
        library().PetscOptionsSetValue(None, b"-b\xe9ta", b"\xe9")
        assert all_options() == {"b\udce9ta": "\udce9"} and is_used("b\udce9ta")
    finally:
        clear_value("b\udce9ta")
    assert all_options() == {}


def test_paths_are_read_to_their_end():
    path = "/" + "p" * 2000
    set_value("a", path)
    assert value_of("a") == all_options()["a"] == path
