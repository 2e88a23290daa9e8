"""One line each for input that PETSc or sorlearn would pass over in silence: what it does instead, and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from difflib import get_close_matches

from .learners import learner_class
from .options import STEM, Settings

_KNOWN = tuple(option.name for option in fields(Settings))


def nearest(name: str) -> str:
    """What to say of an option that doesn't exist."""
    near = get_close_matches(name, _KNOWN, n=1)
    return f"did you mean {near[0]}?" if near else "`python3 -m sorlearn options` lists them"


def of_options(prefix: str, names: Iterable[str], pc_type: str = "sor") -> list[str]:
    """Options of the solver with this prefix that have no effect.

    Parameters
    ----------
    prefix : str
        Prefix of the solver.
    names : iterable of str
        All names in the options database, without their dash.
    pc_type : str
        What is applied: `sor` or `eisenstat`.
    """
    given = set(names)
    stem = prefix + STEM
    lines = [
        f"-{name} isn't an option of sorlearn, and has no effect; {nearest(name[len(stem) :])}"
        for name in sorted(given)
        if name.startswith(stem) and name[len(stem) :] not in _KNOWN
    ]
    omegas = [name for name in (f"{prefix}pc_sor_omega", f"{prefix}pc_eisenstat_omega") if name in given]
    lines += [f"-{name} has no effect on sorlearn; its safe omega is -{stem}omega" for name in omegas]
    if pc_type == "eisenstat":
        lines += [
            f"-{name} has no effect on Eisenstat's form of SOR; remedy: -{stem}pc_type sor"
            for name in sorted(given.difference(omegas))
            if name.startswith(f"{prefix}pc_sor_")
        ]
    return lines


def of_context(prefix: str, settings: Settings, chosen: bool) -> str | None:
    """What becomes of options that speak of a context, where the first solve comes and no context is assigned.

    Parameters
    ----------
    prefix : str
        Prefix of the solver.
    settings : Settings
        Its options.
    chosen : bool
        Whether `-pc_sorlearn_context` is given: who writes `auto` has read what it means.
    """
    name = f"-{prefix}{STEM}"
    ranged = not (settings.context_min is None and settings.context_max is None)
    if settings.context == "user":
        subject = f"{name}context user"
    elif ranged and not (chosen and _takes_rho(settings)):
        subject = f"{name}context_min and _max"
    else:
        return None
    if _takes_rho(settings):
        instead = f"it is rho of the matrix (to mean that, give {name}context auto)"
    else:
        instead = f"learner {settings.learner} goes without"
    return (
        f"{subject}: no context is assigned before the first solve, so {instead}; remedy: {name}context_option with "
        "the name of an option that holds a number or, in Python, the attribute context of sorlearn.PC"
    )


def of_unheeded_context(prefix: str, settings: Settings, assigned: bool) -> str | None:
    """What becomes of a context that the learner doesn't heed, or not all of; parameters as above.

    Parameters
    ----------
    assigned : bool
        Whether the application assigns one.
    """
    name, named, learner = f"-{prefix}{STEM}", settings.context_option, settings.learner
    if not (named or assigned):
        return None
    subject = f"{name}context_option {named}" if named else "the context"
    heeded = learner_class(learner).context_numbers
    if heeded == 0:
        return f"{subject} has no effect on learner {learner}, which heeds none; remedy: {name}learner auto"
    if heeded and named and len(named.split(",")) > heeded:
        return f"of {subject} learner {learner} heeds only the first number; remedy: {name}learner auto"
    return None


def _takes_rho(settings: Settings) -> bool:
    """Whether a feature of the matrix stands in for the user's context, in the range that the user gives."""
    return settings.context == "auto" and learner_class(settings.learner).needs_context_range
