"""Which arm solves: rank 0 decides and learns, everybody gets the play; and what is told of it."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np
from petsc4py import PETSc

from ..errors import SorlearnError
from ..learners import NO_CONTEXT, Context
from ..options import ArmSettings
from ..records import arms as records
from ..records.journal import Journal
from ..records.log import Log
from ..records.saved import Saved
from ..tuning.arms import Rule
from ..tuning.play import Play, Played
from ..tuning.registry import Registry, kin
from .beforehand import factorisation
from .collective import Comm
from .context import UNREADABLE, Features
from .say import at_exit, complain, say

registry = Registry()
_event = PETSc.Log.Event("SorlearnChooseArm")
_tallies: dict[str, records.Tally] = {}
#: A solve that takes so many times the iterations, and one more, of the one that was decided is the last to repeat it.
GROWN = 1.5


class _Slot:
    """What outlives a solver and waits for the next of its kind; there is a rule on rank 0 only."""

    def __init__(self, rule: Rule | None) -> None:
        self.rule, self.features = rule, Features()
        self.solves = 0


class Choosing:
    """One solver's share in choosing among its arms.

    An error inside is printed once, and from then on the safe arm solves, on all ranks.

    Parameters
    ----------
    prefix : str
        Options prefix of the solver.
    settings : ArmSettings
        Its options.
    comm : petsc4py.PETSc.Comm
        Its communicator.

    Attributes
    ----------
    play : Play
        The last decision.
    left : int
        Solves that may repeat it.
    tally : Tally or None
        What each arm did, on rank 0.
    """

    def __init__(self, prefix: str, settings: ArmSettings, comm: Any) -> None:
        self._prefix, self._settings, self._comm = prefix, settings, Comm(comm)
        self.play, self.left, self._iterations = Play(0), 0, 0
        self.tally: records.Tally | None = None
        self._slot: _Slot | None = None
        self._key: tuple[Any, ...] = ()
        self._safe = ""
        self._log: Log | None = None
        self._saved: Saved | None = None
        self._broken, self._context = False, NO_CONTEXT
        self._noting = 0.0  # seconds that learning from the last decided solve took

    @property
    def entered(self) -> bool:
        """Whether there is something to choose from."""
        return self._slot is not None

    @property
    def rule(self) -> Rule | None:
        """What decides, on rank 0."""
        return self._slot.rule if self._slot is not None else None

    @property
    def solves(self) -> int:
        """All so far, those of a solver of the same kind before this one included."""
        return self._slot.solves if self._slot is not None else 0

    @property
    def most(self) -> int:
        """Iterations of a solve that may be followed by another repeat."""
        return int(GROWN * self._iterations + 1.0)

    # -- coming and going

    def enter(self, size: Any, arms: Sequence[tuple[str, str]], words: Callable[[], list[str]]) -> None:
        """Go on where another solver of this size with the same (name, kind) of arms stopped, if there was one.

        Parameters
        ----------
        words : callable
            Returns the options that stand for each arm alone.
        """
        self._key = (self._prefix, size, tuple(arms), self._settings, self._comm.members)
        self._safe, kinds = arms[0][0], [kind for _, kind in arms]
        share = self._settings.arms_share
        self._slot = registry.acquire(
            self._key, lambda: _Slot(Rule(kinds, share) if self._comm.root else None), lambda: None
        )
        if self._slot.rule is not None:
            self._report(self._slot, self._slot.rule, [name for name, _ in arms], words())

    def _report(self, slot: _Slot, rule: Rule, names: list[str], words: list[str]) -> None:
        settings, name = self._settings, self._prefix
        stem, path = f"-{name}sorlearn_arms_", settings.arms_journal
        self._log = Log(name, say if settings.arms_monitor else None,
                        Journal(path, name, f"{stem}journal", records.line) if path else None,
                        records.monitored)  # fmt: skip
        self.tally = records.Tally(names, words)
        self.tally.alone = rule.total
        if settings.arms_summary:
            self.tally = tally = _tallies.setdefault(kin(name), self.tally)
            at_exit(tally, name, lambda: tally.summary(kin(name)) if sum(tally.solves) else "")
        self._saved = Saved(f"{kin(name)}sorlearn_arms", stem, settings.arms_load, settings.arms_save, say)
        if not slot.solves:
            self._saved.restore(rule.take_over)

    def leave(self) -> None:
        """Give back what was learned."""
        self.left = 0
        if self._slot is not None:
            if self._saved is not None and self._slot.rule is not None:
                self._try(self._slot.rule.settle)
                self._saved.save(self._slot.solves, self._slot.rule.state)
            registry.release(self._key, self._slot)
        self._slot = None

    # -- around a solve

    @property
    def observed(self) -> bool:
        """Whether somebody wants to know of every single solve, as all ranks see it."""
        return bool(self._settings.arms_monitor or self._settings.arms_journal)

    def decide(self, P: Any, rtol: float) -> bool:
        """Decide on rank 0, for all; returns whether the last decision isn't just repeated.  Collective."""
        if self.left > 0:
            self.left -= 1
            return False
        assert self._slot is not None
        _event.begin()
        try:
            seen = self._slot.features.look(P)
        except Exception:  # one rank can't look: all go on without a context
            seen = UNREADABLE
        top = self._comm.largest(np.array(seen)).tolist()
        play = self._try(self._ask, top, P, rtol) if self._comm.root else None
        values = np.array(play or Play(0), float)
        self._comm.share(values)
        self.play = Play(*values.tolist())
        self.left = int(self.play.repeats)
        _event.end()
        return True

    def _ask(self, top: list[float], P: Any, rtol: float) -> Play:
        assert self._slot is not None and self._slot.rule is not None
        self._context = self._slot.features.context(top, rtol)
        return self._slot.rule.choose(self._context, lambda: factorisation(P))

    def note(self, played: Played, iterations: int, rescued: bool, own: float | None,
             record: Callable[[int, Context], records.ArmRecord]) -> None:  # fmt: skip
        """Learn from a solve, and write it down.

        Parameters
        ----------
        iterations : int
            Those of all arms that had a part in it.
        own : float or None
            Seconds that deciding took; None where the solve repeated a decision.
        record : callable
            Makes what is written down of the solve with this number in this context.
        """
        assert self._slot is not None
        self._slot.solves += 1
        if own is not None:
            self._iterations = iterations
        elif iterations > self.most:
            self.left = 0
        rule = self._slot.rule
        if rule is None or self.tally is None or self._log is None or self._saved is None:
            return
        began = perf_counter()
        self._try(rule.note, played, None if own is None else own + self._noting)
        if own is not None:
            self._noting = perf_counter() - began
        if self._log.observed:
            self._log.write(record(self._slot.solves, self._context))
        self._saved.sometimes(self._slot.solves, rule.state)
        spent = (own or 0.0) + perf_counter() - began
        self.tally.count(int(self.play.arm), played, bool(self.play.trial), rescued, spent)

    def passed(self, played: Played, solves: int) -> None:
        """So many solves repeated the decision without Python; none where another answer had to be found."""
        assert self._slot is not None
        self._slot.solves += solves
        rule = self._slot.rule
        if rule is not None and self.tally is not None and self._saved is not None:
            self._try(rule.note, played, None, solves)
            self._saved.sometimes(self._slot.solves, rule.state)
            self.tally.count(int(self.play.arm), played, False, not solves, 0.0, solves)

    def leave_out(self, i: int) -> None:
        """This arm refuses the matrix."""
        if self.rule is not None:
            self.rule.leave_out(i)

    def let_go(self, i: int) -> None:
        """This arm's set-up is gone."""
        if self.rule is not None:
            self.rule.let_go(i)

    # -- what may fail

    def _try(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """The call's result, or None after an error: from then on the safe arm solves."""
        if self._broken:
            return None
        try:
            return call(*arguments)
        except Exception as error:
            self._broken = True  # what the others repeat, this rank repeats, too
            text = f" {error}" if isinstance(error, SorlearnError) else f"\n{traceback.format_exc().rstrip()}"
            complain(PETSc.COMM_SELF, f"choosing among the arms of solver '{self._prefix}' stops; its first arm, "
                     f"{self._safe}, solves from now on:{text}")  # fmt: skip
            return None
