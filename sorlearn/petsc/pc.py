"""PETSc's callbacks of the preconditioner, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from time import perf_counter
from typing import Any, Callable

from petsc4py import PETSc

from ..options import Settings
from ..tuning.record import SolveRecord
from . import alive, position, reading, say
from .clock import Clock
from .fast import missing
from .lending import Lending
from .rescue import Rescue
from .sor import ONLY_ONE
from .standing import Standing
from .sweeping import Sweeping
from .tuned import Tuned
from .unattended import Unattended, overrides


class PC(Lending):
    """PETSc's SOR under an ω that is learned while the simulation runs.

    Use it as `-pc_type python -pc_python_type sorlearn.PC`, or through `sorlearn.attach`.

    Parameters
    ----------
    overrides : dict, optional
        Options given in code, by their name without `pc_sorlearn_`; the options database wins over them.

    Attributes
    ----------
    context : float, sequence of float, callable or None
        A user's context: a number or several, to be set before each solve, or a function that returns them.
    guarded : bool
        Whether `sorlearn.KSP` runs the solves, which cuts trials off when they get too dear.
    arm : bool
        Whether it does so with several arms, of which this is one: the budget is theirs.
    undisturbed : float or None
        Seconds of the last solve that was looked at, between its callbacks; None where it was repaired.
    """

    def __init__(self, overrides: dict[str, Any] | None = None):
        self.overrides = overrides or {}
        self.context: float | Sequence[float] | Callable[[], Any] | None = None
        self.guarded = self.arm = False
        self.undisturbed: float | None = None
        self._standing = Standing()
        self._unattended = Unattended()
        self._rescue = Rescue()
        self._sweeping = Sweeping(self._unattended, self._rescue)
        self.omega = 1.0
        self._prefix = ""
        self._settings: Settings | None = None
        self._tuned: Tuned | None = None
        self._only_one = self._scaled = False
        self._clock = Clock()

    @property
    def omega(self) -> float:
        """Relaxation factor of the solve under way, or of the last one; between them the safe one is applied."""
        return self._unattended.state.last

    @omega.setter
    def omega(self, omega: float) -> None:
        self._unattended.state.omega = self._unattended.state.last = omega

    @property
    def position(self) -> str:
        """Whether a choice of ω can be judged here, and why not."""
        return self._standing.text

    @property
    def records(self) -> tuple[SolveRecord, ...]:
        """The last 1000 decided solves, on rank 0 only; with monitor or journal also those that repeat a decision."""
        session = self._tuned.session if self._tuned else None
        return tuple(session.log.records) if session else ()

    # -- life

    create = alive.created("_let_go")

    def setFromOptions(self, pc: Any) -> None:
        """Read and check the options.  Collective; raises OptionError on all ranks."""
        self._prefix = self._sweeping.prefix = pc.getOptionsPrefix() or ""
        database = PETSc.Options(self._prefix)
        settings = reading.settings(pc.comm, self._prefix, self.overrides)
        if settings != self._settings:
            self._let_go()
        self._settings = settings
        self._sweeping.configure(database, settings.asks_true)
        wanted = self._sweeping.plain and not overrides(self, __class__)
        self._unattended.sweep(pc, self._sweeping.sweeps, wanted)
        self._scaled = database.getBool("ksp_diagonal_scale", False)
        self.omega = self._rescue.safe = settings.omega

    def setUp(self, pc: Any) -> None:
        """Look at a new matrix.  Collective."""
        if self._settings is None:
            self.setFromOptions(pc)
        self._unattended.stop()  # a matrix of another kind
        if not self._rescue.nested:
            self._sweeping.A = None
        kind = pc.getOperators()[1].getType()
        self._unattended.state.kind, self._only_one = kind.encode(), kind in ONLY_ONE
        if self._only_one:
            self.omega = 1.0
            say.only_one(self._prefix, kind)
        self._sweeping.applier.set_up(pc)

    def _let_go(self) -> None:
        self._take_back()
        self._unattended.stop()
        if self._tuned is not None:
            self._tuned.leave()
        self._tuned = None
        self._standing.forget()

    def reset(self, pc: Any) -> None:
        """Let go of all that belongs to a matrix, and give back what was learned."""
        self._rescue.reset()
        self._sweeping.reset()
        self._unattended.state.kind = b""
        self._let_go()

    def destroy(self, pc: Any) -> None:
        """The end of the PC, or of its Python context."""
        self.reset(pc)
        self._unattended.detach(pc)
        alive.leave(pc)

    def view(self, pc: Any, viewer: Any) -> None:
        """What `-ksp_view` shows."""
        if self._settings is None or viewer.getType() != PETSc.Viewer.Type.ASCII:
            return
        self._take_back()
        session, applied = self._tuned.session if self._tuned else None, self._sweeping.applier
        for line in say.state(self._prefix, self._settings, self.omega, self._standing, applied, session, missing()):
            viewer.printfASCII(f"  {line}\n")

    # -- application

    def apply(self, pc: Any, x: Any, y: Any) -> None:
        """y = M⁻¹x; fast.c calls it after its own sweep, or error, where that is to be looked after.  Collective."""
        self._sweeping.apply(pc, x, y)

    def applyTranspose(self, pc: Any, x: Any, y: Any) -> None:
        """y = M⁻ᵀx, for symmetric matrices and sweeps.  Collective."""
        self._sweeping.apply_transpose(pc, x, y)

    # -- around a solve

    def preSolve(self, pc: Any, ksp: Any, b: Any, x: Any) -> None:
        """Choose ω.  Collective."""
        if not self._unattended.state.kind:  # made anew by PCSetFromOptions, after PCSetUp
            self.setUp(pc)
        if not (self._sweeping.within(ksp) and position.depth() > 1) or position.estimates_eigenvalues(ksp):
            self._choose(pc, ksp, x)
            self._sweeping.applier.begin(pc, ksp, self.omega)

    def _choose(self, pc: Any, ksp: Any, x: Any) -> None:
        began, rescue = perf_counter(), self._rescue
        self._sweeping.begin()
        if rescue.nested:
            self.omega = rescue.omega
            return
        if position.estimates_eigenvalues(ksp):
            self.omega = 1.0 if self._only_one else self._settings.omega
            return
        rescue.lent.give_back()
        self._take_back()
        if (self._sweeping.watched or self._unattended.state.running) and self._tuned is not None:
            self._tuned.decide_next()  # the solve before ended in an error
        self._unattended.stop()
        rescue.repairable = not (self._scaled or position.scales(ksp))
        decides = self._tuned is None or not (self._tuned.alone and self._tuned.left)
        judged = self._standing.judges(ksp, self._prefix, self._settings, self.guarded, rescue.repairable, decides)
        if not judged or self._only_one or self._resting is not None:
            held = self._settings.omega if self._resting is None else self._resting
            self.omega = 1.0 if self._only_one else held
            self._sweeping.A, self._sweeping.watched = None, False
            self._unattended.hold(ksp)
            return
        self._sweeping.watch(pc, ksp)
        if self._tuned is None:
            self._enter(ksp)
        decision = self._tuned.before(ksp, self._sweeping.A, self._known, self._standing.measured)
        self.omega = decision.omega
        rescue.prepare(ksp, x, decision)
        if rescue.lent.watches:
            self._sweeping.count_down(1)
        self._clock.start(began, self._settings.cost == "flops")

    def _enter(self, ksp: Any) -> None:
        reading.hint_at_context(ksp.comm, self._prefix, self._settings, self.context)
        self._tuned = Tuned(self._prefix, self._settings, self.guarded and not self.arm)
        self._tuned.unattended = self._unattended.attached
        self._tuned.enter(ksp, self._sweeping.A.getSize())

    def postSolve(self, pc: Any, ksp: Any, b: Any, x: Any) -> None:
        """Repair what a trial has left, and learn.  Collective."""
        if self._sweeping.within(ksp):
            return
        self._sweeping.applier.end(pc, ksp)
        if self._rescue.nested:
            return
        if self._unattended.state.running:
            self._clock.resume(self._unattended.take_over(self._tuned, self._rescue))
            self._sweeping.watch(pc, ksp)
        if self._sweeping.watched:
            try:
                self._end(ksp, b, x)
            except PETSc.Error as error:
                if not self._unattended.returns(error):
                    raise

    def _take_back(self) -> None:
        """Account for solves that have gone by without Python."""
        if self._tuned is not None:
            self._unattended.take_back(self._tuned)

    def _end(self, ksp: Any, b: Any, x: Any) -> None:
        rescue, tuned, clock = self._rescue, self._tuned, self._clock
        clock.stop()
        rescue.lent.give_back()
        iterations, reason = ksp.getIterationNumber(), ksp.getConvergedReason()
        try:
            if tuned.repeats and reason > 0 and not rescue.unlike(ksp, x):
                solve = clock.plain(iterations, reason)
            else:
                solve = clock.told(ksp, tuned.decision)
                solve = solve._replace(outcome=rescue.finish(ksp, b, x, self._sweeping.sweeps.sweep))
        except BaseException:  # the application's, out of a repeat: as from a solve of its own
            tuned.decide_next()
            raise
        finally:
            self._sweeping.A, self._sweeping.watched = None, False
            self._sweeping.begin()
            self.omega = tuned.decision.omega  # not that of a repeat
            self._unattended.state.omega = rescue.safe
        self.undisturbed = None if solve.outcome.rescued else clock.seconds
        tuned.after(solve, clock.own())
        if self._standing.ended(reason, self._prefix, self._settings, tuned.stopped):
            self._unattended.hand_over(ksp, tuned, rescue)
        tuned.spend(clock.own())
