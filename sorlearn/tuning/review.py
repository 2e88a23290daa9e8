"""One session in hindsight: what was counted, what was saved, and why ω stayed where it is."""

from __future__ import annotations

from math import log10

from ..learners import learner_class
from ..options import Settings
from ..records.log import Log
from ..records.summary import Tally, reasons
from .comparison import Comparison
from .decision import Decision
from .pricing import Pricing
from .record import Solve


class Review:
    """Takes every solve of one run; what was loaded from others isn't in it.

    Parameters
    ----------
    name : str
        Options prefix of the solver.
    settings : Settings
        Its options.
    pricing : Pricing
        What iterations cost in it.
    log : Log
        Its last solves.
    at_random : bool
        Whether audits are drawn at random.

    Attributes
    ----------
    name : str
        As given.
    tally, comparison
        Counts, and what they are worth against the safe ω.
    """

    def __init__(self, name: str, settings: Settings, pricing: Pricing, log: Log, at_random: bool) -> None:
        self.tally, self.comparison = Tally(), Comparison(at_random)
        self.name, self._settings, self._pricing, self._log = name, settings, pricing, log
        self._digits: float | None = 0.0  # asked for in the last solve of which it is known; None from a guess

    @property
    def omegas(self) -> list[float]:
        """Of the last solves that were decided."""
        return [record.omega for record in self._log.records if not record.held]

    @property
    def price(self) -> float:
        """Of an iteration at another ω than 1."""
        return self._pricing.elsewhere

    def enter(self, decision: Decision, solve: Solve, ratio: float | None, solves: int = 1, why: str = "",
              audit: bool = False) -> None:  # fmt: skip
        """A solve, or several together, came of this decision; `ratio` as in `Baseline.enter`, `why` in `Books`.

        `audit` if it was made to know what the safe ω takes.
        """
        safe, outcome = decision.omega == self._settings.omega, solve.outcome
        if solve.before:
            self._digits = log10(solve.before / solve.target) - decision.tighten if solve.target else None
        if outcome.failed:
            known = safe or outcome.worked in (0.0, self._settings.omega)
            self.comparison.enter_failed(outcome.iterations, outcome.alone, known)
        else:
            self.comparison.enter(outcome.iterations / solves, safe, ratio, solves, self._digits, audit)
        self.tally.count(outcome, solve.seconds, decision.tighten, safe, solves)
        if safe and why:
            setattr(self.tally, why, getattr(self.tally, why) + solves)

    def enter_idle(self, decision: Decision, solve: Solve, solves: int) -> None:
        """Solves without an iteration, which count for nothing but themselves."""
        safe = decision.omega == self._settings.omega
        self.tally.count(solve.outcome, solve.seconds, decision.tighten, safe, solves)

    def reasons(self) -> list[str]:
        """Why ω stays where it is, or tolerances are tightened; nothing where there is nothing to learn."""
        if not learner_class(self._settings.learner).learns:
            return []
        return reasons(self.name, self.tally, self.price, self.comparison.savings())
