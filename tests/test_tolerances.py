"""Tolerances that PETSc took can be read, left alone and given back, whatever they are."""

from __future__ import annotations

import pytest
from petsc4py import PETSc

from sorlearn.petsc import tolerances

#: PETSc 3.18 takes these from the options database and refuses them in KSPSetTolerances.
REFUSED = {"ksp_rtol": 2.0, "ksp_atol": -1.0, "ksp_divtol": -1.0, "ksp_max_it": -1}


def refused_elsewhere(**options):
    """A KSP with such options; where PETSc itself refuses them, there is nothing to hand on."""
    database = PETSc.Options()
    for name, value in options.items():
        database[name] = value
    ksp = PETSc.KSP().create()
    try:
        ksp.setFromOptions()
    except PETSc.Error:
        pytest.skip("this PETSc refuses the option itself")
    return ksp


@pytest.mark.parametrize("option", REFUSED)
def test_what_a_solver_has_can_be_given_back(option):
    ksp = refused_elsewhere(**{option: REFUSED[option]})
    had = tolerances.read(ksp)
    tolerances.write(ksp, **had._asdict())
    assert tolerances.read(ksp) == had
    tolerances.write(ksp, rtol=1e-9, atol=1e-3, divtol=7.0, max_it=3)
    tolerances.write(ksp, **had._asdict())
    assert tolerances.read(ksp) == had


def test_only_what_is_named_changes():
    ksp = PETSc.KSP().create()
    had = tolerances.read(ksp)
    tolerances.write(ksp, rtol=1e-3, max_it=7)
    assert tolerances.read(ksp) == had._replace(rtol=1e-3, max_it=7)
    tolerances.write(ksp, atol=0.0, divtol=2.5)
    assert tolerances.read(ksp) == (1e-3, 0.0, 2.5, 7)


@pytest.mark.parametrize("value", [-2.0, -1.0, -3.0])
def test_a_number_is_never_taken_for_one_of_petscs_names(value):
    """PETSC_DEFAULT, PETSC_DETERMINE and PETSC_UNLIMITED are negative numbers."""
    ksp = PETSc.KSP().create()
    had = tolerances.read(ksp)
    tolerances.write(ksp, rtol=value, atol=value, divtol=value, max_it=int(value))
    assert tolerances.read(ksp) == had
