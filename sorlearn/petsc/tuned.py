"""A solver's share in a tuned sequence of solves: rank 0 decides and learns, everybody gets the decision."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from typing import Any, Callable

import numpy as np
from petsc4py import PETSc

from ..errors import SorlearnError
from ..learners import Context
from ..options import Settings
from ..tuning import memory
from ..tuning.decision import NO_PLAN, Decision, Plan
from ..tuning.record import Passed, Solve
from ..tuning.registry import Registry, kin
from ..tuning.session import Session
from .collective import Comm
from .context import UNREADABLE, Features
from .say import at_exit, complain, say

registry = Registry()
_choosing = PETSc.Log.Event("SorlearnChoose")
_learning = PETSc.Log.Event("SorlearnLearn")
_told: set[str] = set()
#: Where cleaning up has failed: PETSc 3.18 would destroy what is half destroyed once more, and crash.
_unclean: list[Any] = []


class Slot:
    """What outlives a PC object and waits for the next of its kind; there is a session on rank 0 only."""

    def __init__(self, session: Session | None, features: Features | None):
        self.session = session
        self.features = features
        self.broken = features is None


class Tuned:
    """Decides before a solve and learns after it, together with the other ranks.

    An error inside learning is printed once, and from then on ω stands still, on all ranks.

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
    left : int
        Solves that may repeat it.
    unattended : bool
        Whether solves can go by without Python here; on several ranks none repeats a decision otherwise.
    stopped, broken : bool
        Whether learning has stopped for good; and whether that is because of an error on this rank.
    """

    def __init__(self, prefix: str, settings: Settings, guarded: bool) -> None:
        self.prefix, self.settings, self.guarded = prefix, settings, guarded
        self.decision = Decision(settings.omega, settings.omega)
        self.repeats = self.stopped = self.broken = False
        self.left = 0
        self.unattended = False
        self._comm: Comm | None = None
        self._slot: Slot | None = None
        self._key: tuple[Any, ...] = ()

    @property
    def _alone(self) -> bool:
        return self._comm is not None and self._comm.size == 1

    @property
    def session(self) -> Session | None:
        """The session, on rank 0."""
        return self._slot.session if self._slot else None

    # -- coming and going

    def enter(self, ksp: Any, size: Any) -> None:
        """Find this solver's slot; what fails on one rank stops learning on all.  Collective."""
        kind = ksp.getType(), int(ksp.norm_type)
        self._key = (self.prefix, size, kind, ksp.comm.getSize(), self.settings, self.guarded)
        self._try(self._acquire, ksp.comm)
        if self._slot is None:
            self._slot = Slot(None, None)
        self.stopped = self.broken = self._agree(float(self.broken or self._slot.broken))[0] > 0.0

    def _acquire(self, comm: Any) -> None:
        self._comm = Comm(comm)
        self._key += (self._comm.members,)
        self._slot = registry.acquire(self._key, self._new_slot, lambda: _clean_up(comm))

    def _new_slot(self) -> Slot:
        assert self._comm is not None
        if not self._comm.root:
            return Slot(None, Features())
        session = registry.session(self.prefix, self.settings, say, self.guarded)
        if self.settings.summary:
            at_exit(session, self.prefix, session.review.summary)
        return Slot(session, Features(memory.matrix_to_come(session)))

    def leave(self) -> None:
        """Give back what was learned."""
        if self._slot is not None:
            if self._slot.session and not self.broken:
                self._try(self._slot.session.save)
            self._slot.broken = self.broken
            self._try(registry.release, self._key, self._slot)
        self._slot, self._comm, self.left = None, None, 0

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
        self.repeats = self._alone and self.left > 0 and self._repeat(A)
        if not (self.repeats or self.stopped):
            _choosing.begin()
            self._decide(ksp, A, given, measured)
            _choosing.end()
        return self.decision

    @property
    def offered(self) -> bool:
        """Whether solves may repeat the decision with nobody looking, as all ranks see it."""
        if self._comm is None:
            return False
        if self._comm.size > 1:  # also on a rank where learning has just failed: the others wait for it
            return self.decision.repeats > 0.0 and not self.repeats
        return self.left > 0 and self.session is not None and not self.session.log.observed

    def plan(self) -> Plan:
        """How solves may repeat it.  Collective."""
        assert self._comm is not None
        plan = (self._try(self.session.standing.plan) if self.session and not self.broken else None) or NO_PLAN
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
            self._try(self.session.pass_unseen, omegas, solves, passed, seconds)

    def repeat_as(self, omega: float, rho: float, left: int) -> None:
        """The solve under way, or the last, repeats the decision with this ω for this ρ."""
        self.repeats, self.left, self.decision = True, left, self.decision._replace(omega=omega)
        if self.session is not None:
            self.session.standing.followed(self.decision, rho)

    def _repeat(self, A: Any) -> bool:
        """Whether ω can just follow the matrix, so that a short solve needn't be decided; on one rank only."""
        followed = self._try(self._follow, A)
        if followed is None:
            self.left = 0
            return False
        self.decision = followed
        return True

    def _follow(self, A: Any) -> Decision | None:
        assert self._slot is not None and self._slot.session is not None and self._slot.features is not None
        return self._slot.session.standing.follow(self._slot.features.glance(A))

    def _decide(self, ksp: Any, A: Any, given: Callable[[], Context | None], measured: bool) -> None:
        """All say what they see and whether they are well, rank 0 decides, everybody gets the value.  Collective."""
        assert self._comm is not None and self._slot is not None
        context = self._try(given)
        seen = self._try(self._slot.features.look, A) if context is None and self._slot.features else None
        top = self._agree(*(UNREADABLE if seen is None else seen), float(not self.unattended), float(self.broken))
        self.broken = top[-1] > 0.0
        decision = self.decision._replace(check=0.0, repeats=0.0, stopped=1.0)
        if self._comm.root and not self.broken:
            decision = self._try(self._ask, context, top, ksp.rtol, measured) or decision
        if self._comm.size > 1 and not top[-1]:
            values = np.array(decision)
            self._comm.share(values)
            decision = Decision(*values.tolist())
        self.decision, self.left, self.stopped = decision, int(decision.repeats), bool(decision.stopped)

    def _ask(self, context: Context | None, top: Sequence[float], rtol: float, measured: bool) -> Decision:
        assert self._slot is not None and self._slot.session is not None and self._slot.features is not None
        features, unattended = self._slot.features, top[-2] == 0.0
        known = features.context(top[:-2], rtol) if context is None else context
        may = self._alone or unattended
        return self._slot.session.decide(known, measured, features.nonzeros if may else 0, may)

    def after(self, solve: Solve, own: float) -> None:
        """Learn from a solve, for which sorlearn itself took `own` seconds.  Collective where the cost is time."""
        if self.stopped:
            return
        if self.settings.cost == "time" and self._comm is not None:
            solve = solve._replace(seconds=float(self._comm.largest(np.array([solve.seconds]))[0]))
        session = self.session
        if session is None:
            return
        session.review.tally.own += own
        if self.repeats:
            self.left = self._try(session.repeated, solve) or 0
            return
        _learning.begin()
        assert self._slot is not None and self._slot.features is not None
        self.left = self._try(session.charge, solve._replace(own=own, inodes=self._slot.features.inodes)) or 0
        _learning.end()

    # -- what may fail

    def _agree(self, *values: float) -> Sequence[float]:
        """The largest values of all ranks; those of this rank where there is no way to the others.  Collective."""
        if self._comm is None or self._comm.size == 1:
            return values
        return self._comm.largest(np.array(values)).tolist()

    def _try(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """The call's result, or None after an error."""
        try:
            return call(*arguments)
        except Exception as error:
            if not self.broken and kin(self.prefix) not in _told:
                _told.add(kin(self.prefix))
                cause = f" {error}" if isinstance(error, SorlearnError) else f"\n{traceback.format_exc().rstrip()}"
                complain(
                    PETSc.COMM_SELF,
                    f"learning stops for solver '{self.prefix}'; omega stands still for the rest of the run:{cause}",
                )
            self.broken, self.left = True, 0
            return None


def _clean_up(comm: Any) -> None:
    """Have PETSc destroy solvers that nobody can reach any more; their errors aren't those of the one that asks."""
    if _unclean:
        return
    try:
        PETSc.garbage_cleanup(comm)
    except Exception:
        _unclean.append(comm)
        sys.stderr.write(f"sorlearn: destroying a solver that is out of reach:\n{traceback.format_exc()}")


def note_held(prefix: str, settings: Settings, why: str | None) -> None:
    """For the summary: ω is held in this solver, or isn't any more (None)."""
    told = why and PETSc.COMM_WORLD.getRank() == 0
    text = (f"sorlearn summary of {prefix or '(no prefix)'}: learner {settings.learner}, omega held at "
            f"{settings.omega:g}: {why}")  # fmt: skip
    at_exit(("held", prefix), prefix, (lambda: text) if told else None)
