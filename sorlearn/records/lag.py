"""What `sorlearn.Lag` says of single solves, and at the end of a run."""

from __future__ import annotations

import json
from typing import Any, Callable, NamedTuple

from .journal import Journal, finite

SCHEMA = 1


class LagRecord(NamedTuple):
    """One solve or, where nobody says where one ends, all applications to one matrix.

    Attributes
    ----------
    solve : int
        Number of the solve, from 1.
    age : int
        Solves since the last set-up, this one included: 1 is the first with it.
    iterations, reason : int or None
        Those that the application sees; None where no KSP tells.
    applications : int
        Of the preconditioner, those of a solve that was given up included.
    seconds : float or None
        Wall-clock time of the solve and of the set-up before it, on rank 0; None where no KSP tells.
    worth : float
        What a set-up is reckoned to cost, in applications.
    distance : float or None
        How unlike the matrix is to the one that was set up for, where that was looked at.
    rescued : bool
        Whether a solve with the kept set-up was given up, and a fresh one had a part in the answer.
    """

    solve: int
    age: int
    iterations: int | None
    reason: int | None
    applications: int
    seconds: float | None
    worth: float
    distance: float | None
    rescued: bool


def line(name: str, record: LagRecord) -> str:
    """One JSON line without NaN or infinity."""
    entry: dict[str, Any] = {"schema": SCHEMA, "name": name}
    for field, value in record._asdict().items():
        entry[field] = finite(value) if isinstance(value, float) else value
    return json.dumps(entry, allow_nan=False)


def monitored(name: str, record: LagRecord) -> str:
    """The monitor's line."""
    return (f"  sorlearn.Lag {name or '(no prefix)'} solve {record.solve}: {record.age - 1} since the set-up, "
            f"{record.applications} applications, a set-up is worth {record.worth:.1f}"
            f"{' rescued' * record.rescued}")  # fmt: skip


class Log:
    """Takes every record of one solver, on rank 0.

    Parameters
    ----------
    say : callable or None
        Prints a line for the user; None where there is no monitor.
    journal : Journal or None
        Where lines are written.
    """

    def __init__(self, name: str, say: Callable[[str], None] | None, journal: Journal | None) -> None:
        self._name, self._say, self._journal = name, say, journal

    def write(self, record: LagRecord) -> None:
        """Take note of one solve."""
        if self._say:
            self._say(monitored(self._name, record))
        if self._journal:
            self._journal.write(record)


class Tally:
    """Counts set-ups and solves of one run, of all solvers of a name; costs are in applications.

    Attributes
    ----------
    spent : float
        What solves and set-ups have cost.
    least, most : float
        What was saved against a set-up for every matrix, after what deciding took: as if the solves with kept set-ups
        had taken as much as those with fresh ones before and after them, the cheaper of the two, but none more than it
        took; and as if keeping had cost no application.
    rescued : int
        Solves with a kept set-up that were given up or failed, and ended with a fresh one.
    """

    def __init__(self) -> None:
        self.set_ups = self.solves = self.rescued = 0
        self.spent = self.least = self.most = 0.0

    def set_up(self, worth: float) -> None:
        """The preconditioner was set up."""
        self.set_ups += 1
        self.spent += worth

    def solved(self, cost: float) -> None:
        """A solve ended."""
        self.solves += 1
        self.spent += cost

    def kept(self, worth: float, excess: float) -> None:
        """A solve spared a set-up, and took so much more than one with a fresh set-up."""
        self.least += worth - max(excess, 0.0)
        self.most += worth

    def dearer(self, cost: float) -> None:
        """Solves with kept set-ups took so much more beyond those with fresh ones than was thought."""
        self.least -= cost

    def own(self, cost: float) -> None:
        """Deciding took so much."""
        self.spent += cost
        self.least -= cost
        self.most -= cost

    def gave_up(self, cost: float) -> None:
        """A solve was given up after so many applications."""
        self.rescued += 1
        self.spent += cost
        self.least -= cost

    def summary(self, name: str) -> str:
        """The line at the end of the run."""
        said = f"sorlearn.Lag summary of {name or '(no prefix)'}: {self.set_ups} set-ups in {self.solves} solves, "
        least, most = (100.0 * saved / max(self.spent + saved, 1e-9) for saved in (self.least, self.most))
        if least >= 0.0:
            said += f"{least:.0f} % of the time saved (at most {most:.0f} %) against a set-up for each matrix"
        else:
            said += f"between {least:.0f} and {most:.0f} % of the time saved against a set-up for each matrix"
        return f"{said}; rescued: {self.rescued}"
