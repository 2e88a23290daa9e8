"""Whole solvers to choose among: each arm's KSP and PC, and a solve by one of them."""

from __future__ import annotations

import atexit
import traceback
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
from petsc4py import PETSc

from ..errors import MatrixError, OptionError, SorlearnError
from ..learners import NO_CONTEXT
from ..options import ArmSettings
from ..records import arms as records
from ..records.journal import Journal, finite
from ..records.log import Log
from ..records.saved import Saved
from ..tuning.arms import Rule
from ..tuning.play import Play, Played
from ..tuning.registry import Registry, kin
from . import position
from .answers import UNPRECONDITIONED, Answers, Ended
from .arm import Arm, EisenstatArm, new_arm
from .beforehand import factorisation
from .clib import origin
from .collective import Comm
from .context import UNREADABLE, Features
from .rescue import first_residual, keep_first_residual
from .say import complain, once, say
from .turns import Turns

registry = Registry()
_choosing = PETSc.Log.Event("SorlearnChooseArm")
_tallies: dict[str, records.Tally] = {}
#: Solves without it after which an arm lets go of its memory.
IDLE = 100
#: A solve that takes so many times the iterations, and one more, of the one that was decided is the last to repeat it.
GROWN = 1.5
_REFUSED = int(PETSc.KSP.ConvergedReason.DIVERGED_PCSETUP_FAILED)
#: What `-sorlearn_arms auto` stands for, where PETSc has it and it takes the matrix.
SYMMETRIC, UNSYMMETRIC = ("sor", "eisenstat", "icc", "gamg", "hypre", "cholesky"), ("sor", "ilu", "gamg", "hypre", "lu")
#: KSP types for symmetric matrices.
_SYMMETRIC_KSPS = ("cg", "minres", "fcg", "pipecg", "groppcg", "cgne", "symmlq", "cr", "pipecr")


class _Slot:
    """What outlives a solver and waits for the next of its kind; there is a rule on rank 0 only."""

    def __init__(self, rule: Rule | None) -> None:
        self.rule, self.features = rule, Features()
        self.solves = 0


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
    make : callable
        Makes an arm's KSP from the outer one, its PC and its name.
    turns : Turns
        Solves of an arm that nobody has to look at.

    Attributes
    ----------
    in_use : Arm
        The one that solves, or has solved last.
    """

    def __init__(self, outer: Any, settings: ArmSettings, sor: Any, make: Callable[[Any, Any, str], Any],
                 turns: Turns) -> None:  # fmt: skip
        self._prefix, self._settings = outer.getOptionsPrefix() or "", settings
        self._comm = Comm(outer.comm)
        self._sor, self._make, self._turns = sor, make, turns
        self._set_ups = (0, 0.0)  # of the arm in use, when it was handed over
        named = settings.arms or ""
        self._auto = named == "auto"
        self.all: list[Arm] = []
        for name in ["sor"] if self._auto else named.split(","):
            self._add(outer, name)
        first = "sor" if self._auto else named.split(",")[0]
        if not self.all or self.all[0].name != first or isinstance(self.all[0], EisenstatArm):
            raise OptionError(f"-{self._prefix}sorlearn_arms {named}: here {first} can't be the first arm, the safe "
                              "one; remedy: begin with sor")  # fmt: skip
        self.in_use = self.all[0]
        self._play, self._left, self._decided = Play(0), 0, 0
        self._held: str | None = None
        self._position = (0, 0)
        self._answers = Answers(self.all, self._run, self._use)
        self._slot: _Slot | None = None
        self._key: tuple[Any, ...] = ()
        self._log: Log | None = None
        self._tally: records.Tally | None = None
        self._saved: Saved | None = None
        self._broken, self._context = False, NO_CONTEXT
        self._noting = 0.0  # seconds that learning from the last decided solve took

    def _add(self, outer: Any, name: str) -> None:
        try:
            arm = new_arm(outer, self._prefix, name, self._sor)
        except (PETSc.Error, MatrixError) as error:
            self._leave_out(name, error)
            return
        arm.ksp = self._make(outer, arm.pc, name)
        keep_first_residual(arm.ksp)
        self.all.append(arm)

    def _leave_out(self, name: str, error: BaseException) -> None:
        text = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        own = f"-{self._prefix}sorlearn_{name}_"
        remedy = f"{own}pc_type and {own}ksp_type with what it has, or -{self._prefix}sorlearn_arms without {name}"
        if not self._auto:
            once(PETSc.COMM_WORLD, self._prefix, f"arm {name} is left out: {text}; remedy: {remedy}")

    # -- coming and going

    def _enter(self, outer: Any) -> None:
        P, settings = outer.getOperators()[1], self._settings
        if self._auto and len(self.all) == 1:
            known, symmetric = P.isSymmetricKnown()
            suits = symmetric if known else self.all[0].ksp.getType() in _SYMMETRIC_KSPS
            for name in (*(SYMMETRIC if suits else UNSYMMETRIC), *["mg"] * bool(outer.getPC().getDM()))[1:]:
                self._add(outer, name)
        names = tuple((arm.name, arm.kind) for arm in self.all)
        self._key = (self._prefix, P.getSize(), names, settings, self._comm.members)
        self._slot = registry.acquire(self._key, self._new_slot, lambda: None)
        if self._comm.root:
            self._report()

    def _new_slot(self) -> _Slot:
        kinds = [arm.kind for arm in self.all]
        return _Slot(Rule(kinds, self._settings.arms_share) if self._comm.root else None)

    def _report(self) -> None:
        settings, name = self._settings, self._prefix
        assert self._slot is not None and self._slot.rule is not None
        path, option = settings.arms_journal, f"-{name}sorlearn_arms_journal"
        self._log = Log(name, say if settings.arms_monitor else None,
                        Journal(path, name, option, records.line) if path else None, records.monitored)  # fmt: skip
        self._tally = records.Tally([arm.name for arm in self.all], [self._words(arm) for arm in self.all])
        self._tally.alone = self._slot.rule.total
        if settings.arms_summary:
            self._tally = _tallies.setdefault(kin(name), self._tally)
        stem = f"-{name}sorlearn_arms_"
        self._saved = Saved(f"{kin(name)}sorlearn_arms", stem, settings.arms_load, settings.arms_save, say)
        if not self._slot.solves:
            self._saved.restore(self._slot.rule.take_over)

    def _words(self, arm: Arm) -> str:
        """The options that stand for this arm alone."""
        own, prefix = f"{self._prefix}sorlearn_{arm.name}_ksp_", self._prefix
        text = f"-{prefix}ksp_type {arm.ksp.getType()} {arm.words(prefix)}"
        for option, value in sorted(PETSc.Options().getAll().items()):
            if option.startswith(own) and option != f"{own}type":
                text += f" -{prefix}ksp_{option[len(own) :]} {value or ''}".rstrip()
        return text

    def reset(self) -> None:
        """Let go of the operators, and give back what was learned."""
        self._take_back()
        for arm in self.all:
            arm.let_go()
        self._answers.reset()
        self._turns.reset()
        self._left = 0
        self._leave()

    def _leave(self) -> None:
        if self._slot is not None:
            if self._saved is not None and self._slot.rule is not None:
                self._try(self._slot.rule.settle)
                self._saved.save(self._slot.solves, self._slot.rule.state)
            registry.release(self._key, self._slot)
        self._slot = None

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
        if self._tally is not None:
            done = zip(self._tally.names, self._tally.solves)
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
        outer, safe = solver.outer, self.all[0]
        self._take_back()
        if self._slot is None:
            self._enter(outer)
        if transposed or self._holds(outer):
            return self._run(solver, safe, b, x).iterations
        began = perf_counter()
        decided, play = self._choose(outer), self._play
        own = perf_counter() - began
        arm, guess = self.all[int(play.arm)], outer.guess_nonzero
        if arm is not safe and guess:
            self._answers.keep(x)
        ended = self._run(solver, arm, b, x, limit=int(play.limit), tighten=play.tighten)
        after = perf_counter()
        rescued, iterations, lacks = False, ended.iterations, None
        if arm is not safe:
            rescued, iterations, lacks = self._answers.finish(solver, arm, ended, play, b, x, guess)
        played = Played(ended.iterations, ended.seconds, ended.set_ups, ended.set_up_seconds, perf_counter() - after,
                        ended.cut, ended.reason < 0, lacks)  # fmt: skip
        if decided:
            self._decided = iterations
        elif iterations > GROWN * self._decided + 1.0:
            self._left = 0
        self._note(solver, arm, played, iterations, rescued, decided, own)
        self._hand_over(solver, arm, b, rescued)
        return iterations

    def _hand_over(self, solver: Any, arm: Arm, b: Any, rescued: bool) -> None:
        """Let the arm repeat the decision with nobody looking, where all ranks see that it may."""
        safe, play = arm is self.all[0], self._play
        judgeable = arm.quiet and not rescued and int(solver.outer.norm_type) == UNPRECONDITIONED
        observed = self._settings.arms_monitor or self._settings.arms_journal
        if self._left and (safe or judgeable) and not observed and solver.says_the_same(arm.ksp):
            self._set_ups = arm.set_ups
            self._turns.hand_over(solver.outer, arm.ksp, b, left=self._left, most=int(GROWN * self._decided + 1.0),
                                  tighten=play.tighten, judged=not safe)  # fmt: skip

    def _take_back(self) -> None:
        """Account for what an arm has solved since."""
        taken, slot, i = self._turns.take_back(), self._slot, int(self._play.arm)
        if taken is None or slot is None:
            return
        self._left = taken.left
        (set_ups, spent), (more, now) = self._set_ups, self.all[i].set_ups
        played = Played(taken.iterations, taken.seconds, more - set_ups, now - spent, lacks=taken.lacks)
        if taken.solves:
            self._enter_turns(i, played._replace(seconds=played.seconds - played.set_up_seconds), taken.solves)
            played = Played(0, 0.0)
        if taken.error:
            self._drop(self.all[i], taken.error)
        if taken.lost:
            iterations, seconds, reason, lacks = taken.lost
            self._enter_turns(i, played._replace(iterations=iterations, seconds=seconds - played.set_up_seconds,
                                                 failed=reason < 0, lacks=lacks), 0)  # fmt: skip

    def _enter_turns(self, i: int, played: Played, solves: int) -> None:
        """So many solves without Python; none where another answer had to be found."""
        slot = self._slot
        assert slot is not None
        slot.solves += solves
        self.all[i].last = slot.solves
        if slot.rule is not None and self._tally is not None and self._saved is not None:
            if not self._broken:
                self._try(slot.rule.note, played, None, solves)
            self._saved.sometimes(slot.solves, slot.rule.state)
            self._tally.count(i, played, False, not solves, 0.0, solves)

    def _holds(self, outer: Any) -> bool:
        """Whether solves of this KSP say nothing of arms, so that the safe one makes them all."""
        identity = outer.handle, int(outer.norm_type)
        if identity != self._position:
            self._position, kind = identity, self.all[0].ksp.getType()
            held = position.why_held(outer, guarded=False, kind=kind)
            self._held = None if held is None else f"{held.why}; remedy: {held.remedy}"
        return self._held is not None

    def _choose(self, outer: Any) -> bool:
        """Decide on rank 0, for all; returns whether the last decision isn't just repeated.  Collective."""
        if self._left > 0:
            self._left -= 1
            return False
        assert self._slot is not None
        _choosing.begin()
        try:
            seen = self._slot.features.look(outer.getOperators()[1])
        except Exception:  # one rank can't look: all go on without a context
            seen = UNREADABLE
        top = self._comm.largest(np.array(seen)).tolist()
        play = self._try(self._ask, top, outer) if self._comm.root else None
        values = np.array(play or Play(0), float)
        self._comm.share(values)
        self._play = Play(*values.tolist())
        self._left = int(self._play.repeats)
        _choosing.end()
        return True

    def _ask(self, top: list[float], outer: Any) -> Play:
        assert self._slot is not None and self._slot.rule is not None
        self._context = self._slot.features.context(top, outer.rtol)
        return self._slot.rule.choose(self._context, lambda: factorisation(outer.getOperators()[1]))

    def _run(self, solver: Any, arm: Arm, b: Any, x: Any, *, limit: int = 0, tighten: float = 0.0,
             nonzero: bool | None = None) -> Ended:  # fmt: skip
        """Solve with this arm, from x if `nonzero`; what it can't do leaves it out, unless it is the safe one."""
        began, (set_ups, spent) = perf_counter(), arm.set_ups
        self._use(arm)
        arm.last = self._slot.solves if self._slot is not None else 0
        iterations, reason, cut = 0, _REFUSED, False
        try:
            arm.set_up(solver.outer)
            limit = min(filter(None, (limit, arm.limit)), default=0)
            with arm.solving(b):
                cut = solver.solve_with(arm.ksp, b, x, limit=limit, tighten=tighten, nonzero=nonzero)
            iterations, reason = arm.ksp.getIterationNumber(), arm.ksp.getConvergedReason()
        except Exception as error:
            if arm is self.all[0] or solver.interrupted:
                raise
            self._drop(arm, error)
        more, now = arm.set_ups
        took = perf_counter() - began - (now - spent)
        arm.ended(took, reason < 0)
        return Ended(iterations, reason, cut, took, more - set_ups, now - spent)

    def _use(self, arm: Arm) -> None:
        self.in_use = arm

    def _drop(self, arm: Arm, error: BaseException) -> None:
        """It refuses the matrix."""
        self._leave_out(arm.name, origin(error))
        i = self.all.index(arm)
        if self._slot is not None and self._slot.rule is not None:
            self._slot.rule.leave_out(i)

    def _note(self, solver: Any, arm: Arm, played: Played, iterations: int, rescued: bool, decided: bool,
              own: float) -> None:  # fmt: skip
        assert self._slot is not None
        self._slot.solves += 1
        if decided:
            self._let_go_of_the_idle()
        if self._slot.rule is None or self._tally is None:
            return
        began = perf_counter()
        if not self._broken:
            self._try(self._slot.rule.note, played, own + self._noting if decided else None)
            self._noting = perf_counter() - began if decided else self._noting
        if self._log.observed:
            self._log.write(records.ArmRecord(
                solve=self._slot.solves, arm=arm.name, omega=arm.omega, iterations=iterations,
                reason=solver.inner.getConvergedReason(), cost=played.seconds, seconds=played.total,
                residual_before=finite(first_residual(arm.ksp)), residual_after=finite(solver.inner.getResidualNorm()),
                context=self._context, explored=bool(self._play.trial), rescued=rescued, held=not decided,
            ))  # fmt: skip
        self._saved.sometimes(self._slot.solves, self._slot.rule.state)
        self._tally.count(int(self._play.arm), played, bool(self._play.trial), rescued, own + perf_counter() - began)

    def _let_go_of_the_idle(self) -> None:
        assert self._slot is not None
        for i, arm in enumerate(self.all):
            if self._slot.solves >= arm.last + IDLE and i and not arm.tunes:
                arm.let_go()
                arm.last = self._slot.solves
                if self._slot.rule is not None:
                    self._slot.rule.let_go(i)

    def _try(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """The call's result, or None after an error: from then on the safe arm solves."""
        if self._broken:
            return None
        try:
            return call(*arguments)
        except Exception as error:
            self._broken = True  # what the others repeat, this rank repeats, too
            text = f" {error}" if isinstance(error, SorlearnError) else f"\n{traceback.format_exc().rstrip()}"
            complain(PETSc.COMM_SELF, f"choosing among the arms of solver '{self._prefix}' stops; its first arm, "
                     f"{self.all[0].name}, solves from now on:{text}")  # fmt: skip
            return None


def _at_exit() -> None:
    for name, tally in _tallies.items():
        if sum(tally.solves):
            text = tally.summary(name)
            say(text) if PETSc.Sys.isInitialized() else print(text, flush=True)


atexit.register(_at_exit)
