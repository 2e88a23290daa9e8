"""One sequence of solves by several arms: decide, charge, log, save.

As `session.py` is for ω: it lives on rank 0 and knows neither PETSc nor MPI.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from ..learners import NO_CONTEXT, Context
from ..options import ArmSettings
from ..records import arms as records
from ..records.journal import Journal
from ..records.log import Log
from ..records.saved import Saved
from .arms import Rule
from .play import Play, Played


class ArmSession:
    """Chooses arms for one solver and learns from what its solves cost.

    Parameters
    ----------
    name : str
        Options prefix of the solver.
    key : str
        Name that its saved state goes by.
    settings : ArmSettings
        Its options.
    kinds : sequence of str
        Each arm's type of preconditioner; the first arm is the safe one.
    tally : Tally
        What each arm does, perhaps also for other solvers of this name.
    say : callable
        Prints a line for the user.

    Attributes
    ----------
    rule : Rule
        What chooses.
    solves : int
        So far.
    """

    def __init__(self, name: str, key: str, settings: ArmSettings, kinds: list[str], tally: records.Tally,
                 say: Callable[[str], None]) -> None:  # fmt: skip
        self.rule, self.tally, self.solves = Rule(kinds, settings.arms_share), tally, 0
        stem, path = f"-{name}sorlearn_arms_", settings.arms_journal
        self._log = Log(name, say if settings.arms_monitor else None,
                        Journal(path, name, f"{stem}journal", records.line) if path else None,
                        records.monitored)  # fmt: skip
        self._saved = Saved(key, stem, settings.arms_load, settings.arms_save, say)
        self._saved.restore(self.rule.take_over)
        self._context = NO_CONTEXT
        self._play = Play(0)
        self._learning = 0.0  # seconds that learning from the last decided solve took

    def decide(self, context: Context, factorising: Callable[[], float]) -> Play:
        """Choose an arm for the coming solve; see `Rule.choose`."""
        self._context = context
        self._play = self.rule.choose(context, factorising)
        return self._play

    def charge(self, played: Played, own: float | None, rescued: bool,
               record: Callable[[int, Context], records.ArmRecord]) -> None:  # fmt: skip
        """Learn from a solve, and write it down.

        Parameters
        ----------
        own : float or None
            Seconds that deciding took; None where the solve repeated a decision.
        rescued : bool
            Whether another arm had a part in the answer.
        record : callable
            Makes what is written down of the solve with this number in this context.
        """
        began = perf_counter()
        self.solves += 1
        self.rule.note(played, None if own is None else own + self._learning)
        if own is not None:
            self._learning = perf_counter() - began
        if self._log.observed:
            self._log.write(record(self.solves, self._context))
        self._saved.sometimes(self.solves, self.rule.state)
        spent = (own or 0.0) + perf_counter() - began
        self.tally.count(int(self._play.arm), played, bool(self._play.trial), rescued, spent)

    def pass_unseen(self, played: Played, solves: int) -> None:
        """So many solves have repeated the decision with nobody looking; none where another answer had to be found."""
        self.solves += solves
        self.rule.note(played, None, solves)
        self._saved.sometimes(self.solves, self.rule.state)
        self.tally.count(int(self._play.arm), played, False, not solves, 0.0, solves)

    def save(self) -> None:
        """Write the state, if asked to; all solves count from here on."""
        self.rule.settle()
        self._saved.save(self.solves, self.rule.state)
