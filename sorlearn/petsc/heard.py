"""What the outer KSP has to say about an inner one's iterations: its monitors, its convergence test, and a limit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from petsc4py import PETSc

from . import delegate, tolerances, usertest

#: What an inner KSP says when it is cut off: no failure that its preconditioner would repair.
_ENOUGH = int(PETSc.KSP.ConvergedReason.CONVERGED_ITS)


class _Test(NamedTuple):
    """What an inner KSP's iterations are put to.

    Attributes
    ----------
    whose : str
        "none", the "outer" KSP's, or its "own"; "cut" for its own that says at a limit that it is enough.
    heard : bool
        Whether the outer KSP is shown the iterations.
    least_squares : bool
        Whether its own is LSQR's, which the outer KSP couldn't compute.
    """

    whose: str
    heard: bool
    least_squares: bool


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
        self._tests: dict[int, _Test] = {}

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
        test = self._test_of(inner)
        if test != self._tests.get(inner.handle):
            self._tests[inner.handle] = test
            self._set(inner, test)
        return limit if test.whose == "cut" else most

    def _test_of(self, inner: Any) -> _Test:
        asked, heard = usertest.test_of(self._outer), self._is_heard(self._outer)
        before, limited = self._tests.get(inner.handle), 0 < self._limit < self._most
        squares = before.least_squares if before else usertest.test_of(inner).least_squares
        if asked.skips:
            return _Test("none", True, squares)
        if squares and (asked.default or asked.least_squares):
            return _Test("cut" if limited else "own", heard, squares)
        if not asked.plain or heard:
            return _Test("outer", True, squares)
        if limited and self._outer.getComputeSingularValues():
            return _Test("outer", True, squares)  # some KSPs keep to the limit that they were set up for then
        return _Test("cut" if limited else "own", False, squares)

    def _set(self, inner: Any, test: _Test) -> None:
        delegate.cancel_monitors(inner)
        if test.heard:
            inner.setMonitor(self._monitor)
        if test.whose == "outer":
            inner.setConvergenceTest(self._converged)
        elif test.whose == "none":
            delegate.set_no_test(inner)
        else:
            inner.setConvergenceTest(None)  # petsc4py lets go of the outer one's
            delegate.set_own_test(inner, test.least_squares, enough_at_the_limit=test.whose == "cut")

    def cuts(self, inner: Any) -> bool:
        """Whether the inner KSP's solve, which has ended, was cut off."""
        if self._tests[inner.handle].whose == "cut":
            self._cut = inner.getConvergedReason() == _ENOUGH and inner.getIterationNumber() >= self._limit
        return self._cut

    def says_the_same(self, inner: Any) -> bool:
        """Whether the inner KSP tests as the outer one would, but for a limit, with nobody listening."""
        test = self._tests.get(inner.handle)
        return test is not None and not test.heard

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
