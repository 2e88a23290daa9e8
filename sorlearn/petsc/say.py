"""Words to the user, from one rank."""

from __future__ import annotations

import atexit
import sys
import traceback
from collections.abc import Callable
from typing import Any

from petsc4py import PETSc

from ..errors import MatrixError
from ..names import kin
from ..records import told
from .clib import error_text
from .sor import Sweeps

_last_words: dict[Any, tuple[str, Callable[[], str]]] = {}
#: PETSc's error codes of a zero or missing entry on the diagonal, which the other ranks know nothing of.
_OF_ONE_RANK = (71, 73, 75)


def say(text: str) -> None:
    """A line on stdout, in which what UTF-8 or C doesn't have is escaped: names of files may be anything."""
    text = text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\0")
    PETSc.Sys.Print(text, comm=PETSc.COMM_SELF)


def at_exit(key: Any, prefix: str, text: Callable[[], str] | None) -> None:
    """Have the summary of a solver said when the run ends, if there is anything to say; None takes that back."""
    _last_words.pop(key, None)
    if text is not None:
        _last_words[key] = prefix, text


@atexit.register
def _say_last_words() -> None:
    for prefix, words in _last_words.values():
        try:
            text = words()
        except Exception:  # the run is over, and the other summaries are still to be said
            text = f"sorlearn: no summary of solver '{prefix}':\n{traceback.format_exc()}"
        if text:
            say(text) if PETSc.Sys.isInitialized() else print(text, flush=True)


def complain(comm: Any, text: str) -> None:
    """One message on stderr, from rank 0 of a communicator."""
    if comm.getRank() == 0:
        sys.stderr.write(f"sorlearn: {text}\n")
        sys.stderr.flush()


def once(comm: Any, prefix: str, text: str) -> None:
    """A message about a solver, on stderr, the first time only for all that are its kin."""
    if told.first(prefix, kin(text)):
        complain(comm, f"solver '{prefix}': {text}")


def only_one(prefix: str, kind: str) -> None:
    """Matrices of this type take ω = 1 only: said once, also where every rank has a solver of its own."""
    text = (
        f"SOR of matrix type {kind} takes omega = 1 only, so nothing is learned; "
        f"remedy: -mat_type aij, or -{prefix}pc_type sor"
    )
    once(PETSc.COMM_WORLD, prefix, text)


def state(prefix: str, settings: Any, omega: float, standing: Any, applied: Any, session: Any, slow: str) -> list[str]:
    """The lines of `-ksp_view`; `session` is None on ranks other than the first.

    `slow` says why every solve and iteration comes to Python, or nothing.
    """
    space, solves = settings.space(), f", {session.books.solves} solves so far" if session else ""
    held = standing.held
    reasons = [f"remedy: {held.remedy_for(prefix)}"] if held else session.review.reasons() if session else []
    return [
        f"sorlearn: learner {settings.learner}, {standing.text}{solves}",
        f"omega = {omega:g} in [{space.omega_min:g}, {space.omega_max:g}], safe omega = {settings.omega:g}, "
        f"cost {settings.cost}",
        f"SOR: {applied}",
        *([f"short solves are slower than they need be: {slow}"] if slow else []),
        *reasons,
    ]


def explain(pc: Any, prefix: str, sweeps: Sweeps, error: Exception) -> None:
    """Name the cause of what PETSc's own SOR would have refused, too."""
    kind = sweeps.kind
    remedy = f"an assembled matrix (-mat_type aij) with a full diagonal, or another -{prefix}pc_type"
    if isinstance(error, MatrixError):
        remedy = f"another -{prefix}ksp_type"
    elif pc.comm.getSize() > 1 and not kind.startswith("local_"):
        remedy = f"-{prefix}pc_sor_local_{kind}, or another -{prefix}pc_type"
    cause = error_text(error.ierr) if isinstance(error, PETSc.Error) else str(error)
    here_only = isinstance(error, PETSc.Error) and error.ierr in _OF_ONE_RANK
    matrix = pc.getOperators()[1].getType()
    once(
        PETSc.COMM_SELF if here_only else pc.comm,
        prefix,
        f"SOR can't be applied to this matrix of type {matrix}: {cause}; remedy: {remedy}",
    )
