"""What the user has given: options of a solver, and its context before each solve."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Callable

import numpy as np
from petsc4py import PETSc

from .. import hints, options
from ..errors import OptionError
from ..learners import NO_CONTEXT, Context, learner_class
from . import say
from .database import all_options, value_of


def settings(comm: Any, prefix: str, overrides: dict[str, Any], table: Any = options.Settings) -> Any:
    """The checked options of a solver; `-help` and hints are printed.  Collective; raises OptionError on all ranks.

    Parameters
    ----------
    overrides : dict
        Options given in code; the database wins over them.
    table : type
        Whose options these are: Settings, LagSettings or ArmSettings.
    """
    try:
        found = options.parse(prefix, lambda name: value_of(f"{prefix}{name}"), overrides, table)
    except OptionError as error:
        if not getattr(sys, "orig_argv", None):  # inside a C program PETSc 3.18 shows nothing of an exception
            say.complain(comm, str(error))
            comm.barrier()  # the other ranks' exceptions end the job: not before rank 0 has spoken
        raise
    if table is options.Settings:  # the wrapped PC has options under the other's prefix
        for line in hints.of_options(prefix, all_options(), found.pc_type):
            say.once(comm, prefix, line)
    if PETSc.Options().hasName("help") and comm.getRank() == 0:
        say.say(options.help_text(prefix, table))
    return found


def hint_at_context(comm: Any, prefix: str, chosen: options.Settings, assigned: Any) -> None:
    """Say that the learner waits for a context that nobody assigns, or doesn't heed one."""
    if line := hints.of_unheeded_context(prefix, chosen, assigned is not None):
        say.once(comm, prefix, line)
    if not chosen.context_option and assigned is None:
        line = hints.of_context(prefix, chosen, PETSc.Options(prefix).hasName(options.STEM + "context"))
        if line:
            say.once(comm, prefix, line)


def context(
    comm: Any, prefix: str, chosen: options.Settings, assigned: float | Sequence[float] | Callable[[], Any] | None
) -> Context | None:
    """The user's context, one number or several; empty where none is heeded, None for a look at the matrix."""
    if learner_class(chosen.learner).context_numbers == 0:
        return NO_CONTEXT
    if chosen.context_option:
        if comm.getRank() > 0:
            return NO_CONTEXT  # rank 0's counts
        names = [name.strip() for name in chosen.context_option.split(",")]
        given = [options.context_value(prefix, name, value_of(name) or "") for name in names]
        return Context(user=tuple(given))
    if assigned is not None:
        value = assigned() if callable(assigned) else assigned
        return Context(user=tuple(map(float, np.ravel(value))))
    return None if chosen.reads_matrix else NO_CONTEXT
