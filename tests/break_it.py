"""Makes one function of sorlearn raise, as the environment says; a module of its own so that C applications load it."""

from __future__ import annotations

import importlib
import os

from petsc4py import PETSc

from sorlearn.petsc.pc import PC

__all__ = ["PC"]
WHERE = os.environ["SORLEARN_TEST_FAULT"]
AFTER = int(os.environ["SORLEARN_TEST_AFTER"])
RANK = int(os.environ["SORLEARN_TEST_RANK"])
#: Of all ranks, where the error is to be one of PETSc's.
KSP = PETSc.KSP().create(PETSc.COMM_WORLD) if "SORLEARN_TEST_PETSC" in os.environ else None
calls = 0
raised = False


class InjectedFault(Exception):
    """What no part of sorlearn expects."""


def _break():
    module, path = WHERE.split(":")
    owner = importlib.import_module(f"sorlearn.{module}")
    *classes, name = path.split(".")
    for part in classes:
        owner = getattr(owner, part)
    intact = getattr(owner, name)

    def fails(*arguments, **keywords):
        global calls, raised
        calls += 1
        if calls > AFTER and RANK in (-1, PETSc.COMM_WORLD.getRank()):
            raised = True
            if KSP is not None:
                KSP.setTolerances(rtol=2.0)
            raise InjectedFault(WHERE)
        return intact(*arguments, **keywords)

    if path == "work":
        owner.COSTS["work"] = fails
    setattr(owner, name, staticmethod(fails) if name == "__new__" else fails)


_break()
