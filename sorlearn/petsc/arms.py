"""Whole solvers to choose among: each arm's KSP and PC, and a solve by one of them."""

from __future__ import annotations

from contextlib import nullcontext
from time import perf_counter
from typing import Any

from petsc4py import PETSc

from ..errors import OptionError
from ..options import ArmSettings
from ..records.arms import ArmRecord
from ..records.journal import finite
from ..tuning.cost import LOOSE
from ..tuning.play import Played
from . import position
from .answers import UNPRECONDITIONED, Answers, Ended
from .arm import Arm, EisenstatArm, new_arm
from .choosing import Choosing
from .clib import Refusals, origin
from .database import all_options
from .inner import new_inner
from .locks import unlocking
from .rescue import first_residual, keep_first_residual
from .say import once
from .turns import Turns

#: Solves without it after which an arm lets go of its memory.
IDLE = 100
_REFUSED = int(PETSc.KSP.ConvergedReason.DIVERGED_PCSETUP_FAILED)
#: What `-sorlearn_arms auto` stands for, where PETSc has it and it takes the matrix.
SYMMETRIC, UNSYMMETRIC = ("sor", "eisenstat", "icc", "gamg", "hypre", "cholesky"), ("sor", "ilu", "gamg", "hypre", "lu")
#: Those of them that are for one rank only; several have block Jacobi with ILU.
_OF_ONE_RANK = ("icc", "ilu")

#: KSP types for symmetric matrices.
_SYMMETRIC = (*position.DEFINITE, "cgne", "minres", "symmlq", "cr", "pipecr")

#: Options of KSPs in which arms follow the solver that the application knows; beginnings of those that are no part of
#: a configuration.
_FOLLOWED = ("rtol", "atol", "divtol", "max_it", "norm_type", "pc_side", "initial_guess_nonzero")
_ASIDE = ("type", "monitor", "view", "converged", "convergence_test", "error_if_not_converged", "reuse_preconditioner")


class Arms:
    """Solves with one of its arms, the safe one first, and repairs what another leaves.

    Parameters
    ----------
    outer : petsc4py.PETSc.KSP
        The solver that the application knows.
    settings : ArmSettings
        Its options; `arms` isn't None.
    sor : petsc4py.PETSc.PC
        The PC of the arm `sor`, with a `sorlearn.PC`.
    turns : Turns
        Solves of an arm that nobody has to look at.

    Attributes
    ----------
    in_use : Arm
        The one that solves, or has solved last.
    choosing : Choosing
        What decides which.
    """

    def __init__(self, outer: Any, settings: ArmSettings, sor: Any, turns: Turns) -> None:
        self._prefix, self._settings = outer.getOptionsPrefix() or "", settings
        self._sor, self._turns = sor, turns
        self._set_ups = (0, 0.0)  # of the arm in use, when it was handed over
        named = settings.arms or ""
        self._auto = named == "auto"
        self.all: list[Arm] = []
        self._say_what_is_followed("")
        for name in ["sor"] if self._auto else named.split(","):
            self._add(outer, name)
        first = "sor" if self._auto else named.split(",")[0]
        if not self.all or self.all[0].name != first or isinstance(self.all[0], EisenstatArm):
            raise OptionError(f"-{self._prefix}sorlearn_arms {named}: here {first} can't be the first arm, the safe "
                              "one; remedy: begin with sor")  # fmt: skip
        self.in_use = self.all[0]
        self._held: str | None = None
        self._asked = position.Asked()
        self._answers = Answers(self.all, self._run, self._use)
        self.choosing = Choosing(self._prefix, settings)

    def _add(self, outer: Any, name: str) -> None:
        try:
            with Refusals():
                arm = new_arm(outer, self._prefix, name, self._sor)
                arm.ksp = new_inner(outer, arm.pc, name)
        except OptionError:
            raise
        except Exception as error:  # PETSc's, or one in Python of a preconditioner that is written in it
            self._leave_out(name, origin(error))
            return
        keep_first_residual(arm.ksp)
        self.all.append(arm)
        self._say_what_is_followed(f"{name}_")

    def _say_what_is_followed(self, stem: str) -> None:
        """Which options under this stem have no effect."""
        own = PETSc.Options(f"{self._prefix}sorlearn_{stem}")
        for option in (option for option in _FOLLOWED if own.hasName(f"ksp_{option}")):
            once(PETSc.COMM_WORLD, self._prefix, f"-{own.prefix}ksp_{option} has no effect, as arms solve what "
                 f"they are asked to; remedy: -{self._prefix}ksp_{option}")  # fmt: skip

    def _leave_out(self, name: str, error: BaseException) -> str:
        """Say once, if at all, that an arm isn't there or refuses the matrix, and why; returns what that is."""
        text = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        own = f"-{self._prefix}sorlearn_{name}_"
        remedy = f"{own}pc_type and {own}ksp_type with what it has, or -{self._prefix}sorlearn_arms without {name}"
        if not self._auto:
            once(PETSc.COMM_WORLD, self._prefix, f"arm {name} is left out: {text}; remedy: {remedy}")
        return f"arm {name}: {text}; remedy: {remedy}"

    # -- coming and going

    def _enter(self, outer: Any) -> None:
        P = outer.getOperators()[1]
        if self._auto and len(self.all) == 1:
            known, symmetric = P.isSymmetricKnown()
            suits = symmetric if known else self.all[0].ksp.getType() in _SYMMETRIC
            for name in (*(SYMMETRIC if suits else UNSYMMETRIC), *["mg"] * bool(outer.getPC().getDM()))[1:]:
                self._add(outer, "bjacobi" if name in _OF_ONE_RANK and outer.comm.getSize() > 1 else name)
        arms = [(arm.name, arm.kind) for arm in self.all]
        self.choosing.enter(outer.comm, P.getSize(), arms, lambda: [self._words(arm) for arm in self.all])

    def _words(self, arm: Arm) -> str:
        """The options that stand for this arm alone."""
        prefix, given, database = self._prefix, {}, all_options().items()
        for stem in (f"{prefix}sorlearn_ksp_", f"{prefix}sorlearn_{arm.name}_ksp_"):  # all arms', its own
            given |= {option[len(stem) :]: value for option, value in database if option.startswith(stem)}
        given = {option: given[option] for option in given if not option.startswith((*_FOLLOWED, *_ASIDE))}
        text = f"-{prefix}ksp_type {arm.ksp.getType()} {arm.words(prefix)}"
        return text + "".join(f" -{prefix}ksp_{option} {given[option] or ''}".rstrip() for option in sorted(given))

    def reset(self) -> None:
        """Let go of the operators, and give back what was learned."""
        self.leave()
        for arm in self.all:
            arm.let_go()
        self._answers.reset()
        self._turns.reset()

    def leave(self) -> None:
        """Give back what was learned, and leave the arms as they are."""
        self._take_back()
        self.choosing.leave()

    def destroy(self) -> None:
        """The end of all arms."""
        self.reset()
        for arm in self.all:
            arm.destroy()

    def state(self) -> list[str]:
        """The lines of `-ksp_view`."""
        self._take_back()
        lines = [f"sorlearn.KSP: arm {self.in_use.name} in use, of {', '.join(arm.name for arm in self.all)}"]
        if self._held:
            lines.append(f"the first arm is held: {self._held}")
        if (session := self.choosing.session) is not None:
            done = zip(session.tally.names, session.tally.solves)
            lines.append("solves so far: " + ", ".join(f"{name} {solves}" for name, solves in done))
        return lines

    # -- a solve

    def solve(self, solver: Any, b: Any, x: Any, transposed: bool) -> int:
        """Solve with an arm; returns the iterations of all that had a part in it.  Collective.

        Parameters
        ----------
        solver : KSP
            Has an arm's KSP solve for the outer one: ``solver.solve_with``.
        """
        outer, safe, choosing = solver.outer, self.all[0], self.choosing
        self._take_back()
        if not choosing.entered:
            self._enter(outer)
        if transposed or self._holds(outer):
            return self._run(solver, safe, b, x).iterations
        began = perf_counter()
        decided, play = choosing.decide(outer.getOperators()[1], outer.rtol), choosing.decision
        there, arm, guess = perf_counter(), self.all[int(play.arm)], outer.guess_nonzero
        if (arm is not safe or play.limit) and guess:
            self._answers.keep(x)
        ended = self._run(solver, arm, b, x, limit=int(play.limit), tighten=play.tighten)
        after = perf_counter()
        own, around = there - began, after - there - ended.seconds - ended.set_up_seconds
        rescued, iterations, lacks = False, ended.iterations, None
        if arm is not safe or ended.cut:
            rescued, iterations, lacks = self._answers.finish(solver, arm, ended, play, b, x, guess)
        seconds, rest = ended.seconds, perf_counter() - after
        if ended.goes_by:  # what is done around it is done for deciding, and spared by repeats
            own += around
        elif rescued:
            seconds += around
        else:
            seconds, rest = seconds + around + rest, 0.0
        played = Played(ended.iterations, seconds, ended.set_ups, ended.set_up_seconds, rest, ended.cut,
                        ended.reason < 0, lacks, arm.renews)  # fmt: skip
        choosing.note(
            played, iterations, rescued, own if decided else None, lambda number, context: ArmRecord(
                solve=number, arm=arm.name, omega=arm.omega, iterations=iterations,
                reason=solver.inner.getConvergedReason(), cost=played.seconds, seconds=played.total,
                residual_before=finite(first_residual(arm.ksp)), residual_after=finite(solver.inner.getResidualNorm()),
                context=context, explored=bool(play.trial), rescued=rescued, held=not decided),
        )  # fmt: skip
        if decided:
            self._let_go_of_the_idle()
        if choosing.left and ended.goes_by and (arm is safe or not rescued):
            self._hand_over(solver, arm, b)
        return iterations

    def _hand_over(self, solver: Any, arm: Arm, b: Any) -> None:
        """Let the arm repeat the decision with nobody looking."""
        choosing, self._set_ups = self.choosing, arm.set_ups
        self._turns.hand_over(solver.outer, arm.ksp, b, left=choosing.left, most=choosing.most,
                              tighten=choosing.decision.tighten, judged=arm is not self.all[0])  # fmt: skip

    def _goes_by(self, solver: Any, arm: Arm) -> bool:
        """Whether its solves can go by without Python."""
        judgeable = arm.quiet and int(solver.outer.norm_type) == UNPRECONDITIONED
        alike = self._turns.attached and not self.choosing.observed and solver.heard.says_the_same(arm.ksp)
        return alike and (judgeable or arm is self.all[0])

    def _take_back(self) -> None:
        """Account for what an arm has solved since."""
        taken, choosing = self._turns.take_back(), self.choosing
        if taken is None or not choosing.entered:
            return
        choosing.left, arm = taken.left, self.all[int(choosing.decision.arm)]
        (set_ups, spent), (more, now) = self._set_ups, arm.set_ups
        played = Played(taken.iterations, taken.seconds, more - set_ups, now - spent, lacks=taken.lacks)
        if taken.solves:
            choosing.passed(played._replace(seconds=played.seconds - played.set_up_seconds), taken.solves)
            played = Played(0, 0.0)
        if taken.error:
            self._drop(arm, taken.error)
        if taken.lost:
            iterations, seconds, reason, lacks = taken.lost
            choosing.passed(played._replace(iterations=iterations, seconds=seconds - played.set_up_seconds,
                                            failed=reason < 0, lacks=lacks), 0)  # fmt: skip
        arm.last = choosing.solves

    def _holds(self, outer: Any) -> bool:
        """Whether this solve of the KSP says nothing of arms, so that the safe one makes it."""
        kind = self.all[0].ksp.getType()
        if self._asked.anew(outer, position.under_way(), kind):
            held = position.why_held(outer, guarded=False, kind=kind)
            self._held = None if held is None else held.told(self._prefix)
        return self._held is not None or outer.rtol > LOOSE

    def _run(self, solver: Any, arm: Arm, b: Any, x: Any, *, limit: int = 0, tighten: float = 0.0,
             rtol: float | None = None, nonzero: bool | None = None) -> Ended:  # fmt: skip
        """Solve with this arm, from x if `nonzero`; what it can't do leaves it out, unless it is the safe one."""
        began, (set_ups, spent) = perf_counter(), arm.set_ups
        self._use(arm)
        arm.last = self.choosing.solves
        try:
            other = arm is not self.all[0]
            with Refusals() if other else nullcontext():
                arm.set_up(solver.outer)
            limit, there = min(filter(None, (limit, arm.limit)), default=0), arm.set_ups[1]
            with arm.solving(b), unlocking(b, x) if other else nullcontext():
                cut = solver.solve_with(arm.ksp, b, x, limit=limit, tighten=tighten, rtol=rtol, nonzero=nonzero,
                                        may_refuse=other)  # fmt: skip
            iterations, reason = arm.ksp.getIterationNumber(), arm.ksp.getConvergedReason()
            more, now = arm.set_ups
            took, goes_by = solver.seconds - (now - there), self._goes_by(solver, arm)
            if goes_by:  # as most of its solves will
                took = arm.undisturbed or took
        except Exception as error:
            if arm is self.all[0] or solver.heard.interrupted:
                raise
            self._drop(arm, error)
            more, now = arm.set_ups
            iterations, reason, cut, goes_by = 0, _REFUSED, False, False
            took = perf_counter() - began - (now - spent)
        arm.ended(took, reason < 0, cut)
        return Ended(iterations, reason, cut, took, more - set_ups, now - spent, goes_by)

    def _use(self, arm: Arm) -> None:
        self.in_use = arm

    def _drop(self, arm: Arm, error: BaseException) -> None:
        """It refuses the matrix."""
        self.choosing.leave_out(self.all.index(arm), self._leave_out(arm.name, origin(error)))

    def _let_go_of_the_idle(self) -> None:
        for i, arm in enumerate(self.all):
            if self.choosing.solves >= arm.last + IDLE and i and not arm.tunes:
                arm.let_go()
                arm.last = self.choosing.solves
                self.choosing.let_go(i)
