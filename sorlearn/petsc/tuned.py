"""A solver's share in a tuned sequence of solves: ω as the action that rank 0 decides."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import cache, partial
from typing import Any, Callable

import numpy as np
from petsc4py import PETSc

from ..learners import Context
from ..names import kin
from ..options import Settings
from ..tuning import memory
from ..tuning.decision import NO_PLAN, Decision, Plan
from ..tuning.record import Passed, Solve
from ..tuning.session import Session
from ..tuning.total import Total
from .context import Features
from .deciding import Deciding, registry
from .say import at_exit, say

#: By name, settings, and whether sorlearn.KSP solves.
_totals: dict[tuple[str, Settings, bool], Total] = {}
_learning = PETSc.Log.Event("SorlearnLearn")


class Tuned(Deciding):
    """Decides ω before a solve and learns after it, together with the other ranks.

    Parameters
    ----------
    prefix : str
        Options prefix of the solver.
    settings : Settings
        Its options.
    guarded : bool
        Whether `sorlearn.KSP` runs the solves.

    Attributes
    ----------
    decision : Decision
        The last one.
    repeats : bool
        Whether the solve under way repeats it, with nothing decided.
    unattended : bool
        Whether solves can go by without Python here; on several ranks none repeats a decision otherwise.
    """

    event = PETSc.Log.Event("SorlearnChoose")

    def __init__(self, prefix: str, settings: Settings, guarded: bool) -> None:
        super().__init__(prefix, Decision(settings.omega, settings.omega))
        self.settings, self.guarded = settings, guarded
        self.repeats = self.unattended = False
        self._users: Context | None = None  # of the last decision, if it is the user's
        self.stops = (f"learning stops for solver '{prefix}'; omega stands still at {settings.omega:g} for the rest of "
                      "the run")  # fmt: skip

    def _standing_still(self) -> Decision:
        """The safe ω, whatever was on trial; in Eisenstat's form its own test isn't the user's."""
        omega, judged = self.settings.omega, self.settings.pc_type == "eisenstat"
        return Decision(omega, omega, check=float(judged), stopped=1.0)

    # -- coming and going

    def enter(self, ksp: Any, size: Any) -> None:
        """Find this solver's slot.  Collective."""
        kind = ksp.getType(), int(ksp.norm_type)
        self._enter(ksp.comm, size, kind, ksp.comm.getSize(), self.settings, self.guarded)

    def _begin(self) -> tuple[Session, Features]:
        session = registry.session(self.prefix, self.settings, say, self.guarded)
        if self.settings.summary:
            self._sum_up(session)
        return session, Features(memory.matrix_to_come(session))

    def _sum_up(self, session: Session) -> None:
        key = kin(self.prefix), self.settings, self.guarded
        if key not in _totals:
            _totals[key] = Total(self.settings, self.guarded)
            at_exit(key, self.prefix, _totals[key].summary)
        total = _totals[key]
        total.begin(session.review)
        weakref.finalize(session, total.end, session.review).atexit = False  # at the end, all that is open is added

    def leave(self) -> None:
        """See `Deciding.leave`; a solver made anew goes on in the middle of solves that repeat a decision."""
        if self.session is not None:
            self.session.restored = True
        super().leave()

    def decide_next(self) -> None:
        """The next solve repeats nothing."""
        self.left = 0

    # -- around a solve

    def before(self, ksp: Any, A: Any, given: Callable[[], Context | None], measured: bool) -> Decision:
        """The decision for the coming solve.  Collective.

        Parameters
        ----------
        given : callable
            Returns what is known of the solve, None where the matrix is to be looked at.
        measured : bool
            Whether answers at different ω's pass different tests.
        """
        known = cache(partial(self._attempt, given))  # asked for once
        self.repeats = self.alone and self.left > 0 and self._repeat(A, known)
        if not (self.repeats or self.stopped):
            self._choose(ksp, A, known(), measured)
        return self.decision

    @property
    def offered(self) -> bool:
        """Whether solves may repeat the decision with nobody looking, as all ranks see it.

        A user's context is asked for before each.
        """
        if self._comm is None or self.alone and self._users is not None:
            return False
        if self._comm.size > 1:  # also on a rank where learning has just failed: the others wait for it
            return self.decision.repeats > 0.0 and not self.repeats
        return self.left > 0 and self.session is not None and not self.session.log.observed

    def plan(self) -> Plan:
        """How solves may repeat it.  Collective."""
        assert self._comm is not None
        plan = (self._attempt(self.session.standing.plan) if self.session and not self.broken else None) or NO_PLAN
        if self._comm.size > 1:
            values = np.array(plan.numbers())
            self._comm.share(values)
            plan = Plan.of(values.tolist())
        if plan.left:
            self.decision, self.left = plan.decision, plan.left
        return plan

    def watched(self) -> tuple[tuple[int, int], float, tuple[int, int, int]]:
        """See `Features.watched`."""
        assert self._slot is not None and self._slot.features is not None
        return self._slot.features.watched()

    def passed(self, omegas: Sequence[float], solves: Sequence[Solve], passed: Passed, seconds: float) -> None:
        """Solves have repeated the decision with nobody looking; see `Session.pass_unseen`."""
        if self.session is not None and not self.broken:
            self._attempt(self.session.pass_unseen, omegas, solves, passed, seconds)

    def repeat_as(self, omega: float, rho: float, left: int) -> None:
        """The solve under way, or the last, repeats the decision with this ω for this ρ."""
        self.repeats, self.left, self.decision = True, left, self.decision._replace(omega=omega)
        if self.session is not None:
            self.session.standing.followed(self.decision, rho)

    def _repeat(self, A: Any, known: Callable[[], Context | None]) -> bool:
        """Whether ω can just follow the matrix, so that a short solve needn't be decided; on one rank only.

        Where the user's context is what counts, whether that is what it was.
        """
        followed = None
        if self._users is None or known() == self._users:
            followed = self._attempt(self._follow, A)
        if followed is None:
            self.left = 0
            return False
        self.decision = followed
        return True

    def _follow(self, A: Any) -> Decision | None:
        assert self._slot is not None and self._slot.session is not None and self._slot.features is not None
        standing = self._slot.session.standing
        return standing.follow(self._slot.features.glance(A) if self._users is None else standing.rho)

    def _choose(self, ksp: Any, A: Any, context: Context | None, measured: bool) -> None:
        self._users = context if context is not None and context.user else None

        def ask(top: Sequence[float]) -> Decision:
            features, unattended = self._slot.features, top[-1] == 0.0
            seen = features.context(top[:-1], ksp.rtol)
            known, may = seen if context is None else context, self.alone or unattended
            repeatable = may and (self.alone or not known.user)
            self.session.pricing.inodes = features.inodes
            nonzeros = features.nonzeros if repeatable else 0
            decision = self.session.decide(known, measured, nonzeros, may, self._comm.size)
            return decision if repeatable else decision._replace(repeats=0.0)

        def look(features: Features) -> Sequence[float]:
            return features.look(A) if context is None else features.glimpse(A)

        self._decide(look, ask, float(not self.unattended))

    def after(self, solve: Solve, own: float) -> None:
        """Learn from a solve, for which sorlearn has taken `own` seconds so far.  Collective where the cost is time."""
        if self.stopped:
            if self.session is not None:
                self._attempt(self.session.pass_stopped, solve)
            return
        if self.settings.cost == "time" and self._comm is not None:
            solve = solve._replace(seconds=float(self._comm.largest(np.array([solve.seconds]))[0]))
        session = self.session
        if session is None:
            return
        if self.repeats:
            self.left = self._attempt(session.repeated, solve) or 0
            return
        _learning.begin()
        assert self._slot is not None and self._slot.features is not None
        self.left = self._attempt(session.charge, solve._replace(own=own, inodes=self._slot.features.inodes)) or 0
        _learning.end()

    def spend(self, own: float) -> None:
        """Sorlearn itself took so many seconds for a solve, learning and writing down included."""
        if self.session is not None:
            self.session.review.tally.own += own


def note_held(prefix: str, settings: Settings, why: str | None) -> None:
    """For the summary: ω is held in this solver, or isn't any more (None)."""
    told = why and PETSc.COMM_WORLD.getRank() == 0
    text = (f"sorlearn summary of {prefix or '(no prefix)'}: learner {settings.learner}, omega held at "
            f"{settings.omega:g}: {why}")  # fmt: skip
    at_exit(("held", prefix), prefix, (lambda: text) if told else None)
