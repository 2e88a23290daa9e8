"""What `sorlearn.KSP` with arms says of single solves, and at the end of a run."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..learners import NO_CONTEXT, Context
from . import journal


class ArmRecord(NamedTuple):
    """One solve, as the journal writes it.

    Attributes
    ----------
    solve : int
        Number of the solve, from 1.
    arm : str
        The arm that it was started with.
    omega : float or None
        Relaxation factor, where the arm has one.
    iterations : int
        Iterations of all arms that had a part in it.
    reason : int
        KSPConvergedReason that the application sees.
    cost : float
        Seconds without set-ups.
    seconds : float
        Wall-clock time on rank 0, set-ups included.
    residual_before, residual_after : float or None
        First and last residual norm that the KSP has seen, where known.
    context : Context
        What was known before the solve.
    propensity : float
        Probability with which the arm was drawn: 1, as none is drawn.
    explored : bool
        Whether it was a trial.
    rescued : bool
        Whether another arm has had a part in the answer.
    held : bool
        Whether this solve repeats the decision before.
    """

    solve: int
    arm: str
    omega: float | None
    iterations: int
    reason: int
    cost: float
    seconds: float
    residual_before: float | None = None
    residual_after: float | None = None
    context: Context = NO_CONTEXT
    propensity: float = 1.0
    explored: bool = False
    rescued: bool = False
    held: bool = False


def line(name: str, record: ArmRecord) -> str:
    """One JSON line of the second schema."""
    return journal.line(name, record, {"schema": journal.ARMS_SCHEMA, "arm": record.arm})


def monitored(name: str, record: ArmRecord) -> str:
    """The monitor's line."""
    omega = "" if record.omega is None else f" with omega {record.omega:.4f}"
    flags = " trial" * record.explored + " rescued" * record.rescued + " held" * record.held
    return (f"  sorlearn {name or '(no prefix)'} solve {record.solve}: arm {record.arm}{omega}, {record.iterations} "
            f"iterations, reason {record.reason}, {1e3 * record.seconds:.3g} ms{flags}")  # fmt: skip


class Tally:
    """Counts what each arm did in one run, of all solvers of a name.

    Parameters
    ----------
    names : sequence of str
        Of the arms.
    words : sequence of str
        The options that stand for each arm alone.

    Attributes
    ----------
    alone : ndarray, shape (3, arms)
        Seconds that each arm alone would have taken for all solves, by rules that are no more: least, expected, most.
    """

    def __init__(self, names: list[str], words: list[str]) -> None:
        self.names, self.words = names, words
        self.solves, self.trials, self.rescued, self.set_ups = ([0] * len(names) for _ in range(4))
        self.seconds = [0.0] * len(names)
        self.own = 0.0
        self.alone = np.zeros((3, len(names)))
        self._rules: dict[Any, None] = {}

    def begin(self, rule: Any) -> None:
        """A rule begins to choose, whose `total` is what each arm alone would have taken."""
        self._rules[rule] = None

    def end(self, rule: Any) -> None:
        """This one is no more."""
        if rule in self._rules:
            del self._rules[rule]
            self.alone += rule.total

    def count(self, arm: int, played: Any, trial: bool, rescued: bool, own: float, solves: int = 1) -> None:
        """A solve ended, or several, for which choosing took `own` seconds; `played` has their seconds and set-ups."""
        self.solves[arm] += solves
        self.trials[arm] += trial
        self.rescued[arm] += rescued
        self.set_ups[arm] += played.set_ups
        self.seconds[arm] += played.total
        self.own += own

    def summary(self, name: str) -> str:
        """The lines at the end of the run."""
        columns = ("arm", "solves", "trials", "rescued", "set-ups", "seconds")
        lines = [f"sorlearn.KSP summary of {name or '(no prefix)'}: {sum(self.solves)} solves, "
                 f"{sum(self.seconds):.3g} s, and {self.own:.2g} s to choose",
                 "{:12s} {:>7s} {:>7s} {:>7s} {:>7s} {:>9s}".format(*columns)]  # fmt: skip
        for row in zip(self.names, self.solves, self.trials, self.rescued, self.set_ups, self.seconds):
            lines.append("{:12s} {:7d} {:7d} {:7d} {:7d} {:9.3g}".format(*row))
        return "\n  ".join([*lines, self._advice()])

    def _advice(self) -> str:
        """The single configuration to take, and what it would lose."""
        for rule in list(self._rules):
            self.end(rule)
        spent = sum(self.seconds) + self.own
        known = [i for i, solves in enumerate(self.solves) if solves and (not i or self.rescued[i] <= 0.5 * solves)]
        if not known:
            return "advice: none, as too little was solved"
        best = min(known, key=lambda i: float(self.alone[1][i]))
        low, middle, high = (float(row[best]) / spent for row in self.alone)
        return (f"advice: of single solvers, {self.words[best]} is expected to take {middle:.2f} of this time "
                f"(from {low:.2f} to {high:.2f})")  # fmt: skip
