"""PETSc's callbacks of the preconditioner that keeps set-ups, and nothing else."""

from __future__ import annotations

from math import ceil
from time import perf_counter
from typing import Any, Callable

from petsc4py import PETSc

from ..names import kin
from ..options import LagSettings
from ..records import lag as records
from ..records.journal import Journal
from ..tuning.decision import Decision
from . import alive, position, reading
from .rescue import Rescue
from .say import at_exit, say
from .unattended import UnattendedUpkeep, overrides
from .upkeep import MAX_IT, Upkeep
from .witness import Witness
from .wrapped import Wrapped, reuses

#: What a solve is decided to be made with, as `Decision` and `Rescue` have it.
_KEPT, _FRESH = 0.0, 1.0
#: A set-up that was only renewed: a fresh one, made from nothing, repairs what fails with it.
_RENEWED = Decision(_KEPT, _FRESH)
_ITERATING = int(PETSc.KSP.ConvergedReason.ITERATING)
_PC_FAILED = int(PETSc.KSP.ConvergedReason.DIVERGED_PCSETUP_FAILED)
_tallies: dict[str, records.Tally] = {}


class Lag:
    """Any PC of PETSc, whose set-up is kept while that pays.

    Use it as `-pc_type python -pc_python_type sorlearn.Lag -lag_pc_type gamg`, where all options of the wrapped PC take
    `lag_` on top of the solver's prefix.

    Parameters
    ----------
    overrides : dict, optional
        Options given in code, by their name without `lag_`; the options database wins over them.
    stem : str
        What the wrapped PC's prefix has behind the solver's.
    kind : str, optional
        Its type where none is given; otherwise PETSc's default.
    check : callable, optional
        Asked of a matrix before it is set up for; raises where it can't be.

    Attributes
    ----------
    guarded : bool
        Whether it is in an arm of `sorlearn.KSP`.
    tally : Tally
        Set-ups and solves so far; with `-lag_summary` those of all solvers of this name.
    undisturbed : float or None
        Seconds of the last solve that was looked at, between its callbacks; None where it was repaired.
    """

    def __init__(self, overrides: dict[str, Any] | None = None, stem: str = "lag_", kind: str | None = None,
                 check: Callable[[Any], None] | None = None) -> None:  # fmt: skip
        self.overrides, self._wrapped_as, self._check = overrides or {}, (stem, kind), check
        self.guarded = False
        self.undisturbed: float | None = None
        self.tally = records.Tally()
        self._prefix, self._settings, self._read = "", LagSettings(), False
        self._unattended, self._rescue = UnattendedUpkeep(), Rescue()
        self._upkeep = self._new_upkeep()
        self._log: records.Log | None = None
        self._witness = Witness()
        self._active = self._anew = self._scaled = False

    def _new_upkeep(self) -> Upkeep:
        wrapped = Wrapped(*self._wrapped_as)
        return Upkeep(self._settings.solves, self.tally, wrapped, self._unattended.state, self._check)

    @property
    def set_ups(self) -> tuple[int, float]:
        """Set-ups since there is a matrix of this size, and the seconds that they took on this rank."""
        return self._upkeep.set_ups, self._upkeep.setting_up

    @property
    def renews(self) -> bool:
        """Whether every matrix is set up for, as nobody tests an answer."""
        return self._witness.alone and not self._settings.solves

    # -- life

    create = alive.created("_leave")

    def setFromOptions(self, pc: Any) -> None:
        """Read and check the options.  Collective; raises OptionError on all ranks."""
        self._read, self._prefix = True, pc.getOptionsPrefix() or ""
        settings = reading.settings(pc.comm, self._prefix, self.overrides, LagSettings)
        self._scaled = PETSc.Options(self._prefix).getBool("ksp_diagonal_scale", False)
        if settings != self._settings:
            self._settings = settings
            if pc.comm.getRank() == 0:
                self._report(settings)
            self.reset(pc)
        elif self._upkeep.wrapped.pc is not None:
            self._take_back()
            self._upkeep.wrapped.pc.setFromOptions()
        self._unattended.attach(pc, not overrides(self, __class__))

    def _report(self, settings: LagSettings) -> None:
        if settings.summary:
            name = kin(self._prefix)
            self.tally = tally = _tallies.setdefault(name, self.tally)
            at_exit(tally, name, lambda: tally.summary(name) if tally.solves else "")
        path, option = settings.journal, f"-{self._prefix}lag_journal"
        journal = Journal(path, self._prefix, option, records.line) if path else None
        if settings.monitor or journal:
            self._log = records.Log(self._prefix, say if settings.monitor else None, journal)

    def setUp(self, pc: Any) -> None:
        """There is a new matrix.  Collective."""
        if not self._read:
            self.setFromOptions(pc)
        began, before = perf_counter(), self._upkeep.setting_up
        self._take_back()
        if not self._witness.sees:
            self._count(None)
        self._unattended.state.countdown = 1
        self._witness.matrix_changed()
        self._upkeep.matrix_changed(pc, self._witness.sees, self._witness.alone)
        self._decided(began, before)

    def _decided(self, began: float, before: float) -> None:
        """Deciding began then, when setting up had taken so many seconds."""
        self._upkeep.meter.deciding(perf_counter() - began - (self._upkeep.setting_up - before))

    def reset(self, pc: Any) -> None:
        """Let go of all that belongs to a matrix."""
        self._leave()
        self._rescue.reset()
        self._upkeep.destroy()
        self._upkeep = self._new_upkeep()
        self._active = False
        self._witness.forget()

    def _leave(self) -> None:
        """Account for all that nobody has counted so far."""
        self._take_back()
        if not self._witness.sees:
            self._count(None, last=True)

    def destroy(self, pc: Any) -> None:
        """The end of the PC, or of its Python context."""
        self.reset(pc)
        self._unattended.detach(pc)
        alive.leave(pc)

    def view(self, pc: Any, viewer: Any) -> None:
        """What `-ksp_view` shows."""
        self._take_back()
        if viewer.getType() == PETSc.Viewer.Type.ASCII:
            for line in self._state():
                viewer.printfASCII(f"  {line}\n")
        if self._upkeep.wrapped.pc is not None:
            self._upkeep.wrapped.pc.view(viewer)

    def _state(self) -> list[str]:
        rule, every = self._upkeep.rule, self._settings.solves
        how = f"set up every {every} solves" if every else "set-up kept while that pays"
        return [
            f"sorlearn.Lag: {how}, {self._witness.text}",
            f"{self.tally.set_ups} set-ups in {self.tally.solves} solves, {rule.age + rule.idle} since the last; "
            f"a set-up is worth {rule.worth:.1f} applications",
        ]

    # -- application

    @property
    def ready(self) -> bool:
        """Whether there is a set-up."""
        return self._upkeep.ready

    def apply_kept(self, x: Any, y: Any) -> None:
        """y = M⁻¹x outside a solve, by the set-up that there is.  Collective."""
        self._upkeep.wrapped.pc.apply(x, y)

    def apply(self, pc: Any, x: Any, y: Any) -> None:
        """y = M⁻¹x.  Collective."""
        self._apply(pc, self._wrapped(pc).apply, x, y)

    def applyTranspose(self, pc: Any, x: Any, y: Any) -> None:
        """y = M⁻ᵀx.  Collective."""
        self._rescue.applied_transpose = True
        self._apply(pc, self._wrapped(pc).applyTranspose, x, y)

    def applySymmetricLeft(self, pc: Any, x: Any, y: Any) -> None:
        """The left factor of M⁻¹, for `-ksp_pc_side symmetric`.  Collective."""
        self._apply(pc, self._wrapped(pc).applySymmetricLeft, x, y)

    def applySymmetricRight(self, pc: Any, x: Any, y: Any) -> None:
        """The right factor of M⁻¹.  Collective."""
        self._apply(pc, self._wrapped(pc).applySymmetricRight, x, y)

    def _wrapped(self, pc: Any) -> Any:
        """The wrapped PC; where PCSetFromOptions has made this context anew, PETSc takes it for set up."""
        if not self.ready:
            self.setUp(pc)
        return self._upkeep.wrapped.pc

    def _apply(self, pc: Any, method: Callable[[Any, Any], None], x: Any, y: Any) -> None:
        state = self._unattended.state
        if state.swept:  # fast.c has applied it
            self._look_after(state.elapsed)
            return
        watched = state.countdown == 1
        began = perf_counter() if watched else 0.0
        method(x, y)
        self._upkeep.wrapped.pass_on_failure(pc)
        state.applications += 1
        state.countdown -= state.countdown > 0
        if watched:
            self._look_after(perf_counter() - began)

    def _look_after(self, seconds: float) -> None:
        """An application that took this long calls for a look."""
        self._upkeep.applied(seconds, not self._active)
        self._unattended.state.countdown = self._rescue.lent.watch() if self._active else 1

    # -- around a solve

    def preSolve(self, pc: Any, ksp: Any, b: Any, x: Any) -> None:
        """Keep what a repair would need.  Collective."""
        rescue, upkeep = self._rescue, self._upkeep
        if rescue.nested:
            self._unattended.state.countdown = 1
            upkeep.start_over(pc, self._anew or not upkeep.kept)  # one that was gone on with has been renewed
            failed = upkeep.wrapped.pass_on_failure(pc)
            ksp.setConvergedReason(_PC_FAILED if failed else _ITERATING)  # KSPSetUp has asked the one that is given up
            return
        if position.estimates_eigenvalues(ksp):
            return
        rescue.lent.give_back()
        self._take_back()
        self._active = self._sees(ksp)
        if not self._active:
            if self._witness.alone and upkeep.kept and not (self._settings.solves or reuses(pc)):
                upkeep.set_up(pc)  # that was decided for other solves
            return
        pc.setUp()  # KSP leaves it to the first application where the matrix has changed in place
        self._wrapped(pc)
        began, before = perf_counter(), upkeep.setting_up
        reused = reuses(pc)
        if reused:
            upkeep.reuse(pc)
        else:
            upkeep.solve_begins(pc)
        self._unattended.state.countdown = 1
        rescue.prepare(ksp, x, Decision(_FRESH, _FRESH) if reused else self._decision())
        self._decided(began, before)
        upkeep.begin()

    def _sees(self, ksp: Any) -> bool:
        """Whether this KSP says where a solve ends, and what came of it."""
        if self._witness.asks(ksp, self._prefix, self.guarded):
            self._rescue.repairable = not (self._scaled or position.scales(ksp))
        return self._witness.sees

    def _decision(self) -> Decision:
        """A set-up for another matrix may be repaired by a fresh one, one that was only renewed by one from nothing."""
        upkeep = self._upkeep
        if upkeep.new and not upkeep.kept:
            return Decision(_FRESH, _FRESH)
        limit = ceil(upkeep.rule.limit() / upkeep.meter.per_iteration) if upkeep.kept else 0
        return Decision(_KEPT, _FRESH, limit=limit)

    def postSolve(self, pc: Any, ksp: Any, b: Any, x: Any) -> None:
        """Repair what a kept set-up has left, and count.  Collective."""
        rescue, upkeep, state = self._rescue, self._upkeep, self._unattended.state
        if rescue.nested:
            return
        began = perf_counter()
        if state.running:
            self._resume()
        elif self._active and not position.estimates_eigenvalues(ksp):
            upkeep.meter.ended()
        else:
            return
        rescue.lent.give_back()
        reason = ksp.getConvergedReason()
        self._anew = reason < 0 and (reason != MAX_IT or not upkeep.kept)
        if upkeep.rule.waits and reason == MAX_IT and not upkeep.kept:
            rescue.resign()
        upkeep.meter.deciding(perf_counter() - began)
        try:
            outcome = rescue.finish(ksp, b, x, None)
        finally:
            self._active, state.countdown = False, 0
        began = perf_counter()
        self.undisturbed = None if outcome.rescued else upkeep.meter.solving
        self._count(outcome)
        if not self.guarded and not reuses(pc) and (solves := upkeep.rule.rest()) and self._unattended.attached:
            self._unattended.rest(ksp, rescue, _RENEWED, solves)
        upkeep.meter.deciding(perf_counter() - began)

    def _resume(self) -> None:
        """Go on where fast.c has left a solve that isn't what it should be."""
        applications = self._unattended.state.applications
        self._take_back_solves()
        self._upkeep.meter.applications = applications
        self._upkeep.meter.resume(self._unattended.take_over(self._rescue, _RENEWED))

    def _take_back(self) -> None:
        """Account for solves that have gone by without Python, and have it called again."""
        self._take_back_solves()
        self._unattended.stop()

    def _take_back_solves(self) -> None:
        for record in self._unattended.take_back(self._upkeep, self._log is not None):
            assert self._log is not None
            self._log.write(record)

    def _count(self, outcome: Any, last: bool = False) -> None:
        record = self._upkeep.count(outcome, self._log is not None, last)
        if record is not None and self._log is not None:
            self._log.write(record)
