"""What a session remembers beyond its run: all that choosing as before needs, as plain arrays and numbers."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from ..errors import StateError
from ..learners import Choice, Context, MatrixFeatures
from .decision import Decision
from .record import Passed

if TYPE_CHECKING:
    from .session import Session

#: What a session is made of, beside its learner: each has `state` and `restore`.
ROOMS = ("accuracy", "vetoes", "repeats", "baseline", "pricing")


def state(session: Session) -> dict[str, Any]:
    """Of a session, for a file."""
    own = {
        "learner": session.learner.state(),
        "cost": session.settings.cost,
        "solves": session.books.solves,
        "rho": session.standing.rho,
        "ratio": session.books.ratio,
        "decision": [value if isfinite(value) else str(value) for value in session.standing.decision],
        "decided": session.standing.chosen.omega,
        "passed": list(session.books.passed),
        "matrix": list(session.standing.chosen.context.matrix or ()),
        "user": [value if isfinite(value) else str(value) for value in session.standing.chosen.context.user],
    }
    return {**own, **{name: getattr(session, name).state() for name in ROOMS}}


def restore(session: Session, fresh: Session, saved: dict[str, Any], with_learner: bool) -> None:
    """Have a session go on where the one stopped whose state this is.

    Parameters
    ----------
    fresh : Session
        A new one like it, which tries the state.
    with_learner : bool
        Whether the learner is the session's own: else what a group has learned since would be lost, unless it is less.

    Raises
    ------
    StateError
        If the state is another learner's or damaged; the session is then unchanged.
    """
    try:
        if (cost := saved.get("cost", session.settings.cost)) != session.settings.cost:
            raise StateError(f"state of cost {cost}, wanted {session.settings.cost}")
        for name in ROOMS:
            getattr(fresh, name).restore(saved[name])
        solves, rho = int(saved["solves"]), float(saved["rho"])
        omega, ratio = float(saved["decided"]), None if saved["ratio"] is None else float(saved["ratio"])
        if not isfinite(rho + (ratio or 0.0)) or not 0.0 < omega < 2.0:
            raise ValueError("numbers that aren't finite, or no omega")
        decision = Decision(*map(float, saved["decision"]))
        passed = Passed(*map(int, saved["passed"]))
        matrix = [float(value) for value in saved["matrix"]]
        user = tuple(map(float, saved.get("user", ())))
        context = Context(MatrixFeatures(*matrix) if matrix else None, user)
        if with_learner or saved["learner"]["rounds"] > session.learner.rounds:
            session.learner.restore(saved["learner"])
    except StateError:
        raise
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise StateError(f"the state is damaged: {error!r}") from None
    for name in ROOMS:  # in place, as others have them, too; what a new one took won't be refused
        getattr(session, name).restore(saved[name])
    session.restored, books, standing = True, session.books, session.standing
    books.solves, books.ratio, books.passed = solves, ratio, passed
    standing.rho, standing.decision, standing.chosen = rho, decision, Choice(omega, context=context)


def matrix_to_come(session: Session) -> MatrixFeatures | None:
    """What the restored run was to see next, if its matrix is still the same; None in a run that isn't restored."""
    matrix = session.standing.chosen.context.matrix if session.restored else None
    if matrix is None or session.repeats.left > 0:
        return matrix
    return matrix._replace(novelty=matrix.novelty + 1.0)
