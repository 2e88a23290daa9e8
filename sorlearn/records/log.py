"""What is said of single solves while a run goes on: monitor, journal, and the records kept for Python programs."""

from __future__ import annotations

from collections import deque
from typing import Any, Callable

from .journal import Journal

#: Records kept for Python programs.
RECORDS = 1000


def monitored(name: str, record: Any) -> str:
    """The monitor's line."""
    flags = " explored" * record.explored + " rescued" * record.rescued + " held" * record.held
    return (f"  sorlearn {name or '(no prefix)'} solve {record.solve}: omega {record.omega:.4f}, "
            f"{record.iterations} iterations, reason {record.reason}, cost {record.cost:.4g}{flags}")  # fmt: skip


class Log:
    """Takes every record of one solver.

    Parameters
    ----------
    name : str
        Options prefix of the solver.
    say : callable or None
        Prints a line for the user; None where there is no monitor.
    journal : Journal or None
        Where lines are written.
    monitored : callable
        Makes the monitor's line from the name and a record.

    Attributes
    ----------
    records : deque of SolveRecord
        The last 1000 solves that were decided, and of the others those that were observed.
    """

    def __init__(self, name: str, say: Callable[[str], None] | None, journal: Journal | None,
                 monitored: Callable[[str, Any], str] = monitored) -> None:  # fmt: skip
        self.name, self._say, self._journal, self._monitored = name, say, journal, monitored
        self.records: deque[Any] = deque(maxlen=RECORDS)

    @classmethod
    def of(cls, name: str, say: Callable[[str], None] | None, path: str | None, option: str) -> Log:
        """With a journal where the option gives its path."""
        return cls(name, say, Journal(path, name, option) if path else None)

    @property
    def observed(self) -> bool:
        """Whether somebody wants to see every solve, also those that nothing is decided for."""
        return bool(self._say or self._journal)

    def write(self, record: Any) -> None:
        """Take note of one solve."""
        self.records.append(record)
        if self._say:
            self._say(self._monitored(self.name, record))
        if self._journal:
            self._journal.write(record)
