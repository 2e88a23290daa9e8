"""Which arm solves, as the action that rank 0 decides."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

from petsc4py import PETSc

from ..learners import Context
from ..names import kin
from ..options import ArmSettings
from ..records.arms import ArmRecord, Tally
from ..tuning.arm_session import ArmSession
from ..tuning.play import Play, Played
from .beforehand import factorisation
from .context import Features
from .deciding import Deciding
from .say import at_exit, complain, say

_tallies: dict[tuple[Any, ...], Tally] = {}
#: A solve that takes so many times the iterations, and one more, of the one that was decided is the last to repeat it.
GROWN = 1.5


class Choosing(Deciding):
    """Decides which arm solves, and learns from what it takes, together with the other ranks.

    Parameters
    ----------
    prefix : str
        Options prefix of the solver.
    settings : ArmSettings
        Its options.

    Attributes
    ----------
    decision : Play
        The last one.
    """

    event = PETSc.Log.Event("SorlearnChooseArm")

    def __init__(self, prefix: str, settings: ArmSettings) -> None:
        super().__init__(prefix, Play(0))
        self._settings = settings
        self._iterations = 0  # of the solve that was decided
        self._set_up, self._sets_up = False, set[int]()  # whether that one was; arms that ever are
        self._arms: list[tuple[str, str]] = []
        self._words: Callable[[], list[str]] = list

    def _standing_still(self) -> Play:
        return Play(0, stopped=1.0)

    @property
    def entered(self) -> bool:
        """Whether there is something to choose from."""
        return self._slot is not None

    @property
    def most(self) -> int:
        """Iterations of a solve that may be followed by another repeat."""
        return int(GROWN * self._iterations + 1.0)

    # -- coming and going

    def enter(self, comm: Any, size: Any, arms: Sequence[tuple[str, str]], words: Callable[[], list[str]]) -> None:
        """Go on where another solver of this size with the same (name, kind) of arms stopped.  Collective.

        Parameters
        ----------
        words : callable
            Returns the options that stand for each arm alone.
        """
        self._arms, self._words = list(arms), words
        self.stops = (f"choosing among the arms of solver '{self.prefix}' stops; its first arm, {arms[0][0]}, solves "
                      "from now on")  # fmt: skip
        self._enter(comm, size, tuple(arms), self._settings)
        self._go_on()

    def _go_on(self) -> None:
        """With what is left of that solver's last decision, where all ranks have the same.  Collective."""
        assert self._slot is not None
        stands = self._slot.stands or (0.0,) * (3 + len(self.decision))
        top = self._agree(*stands, *(-number for number in stands))
        if top[0] > 0.0 and not self.stopped and all(most == -least for most, least in zip(top, top[len(stands) :])):
            self.left, self._iterations, self._set_up = int(stands[0]), int(stands[1]), bool(stands[2])
            self.decision = Play(*stands[3:])

    def leave(self) -> None:
        """See `Deciding.leave`; a decision stands where it was made for a solve that makes its own set-up, if any."""
        if self._slot is not None:
            left = self.left if self._set_up or int(self.decision.arm) not in self._sets_up else 0
            self._slot.stands = float(left), float(self._iterations), float(self._set_up), *self.decision
        super().leave()

    def _begin(self) -> tuple[ArmSession, Features]:
        names, kinds, name = [arm for arm, _ in self._arms], [kind for _, kind in self._arms], kin(self.prefix)
        tally = Tally(names, self._words() if self._settings.arms_summary else [])
        if self._settings.arms_summary:
            tally = _tallies.setdefault((name, *self._arms), tally)
            at_exit(tally, name, lambda: tally.summary(name) if sum(tally.solves) else "")
        session = ArmSession(self.prefix, f"{name}sorlearn_arms", self._settings, kinds, tally, say)
        if self._settings.arms_summary:
            tally.begin(session.rule)
            weakref.finalize(session, tally.end, session.rule).atexit = False  # the summary adds all that is open
        return session, Features()

    # -- around a solve

    @property
    def observed(self) -> bool:
        """Whether somebody wants to know of every single solve, as all ranks see it."""
        return bool(self._settings.arms_monitor or self._settings.arms_journal)

    def decide(self, P: Any, rtol: float) -> bool:
        """Decide for all; returns whether the last decision isn't just repeated.  Collective."""
        if self.left > 0:
            self.left -= 1
            return False

        def ask(top: Sequence[float]) -> Play:
            return self.session.decide(self._slot.features.context(top, rtol), lambda: factorisation(P))

        if not self.stopped:
            self._decide(lambda features: features.look(P), ask)
        return True

    def note(self, played: Played, iterations: int, rescued: bool, own: float | None,
             record: Callable[[int, Context], ArmRecord]) -> None:  # fmt: skip
        """Learn from a solve, whose iterations are those of all arms that had a part in it; see `ArmSession.charge`."""
        assert self._slot is not None
        self._slot.solves += 1
        self._hear_of_set_ups(played)
        if own is not None:
            self._iterations, self._set_up = iterations, played.set_ups > 0
        elif iterations > self.most:
            self.left = 0
        if self.session is not None and not self.broken:
            self._attempt(self.session.charge, played, own, rescued, record)

    def passed(self, played: Played, solves: int) -> None:
        """So many solves repeated the decision without Python; see `ArmSession.pass_unseen`."""
        assert self._slot is not None
        self._slot.solves += solves
        self._hear_of_set_ups(played)
        if self.session is not None and not self.broken:
            self._attempt(self.session.pass_unseen, played, solves)

    def _hear_of_set_ups(self, played: Played) -> None:
        if played.set_ups:
            self._sets_up.add(int(self.decision.arm))

    def leave_out(self, i: int, why: str) -> None:
        """This arm refuses the matrix, for a reason that is said where other ranks have none.  Collective."""
        assert self._comm is not None
        if not self._comm.all_come():  # they wait for this one, in the arm's solve
            complain(PETSc.COMM_SELF, f"solver '{self.prefix}': {why}; on some ranks only, so that the run ends")
            self._comm.abort()
        self.left = 0
        if self.session is not None:
            self.session.rule.leave_out(i)

    def let_go(self, i: int) -> None:
        """This arm's set-up is gone."""
        if self.session is not None:
            self.session.rule.let_go(i)
