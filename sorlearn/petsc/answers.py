"""What becomes of an arm's answer: gone on with, repeated, or put to the user's test as the safe arm computes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from petsc4py import PETSc

from ..tuning.accuracy import FAILS, PROMISED, worse_than_none
from ..tuning.play import Play
from ..tuning.record import Verdict
from .arm import Arm, TunedArm
from .rescue import first_residual, keeps_guess
from .usertest import UserTest, test_of

_judging = PETSc.Log.Event("SorlearnCheckArm")
UNPRECONDITIONED = int(PETSc.KSP.NormType.UNPRECONDITIONED)
_SAFE, _OWN = 0.0, 1.0  # whose preconditioner an answer's residual is measured with


class Ended(NamedTuple):
    """How an arm's part in a solve ended; seconds are those of this rank, without set-ups.

    `goes_by` says whether solves like it can go by without Python.
    """

    iterations: int
    reason: int
    cut: bool
    seconds: float
    set_ups: int
    set_up_seconds: float
    goes_by: bool


class Answers:
    """Judges and repairs the answers of arms.

    Parameters
    ----------
    arms : list of Arm
        All of them, the safe one first.
    run : callable
        Solves with an arm; returns how its part ended.
    use : callable
        Told which arm an answer is of.
    """

    def __init__(self, arms: list[Arm], run: Callable[..., Ended], use: Callable[[Arm], None]) -> None:
        self._arms, self._run, self._use = arms, run, use
        self._test = UserTest()
        self._guess: Any = None

    def reset(self) -> None:
        """Let go of the vectors."""
        self._test.reset()
        if self._guess is not None:
            self._guess.destroy()
        self._guess = None

    def keep(self, x: Any) -> None:
        """Remember an initial guess."""
        if self._guess is None:
            self._guess = x.duplicate()
        x.copy(self._guess)

    def finish(self, solver: Any, arm: Arm, ended: Ended, play: Play, b: Any, x: Any, guess: bool
               ) -> tuple[bool, int, float | None]:  # fmt: skip
        """Go on where the arm was cut off, repeat where it failed, and put the answer to the safe arm's test.

        Returns whether other arms had a part in the answer, all iterations, and the digits that the arm's own lacks.
        """
        safe, iterations, reason, lacks = self._arms[0], ended.iterations, ended.reason, None
        if ended.cut:
            arm = self._arms[int(play.heir)]
            arm.rest(arm.omega)
            try:
                more = self._again(solver, arm, b, x, guess, tighten=play.heir_tighten)
            finally:
                arm.rest(None)
            iterations, reason = iterations + more.iterations, more.reason
        if reason < 0:
            return True, iterations + self._anew(solver, safe, b, x, guess).iterations, None
        if arm is safe and not isinstance(safe, TunedArm):
            return True, iterations, None
        verdict = self._judge(solver, arm, b, x, guess)
        if verdict is not None and not ended.cut:
            lacks = verdict.lacks
        if verdict is not None and verdict.lacks > FAILS:
            iterations += self._go_on(solver, arm, b, x, guess, verdict)
            return True, iterations, lacks
        return ended.cut, iterations, lacks

    def _judge(self, solver: Any, arm: Arm, b: Any, x: Any, guess: bool) -> Verdict | None:
        """The answer in the user's test, as the safe arm computes it."""
        outer, safe = solver.outer, self._arms[0]
        preconditioned = int(outer.norm_type) != UNPRECONDITIONED
        if preconditioned and not safe.ready:
            safe.set_up(outer)

        def residual(P: Any, r: Any, z: Any, whose: float) -> None:
            if whose == _SAFE:
                safe.apply_as_safe(P, r, z)
            else:
                arm.pc.apply(r, z)

        _judging.begin()
        verdict = self._test.judge(
            outer, b, x, sweep=residual if preconditioned else None, omega=_OWN, omega_safe=_SAFE,
            tolerances=solver.given, nonzero_guess=guess, guess=self._guess,
            before=None if arm.ksp.guess_nonzero else first_residual(arm.ksp), transposed=False,
        )  # fmt: skip
        _judging.end()
        return verdict

    def _anew(self, solver: Any, arm: Arm, b: Any, x: Any, guess: bool, **settings: Any) -> Ended:
        """Solve from where the application began."""
        if guess:
            self._guess.copy(x)
        else:
            x.set(0.0)
        return self._run(solver, arm, b, x, nonzero=guess, **settings)

    def _again(self, solver: Any, arm: Arm, b: Any, x: Any, guess: bool, **settings: Any) -> Ended:
        """Go on from x with an arm, unless PETSc would never forget that."""
        if keeps_guess(arm.ksp) and not guess:
            return self._anew(solver, arm, b, x, guess, **settings)
        return self._run(solver, arm, b, x, nonzero=True, **settings)

    def _go_on(self, solver: Any, arm: Arm, b: Any, x: Any, guess: bool, verdict: Verdict) -> int:
        """From an answer that fails the user's test, with the safe arm.

        Anew where it is worse than none, or that fails; if all fails, the answer stays where it is within what is
        promised, and otherwise that is the safe arm's.
        """
        safe, answer, none = self._arms[0], x.duplicate(), worse_than_none(verdict, solver.given.rtol)
        x.copy(answer)
        # PETSc may measure against the first residual, which is the answer's now
        rtol = min(10.0**-verdict.lacks, 0.5) if test_of(solver.outer).from_initial else None
        safe.rest(safe.omega_safe if isinstance(safe, TunedArm) else None)
        try:
            iterations, reason = 0, -1
            if not none:
                more = self._again(solver, safe, b, x, guess, rtol=rtol)
                iterations, reason = more.iterations, more.reason
            if reason < 0:
                more = self._anew(solver, safe, b, x, guess)
                iterations, reason = iterations + more.iterations, more.reason
        finally:
            safe.rest(None)
        if reason < 0 and verdict.lacks <= PROMISED:
            answer.copy(x)
            self._use(arm)
            solver.inner = arm.ksp
        answer.destroy()
        return iterations
