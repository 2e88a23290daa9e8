"""What a KSP has for as long as a solve takes, and what the user had set there instead."""

from __future__ import annotations

from typing import Any

from petsc4py import PETSc

from ..tuning.decision import Decision
from . import tolerances
from .borrowed import Borrowed
from .lenience import Lenience
from .usertest import outer_of, test_of

#: What KSPs say at the limit of iterations; GCR the second.
_AT_THE_LIMIT = tuple(map(int, (PETSc.KSP.ConvergedReason.DIVERGED_MAX_IT, PETSc.KSP.ConvergedReason.CONVERGED_ITS)))
#: Least relative tolerance that is asked for in order to pass another test.
LEAST_RTOL = 1e-14


class Lent:
    """Of one KSP at a time: tightened tolerances, until its first test; a limit of iterations; no error for a failure.

    `begin` comes before a solve, `watch` in it, `give_back` after it, also where it ended in an error.

    Attributes
    ----------
    limit : int
        Iterations after which a trial is cut off; 0 for none.
    limited : bool
        Whether it has come to that.
    """

    def __init__(self) -> None:
        self.limit, self.limited = 0, False
        self._user = tolerances.Tolerances(1e-5, 1e-50, 1e4, 10000)
        self._ksp = Borrowed()
        self._busy = False
        self._changed: dict[str, float] = {}  # tolerances that the KSP has now and that aren't the user's
        self._early = False
        self._lenience = Lenience()

    def begin(self, ksp: Any, decision: Decision, lenient: bool) -> None:
        """Tighten the tolerances as decided; where `lenient`, raise no error if the solve fails."""
        self._borrow(ksp)
        self.limit, self.limited = 0 if ksp.getComputeSingularValues() else int(decision.limit), False  # CG forbids it
        ksp.setIterationNumber(0)  # BiCGStab preconditions its first residual before it does so, see watch
        if decision.tighten or decision.tighten_atol:
            self._early = ksp.handle not in outer_of and test_of(ksp).default
            rtol, atol, _, _ = ksp.getTolerances()
            rtol = max(rtol * 10.0**-decision.tighten, min(rtol, LEAST_RTOL))
            self._change(ksp, rtol=rtol, atol=atol * 10.0**-decision.tighten_atol)
        self._lenience.begin(ksp, self._user if self._changed else None, lenient)

    def _borrow(self, ksp: Any) -> None:
        self._ksp.hold(ksp)
        self._busy = True

    def ask(self, ksp: Any, rtol: float | None) -> None:
        """Go on to another relative tolerance, unless that is None."""
        self._borrow(ksp)
        if rtol is not None:
            self._change(ksp, rtol=rtol)

    def _change(self, ksp: Any, **wanted: float) -> None:
        if not self._changed:
            self._user = tolerances.read(ksp)
        tolerances.write(ksp, **wanted)
        self._changed |= wanted

    @property
    def watches(self) -> bool:
        """Whether there is something to `watch` in the solve under way."""
        return bool(self._changed or self.limit)

    def watch(self) -> int:
        """To be called when the preconditioner is applied; returns after how many applications again, 0 for never.

        PETSc's own test reads the tolerances before the first iteration only: after that they are the user's again.
        A trial that has come to its limit is cut off.
        """
        ksp = self._ksp.get() if self._busy else None
        if ksp is None:  # no solve is under way: an error has ended it, and its KSP may be gone
            return 0
        limit, iterations = self.limit, ksp.getIterationNumber()
        if self._changed and self._early:
            if not iterations:
                return 1
            self._give_back_tolerances(ksp)
        if not limit or self.limited:
            return 0
        if iterations < limit - 1:
            return limit - 1 - iterations
        self.limited = limit < ksp.max_it
        if self.limited:
            self._change(ksp, max_it=limit)
        return 0

    def cut_off(self, ksp: Any) -> bool:
        """Whether that is why the solve has ended."""
        return self.limited and int(ksp.getConvergedReason()) in _AT_THE_LIMIT

    def _give_back_tolerances(self, ksp: Any) -> None:
        has = tolerances.read(ksp)._asdict()  # what the user has set since, after an error, stays
        mine = {name: getattr(self._user, name) for name, value in self._changed.items() if has[name] == value}
        self._changed = {}
        tolerances.write(ksp, **mine)

    def give_back(self) -> None:
        """The user's settings of the KSP; also where the last solve ended in an error and never came to postSolve."""
        if not self._busy:
            return
        self._busy, ksp = False, self._ksp.get()
        if ksp is None:
            self._lenience, self._changed = Lenience(), {}
        else:
            self._lenience.end(ksp)
            if self._changed:
                self._give_back_tolerances(ksp)
