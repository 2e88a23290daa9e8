"""Clocks and counters around what sorlearn does in Python."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import sorlearn
from sorlearn.petsc.collective import Comm


class Hooks:
    """Watches the hooks of `sorlearn.PC` in this process; solves that go by without Python don't come there.

    Parameters
    ----------
    clock : callable
        Returns seconds.

    Attributes
    ----------
    seconds : list of float
        Of both hooks together, a solve that came there.
    messages : int
        Collective calls in them.
    """

    def __init__(self, clock: Callable[[], float] = perf_counter) -> None:
        self.seconds: list[float] = []
        self._clock = clock
        self.messages, self._began = 0, 0.0
        self._wrap(sorlearn.PC, "preSolve", self._before)
        self._wrap(sorlearn.PC, "postSolve", self._after)
        for name in ("share", "largest"):
            self._wrap(Comm, name, self._count)

    def clear(self) -> None:
        """Forget what was seen."""
        self.seconds.clear()
        self.messages = 0

    @staticmethod
    def _wrap(owner: type, name: str, watch: Any) -> None:
        function = getattr(owner, name)
        setattr(owner, name, lambda *arguments: watch(function, *arguments))

    def _before(self, function: Any, *arguments: Any) -> None:
        start = self._clock()
        function(*arguments)
        self._began = self._clock() - start

    def _after(self, function: Any, *arguments: Any) -> None:
        start = self._clock()
        function(*arguments)
        self.seconds.append(self._began + self._clock() - start)

    def _count(self, function: Any, comm: Comm, values: Any) -> Any:
        self.messages += comm.size > 1
        return function(comm, values)
