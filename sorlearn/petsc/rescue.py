"""Solving once more what a trial ω left unsolved or worse solved, with everything that the user set on the KSP.

This room knows PETSc and nothing else: a `Decision` tells it what to do, an `Outcome` tells what came of it.
"""

from __future__ import annotations

import ctypes
from math import log10
from typing import Any, Callable

from petsc4py import PETSc

from ..tuning.accuracy import FAILS, PROMISED, shortfall, worse_than_none
from ..tuning.decision import Decision
from ..tuning.record import Outcome, Verdict
from . import levels, position, tolerances
from .clib import library
from .eisenstat import Eisenstat
from .lent import LEAST_RTOL, Lent
from .unheard import unheard
from .usertest import UserTest, outer_of, test_of

#: KSP types that apply the preconditioner itself even when they solve the transposed system.
_NEVER_TRANSPOSE = ("lsqr",)
#: KSPSolve takes an explicit transpose back; earlier, KSPSolveTranspose would transpose it once more.
_SOLVE_RESTORES = PETSc.Sys.getVersion() >= (3, 26, 0)
#: Times that an answer is gone on with until its true residual passes.
_ROUNDS = 3
_PRECONDITIONED, _TINY = int(PETSc.KSP.NormType.PRECONDITIONED), 1e-300
_checking = PETSc.Log.Event("SorlearnCheck")


def first_residual(ksp: Any) -> float | None:
    """The first residual norm of the last solve, where the history holds no other."""
    history = ksp.getConvergenceHistory()
    return float(history[0]) if len(history) == 1 else None


def keep_first_residual(ksp: Any) -> None:
    """Have the KSP note its first residual norm, unless the application has it note more."""
    history, length = ctypes.c_void_p(), ctypes.c_int64()
    library().KSPGetResidualHistory(ctypes.c_void_p(ksp.handle), ctypes.byref(history), ctypes.byref(length))
    if not history.value:
        ksp.setConvergenceHistory(1, reset=True)


def keeps_guess(ksp: Any) -> bool:
    """Whether PETSc adds a guess that this KSP was ever given to all later answers, those from zero as well."""
    return ksp.getType() in ("bcgs", "bcgsl") and ksp.getPCSide() == PETSc.PC.Side.RIGHT


class Rescue:
    """Keeps from the application what a trial ω did to a solve: failures, answers that lack digits, excessive cost.

    `prepare` comes before a solve, `finish` after it.

    Attributes
    ----------
    lent : Lent
        What the KSP has in between that isn't the user's.
    safe : float
        The safe ω.
    repairable : bool
        Whether PETSc can repeat a solve at all.
    applied_transpose : bool
        Whether the solve has applied the transpose of the preconditioner.
    nested : bool
        Whether a repeat is running, inside the postSolve of the solve that it repairs.
    omega : float
        ω of this repeat.
    form : Eisenstat or None
        What judges answers, where the user's test isn't the safe ω's.
    """

    def __init__(self) -> None:
        self.safe = self.omega = 1.0
        self.repairable, self.applied_transpose, self.nested = True, False, False
        self._decision = Decision(1.0, 1.0)
        self.lent = Lent()
        self._guess: Any = None
        self._test = UserTest()
        self.form: Eisenstat | None = None

    def reset(self) -> None:
        """Let go of the vectors, and of a KSP whose solve ended in an error: another PC may take over there."""
        self.lent.give_back()
        if self._guess is not None:
            self._guess.destroy()
        self._guess = None
        self._test.reset()

    # -- solves that Python doesn't see

    def hand_over(self, ksp: Any, decision: Decision, state: Any) -> None:
        """Let fast.c do as `prepare` and `watch` in solves that repeat this decision."""
        state.safe, state.fallback = self.safe, decision.fallback
        state.limit = 0 if ksp.getComputeSingularValues() else int(decision.limit)
        state.repairable, state.guess = self.repairable, self._guess.handle if self._guess else None
        state.tighten_rtol, state.tighten_atol = 10.0**-decision.tighten, 10.0**-decision.tighten_atol
        state.least_rtol = LEAST_RTOL
        state.easy = FAILS if self._turns_lenient(ksp, decision) else 0.0
        if decision.tighten or decision.tighten_atol:
            state.early = ksp.handle not in outer_of and test_of(ksp).default

    def take_over(self, decision: Decision, limited: bool, transposed: bool) -> None:
        """Finish a solve that fast.c has begun, and whose KSP has got back what the user had set."""
        self._decision, self.applied_transpose = decision, transposed
        self.lent.limit, self.lent.limited = int(decision.limit), limited

    # -- before a solve

    def prepare(self, ksp: Any, x: Any, decision: Decision) -> None:
        """Keep what a repair would need, and tighten the tolerances."""
        self.applied_transpose = False
        self._decision = decision
        repairs = self.repairable and not decision.omega == decision.fallback == self.safe
        if repairs and ksp.guess_nonzero:
            self._keep(x)
        self.lent.begin(ksp, decision, lenient=repairs)  # the repair comes first; postSolve ends it, then PETSc looks

    def _keep(self, x: Any) -> None:
        if self._guess is None:
            self._guess = x.duplicate()
        x.copy(self._guess)

    # -- after a solve

    def finish(self, ksp: Any, b: Any, x: Any, sweep: Callable[[Any, Any, Any, float], None] | None) -> Outcome:
        """Continue, repeat or judge the solve that has just ended, as need be.  Collective.

        An error inside is the application's, or one that it would have got from PETSc's own SOR: it is raised.

        Parameters
        ----------
        sweep : callable or None
            ``sweep(P, r, z, omega)`` is z = M⁻¹r; None where no answer is judged.
        """
        before, iterations, reason = first_residual(ksp), ksp.getIterationNumber(), ksp.getConvergedReason()
        outcome = Outcome(iterations, reason)
        if self.lent.cut_off(ksp):
            outcome = self._continue(ksp, b, x, outcome)
        if outcome.reason < 0:
            outcome = self._repair(ksp, b, x, outcome)
            alone = iterations if self._decision.omega == self.safe else ksp.getIterationNumber()
            outcome = outcome._replace(alone=alone)
            if sweep is not None and self.form is None and outcome.worked not in (0.0, self.safe):
                outcome = self._judge_repair(ksp, b, x, sweep, outcome)
        elif sweep is not None and iterations > 0 and not outcome.rescued:
            if self._decision.check or self._beyond(iterations) or self._passes_easily(ksp, x, before):
                outcome = self._judge(ksp, b, x, sweep, before, outcome)
        if outcome.rescued and self.form is not None:
            outcome = self._until_true(ksp, b, x, outcome)
        if outcome.iterations != ksp.getIterationNumber():
            ksp.setIterationNumber(outcome.iterations)
        return outcome

    def resign(self) -> None:
        """Leave the solve that has just ended as it is, if it has failed."""
        self._decision = self._decision._replace(omega=self.safe, fallback=self.safe)

    def unlike(self, ksp: Any, x: Any) -> bool:
        """Whether a solve that repeats the decision calls for a look at its answer.  Collective."""
        if self._beyond(ksp.getIterationNumber()):
            return True
        return self._turns_lenient(ksp, self._decision) and self._passes_easily(ksp, x, first_residual(ksp))

    def _beyond(self, iterations: int) -> bool:
        return not self._decision.least <= iterations <= self._decision.most

    def _passes_easily(self, ksp: Any, x: Any, before: float | None) -> bool:
        """Whether this ω's test may be far more lenient than the safe ω's: ‖M⁻¹b‖ is above what it stands for, ‖A⁻¹b‖.

        It never is where M⁻¹A has its spectrum in (0, 1], as SSOR has for symmetric matrices.  Collective.
        """
        measured = self._measures(ksp) and not ksp.guess_nonzero
        if not measured or before is None or self._decision.omega == self.safe:
            return False
        return log10(max(before, _TINY)) - log10(max(x.norm(), _TINY)) > FAILS

    def _turns_lenient(self, ksp: Any, decision: Decision) -> bool:
        """Whether the next matrix may turn the test of the decision's ω lenient, as one that isn't symmetric may."""
        return self._measures(ksp) and (decision.skewed > 0.0 or ksp.getType() not in position.DEFINITE)

    def _measures(self, ksp: Any) -> bool:
        """Whether the first residual is M⁻¹r."""
        return int(ksp.norm_type) == _PRECONDITIONED and self.form is None

    def _transposes(self, ksp: Any) -> bool:
        """Whether the KSP multiplies by Aᵀ for A; with `-ksp_use_explicittranspose` its operator is Aᵀ already."""
        may_be = self.applied_transpose or ksp.getType() in _NEVER_TRANSPOSE
        return may_be and position.solves_transposed()

    def _again(self, ksp: Any, b: Any, x: Any, omega: float, nonzero_guess: bool) -> None:
        """Run the KSP again from x (or from zero) inside its own postSolve: PETSc allows one embedded solve.

        Norms, null spaces, monitors and convergence tests are the user's, because the KSP is.
        """
        guess, strict = ksp.getInitialGuessNonzero(), ksp.getErrorIfNotConverged()
        transposed = position.solves_transposed() if _SOLVE_RESTORES else self._transposes(ksp)
        ksp.setInitialGuessNonzero(nonzero_guess)
        ksp.setErrorIfNotConverged(False)
        self.nested, self.omega = True, omega
        try:
            with levels.leaving(ksp, ksp), unheard(ksp):
                (ksp.solveTranspose if transposed else ksp.solve)(b, x)
        finally:
            self.nested = False
            ksp.setErrorIfNotConverged(strict)
            ksp.setInitialGuessNonzero(guess)

    def _from_start(self, ksp: Any, b: Any, x: Any, omega: float) -> None:
        """The same from the initial guess."""
        nonzero_guess = ksp.guess_nonzero
        if nonzero_guess:
            self._guess.copy(x)
        self._again(ksp, b, x, omega, nonzero_guess)

    def _continue(self, ksp: Any, b: Any, x: Any, outcome: Outcome, rtol: float | None = None) -> Outcome:
        """Go on from x with the safe ω, to the user's tolerance or to another one."""
        if ksp.getComputeSingularValues() or (keeps_guess(ksp) and not ksp.guess_nonzero):
            return self._anew(ksp, b, x, outcome)
        self.lent.ask(ksp, rtol)
        try:
            self._again(ksp, b, x, self.safe, True)
        finally:
            self.lent.give_back()
        total = outcome.iterations + ksp.getIterationNumber()
        return outcome._replace(iterations=total, reason=ksp.getConvergedReason(), rescued=True)

    def _repair(self, ksp: Any, b: Any, x: Any, outcome: Outcome) -> Outcome:
        """Solve again from the initial guess.

        If nothing works, the safe ω comes last, so that the application gets what PETSc's own SOR would have left.
        """
        tried, fallback = self._decision.omega, self._decision.fallback
        candidates = [omega for omega in dict.fromkeys((fallback, self.safe)) if omega != tried]
        if candidates and tried == self.safe:
            candidates.append(self.safe)
        outcome = outcome._replace(failed=True)
        for omega in candidates if self.repairable else ():
            self._from_start(ksp, b, x, omega)
            reason = ksp.getConvergedReason()
            outcome = outcome._replace(iterations=outcome.iterations + ksp.getIterationNumber(), reason=reason)
            if reason > 0:
                return outcome._replace(rescued=True, worked=omega)
        return outcome

    def _anew(self, ksp: Any, b: Any, x: Any, outcome: Outcome) -> Outcome:
        """Solve again from the initial guess, with the safe ω."""
        self._from_start(ksp, b, x, self.safe)
        total = outcome.iterations + ksp.getIterationNumber()
        return outcome._replace(iterations=total, reason=ksp.getConvergedReason(), rescued=True)

    def _judge(
        self, ksp: Any, b: Any, x: Any, sweep: Callable[..., None], before: float | None, outcome: Outcome
    ) -> Outcome:
        """Put the answer to the user's own test; where it fails, go on with the safe ω."""
        _checking.begin()
        try:
            verdict = self._verdict(ksp, b, x, sweep, before)
            outcome = outcome._replace(verdict=verdict)
            digits = shortfall(verdict, self._decision.true_level) if verdict is not None else None
            if digits is not None and self.form is not None:  # where the safe ω's own test isn't the user's either
                digits = max(verdict.relative, 0.0)
            elif self._decision.omega == self.safe:
                digits = None
            if digits is not None and self.repairable:
                outcome = self._go_on(ksp, b, x, outcome, digits)
        finally:
            _checking.end()
        return outcome

    def _judge_repair(self, ksp: Any, b: Any, x: Any, sweep: Callable[..., None], outcome: Outcome) -> Outcome:
        """Put an answer by another ω than was decided, and than the safe one, to the user's own test."""
        self._decision = self._decision._replace(omega=outcome.worked)
        judged = self._judge(ksp, b, x, sweep, first_residual(ksp), outcome)
        return judged._replace(verdict=None)  # it says nothing of the ω that was decided

    def _verdict(self, ksp: Any, b: Any, x: Any, sweep: Callable[..., None], before: float | None) -> Verdict | None:
        omega, user = self._decision.omega, tolerances.read(ksp)
        if self.form is not None:
            return self.form.judge(ksp, b, x, omega, user, before)
        return self._test.judge(
            ksp, b, x, sweep=sweep, omega=omega, omega_safe=self.safe, tolerances=user,
            nonzero_guess=ksp.guess_nonzero, guess=self._guess, before=before, transposed=self._transposes(ksp),
        )  # fmt: skip

    def _until_true(self, ksp: Any, b: Any, x: Any, outcome: Outcome) -> Outcome:
        """Go on as far as it takes from an answer of the safe ω, whose own test isn't the user's."""
        assert self.form is not None
        digits = 0.0
        for _ in range(_ROUNDS):
            verdict = self.form.judge(ksp, b, x, self.safe, tolerances.read(ksp), None)
            if outcome.reason < 0 or verdict is None or verdict.lacks <= FAILS:
                break
            digits = max(verdict.relative, digits + verdict.lacks)
            outcome = self._go_on(ksp, b, x, outcome, digits)
        return outcome

    def _go_on(self, ksp: Any, b: Any, x: Any, outcome: Outcome, digits: float) -> Outcome:
        """From an answer that fails the user's test, go on with the safe ω.

        From one that is worse than none KSP might say at once that it diverges: then, or where it does, anew.  If that
        fails, too, the answer stays where it is within what is promised; otherwise that is what PETSc's own SOR leaves.
        """
        if outcome.verdict is not None and worse_than_none(outcome.verdict, ksp.rtol):
            return self._answered(self._anew(ksp, b, x, outcome))
        guess = x.duplicate()  # apart from the initial guess, which PETSc may want again
        x.copy(guess)
        rtol = ksp.rtol * 10.0**-digits if digits else None
        if test_of(ksp).from_initial and outcome.verdict is not None:
            rtol = min(10.0 ** -(outcome.verdict.lacks + digits), 0.5)  # that is where the safe ω stands
        after = self._continue(ksp, b, x, outcome, rtol)
        if after.reason < 0:
            after = self._anew(ksp, b, x, after)
        if after.reason < 0 and outcome.verdict is not None and outcome.verdict.lacks > PROMISED:
            after = after._replace(failed=True, alone=ksp.getIterationNumber())
        elif after.reason < 0:
            guess.copy(x)
            ksp.setConvergedReason(outcome.reason)
            guess.destroy()
            return after._replace(reason=outcome.reason)
        guess.destroy()
        return self._answered(after)

    def _answered(self, outcome: Outcome) -> Outcome:
        """What is handed on is the safe ω's, also where a repair by another one had worked."""
        return outcome._replace(worked=self.safe if outcome.reason > 0 else 0.0) if outcome.worked else outcome
