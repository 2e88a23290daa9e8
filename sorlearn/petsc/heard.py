"""What the outer KSP has to say about an inner one's iterations: its monitors, its convergence test, and a limit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from petsc4py import PETSc

from . import delegate, tolerances, usertest

#: What an inner KSP says when it is cut off: no failure that its preconditioner would repair.
_ENOUGH = int(PETSc.KSP.ConvergedReason.CONVERGED_ITS)


class Heard:
    """Of one outer KSP, in solves by one inner KSP or several after one another, whose iterations count together.

    Attributes
    ----------
    interrupted : bool
        Whether the application's own monitor or convergence test has raised an exception.
    """

    def __init__(self) -> None:
        self.interrupted = False
        self._outer: Any = None
        self._done = self._last = self._limit = self._most = 0
        self._cut = False
        self._tests: dict[int, str] = {}

    def begin(self, outer: Any) -> None:
        """A solve of this outer KSP begins."""
        self._outer, self._done, self._last, self.interrupted = outer, 0, 0, False

    def end(self) -> None:
        """It has ended."""
        self._outer = None

    def forget(self) -> None:
        """There are other inner KSPs from now on."""
        self._tests = {}

    def put_to(self, inner: Any, limit: int, most: int) -> int:
        """Have nobody test an inner KSP, or PETSc where the outer one would say the same, or the outer one.

        Parameters
        ----------
        limit : int
            Iterations after which it is cut off; 0 for no limit.
        most : int
            Iterations that the user allows.

        Returns
        -------
        int
            The iterations that its tolerances are to allow.
        """
        self._limit, self._most, self._cut = limit, most, False
        asked = usertest.test_of(self._outer)
        if asked.skips:
            test = "none"
        elif not asked.plain or self._is_heard(self._outer):
            test = "outer"
        else:
            test = "cut" if 0 < limit < most else "own"
            if test == "cut" and self._outer.getComputeSingularValues():
                test = "outer"  # some KSPs keep to the limit that they were set up for then
        if test != self._tests.get(inner.handle):
            self._tests[inner.handle] = test
            self._set(inner, test)
        return limit if test == "cut" else most

    def _set(self, inner: Any, test: str) -> None:
        delegate.cancel_monitors(inner)
        if test in ("own", "cut"):
            inner.setConvergenceTest(None)
            if test == "cut":
                delegate.end_well_at_the_limit(inner)
            return
        inner.setMonitor(self._monitor)
        inner.setConvergenceTest(self._converged) if test == "outer" else delegate.set_no_test(inner)

    def cuts(self, inner: Any) -> bool:
        """Whether the inner KSP's solve, which has ended, was cut off."""
        if self._tests[inner.handle] == "cut":
            self._cut = inner.getConvergedReason() == _ENOUGH and inner.getIterationNumber() >= self._limit
        return self._cut

    def says_the_same(self, inner: Any) -> bool:
        """Whether the inner KSP tests as the outer one would, but for a limit, with nobody listening."""
        return self._tests.get(inner.handle) in ("own", "cut")

    @staticmethod
    def _is_heard(ksp: Any) -> bool:
        """Whether a KSP has something to say about another one's iterations, or to show of them."""
        no_norm = int(ksp.norm_type) == int(PETSc.KSP.NormType.NONE)  # petsc4py gives such a KSP no test at all
        return no_norm or delegate.watched(ksp)

    def _monitor(self, inner: Any, iteration: int, norm: float) -> None:
        """Show the outer KSP's monitors an iteration; a continued solve goes on counting."""
        if iteration == 0:
            self._done, self._last = self._last, self._last
        self._show(iteration, norm)
        self._outer.logConvergenceHistory(norm)
        with self._theirs():
            self._outer.monitor(self._last, norm)
        self._heed(inner)

    def _heed(self, inner: Any) -> None:
        """What a monitor has set on the outer KSP counts for the inner one: a reason to end, a limit of iterations."""
        if self._outer.getConvergedReason():
            inner.setConvergedReason(self._outer.getConvergedReason())
            self._outer.setConvergedReason(0)
        if self._outer.max_it != self._most:
            self._most = self._outer.max_it
            tolerances.write(inner, max_it=self._most)

    def _show(self, iteration: int, norm: float) -> None:
        """Have the outer KSP say where the inner one is; some types test before they monitor, and some after."""
        if iteration:
            self._last = self._done + iteration
        self._outer.setIterationNumber(self._last)
        delegate.set_residual_norm(self._outer, norm)

    def _converged(self, inner: Any, iteration: int, norm: float) -> Any:
        """The outer KSP's test; it measures against the right-hand side where a guess isn't zero."""
        if iteration == 0:
            now = tolerances.read(inner)
            tolerances.write(self._outer, rtol=now.rtol, atol=now.atol)
            self._outer.setInitialGuessNonzero(inner.getInitialGuessNonzero())
        self._show(iteration, norm)
        with self._theirs():
            reason = delegate.ask_test(self._outer, iteration, norm)
        self._cut = not reason and 0 < self._limit <= iteration
        return _ENOUGH if self._cut else reason

    @contextmanager
    def _theirs(self) -> Iterator[None]:
        """What fails inside is the application's."""
        try:
            yield
        except BaseException:  # noted, and raised again
            self.interrupted = True
            raise
