"""PETSc's callbacks of the preconditioner that keeps set-ups, and nothing else."""

from __future__ import annotations

import atexit
from math import ceil
from time import perf_counter
from typing import Any, Callable

import numpy as np
from petsc4py import PETSc

from ..options import LagSettings
from ..records import lag as records
from ..records.journal import Journal
from ..tuning.decision import Decision
from ..tuning.lag import Renewal
from ..tuning.record import Outcome
from ..tuning.registry import kin
from ..tuning.worth import Readings, Worth
from . import position, reading
from .collective import Comm
from .likeness import Likeness
from .pc import _estimates, _live
from .rescue import Rescue
from .say import say
from .wrapped import Wrapped, reuses

_MAX_IT = int(PETSc.KSP.ConvergedReason.DIVERGED_MAX_IT)
#: What a solve is decided to be made with, as `Decision` and `Rescue` have it.
_KEPT, _FRESH = 0.0, 1.0
_setting_up = PETSc.Log.Event("SorlearnSetUp")
_looking = PETSc.Log.Event("SorlearnLook")
_tallies: dict[str, records.Tally] = {}


class Lag:
    """Any PC of PETSc, whose set-up is kept while that pays.

    Use it as `-pc_type python -pc_python_type sorlearn.Lag -lag_pc_type gamg`, where all options of the wrapped PC take
    `lag_` on top of the solver's prefix.

    Parameters
    ----------
    overrides : dict, optional
        Options given in code, by their name without `lag_`; the options database wins over them.

    Attributes
    ----------
    position : str
        By what is decided here.
    tally : Tally
        Set-ups and solves so far, of all solvers of this name.
    """

    def __init__(self, overrides: dict[str, Any] | None = None):
        self.overrides = overrides or {}
        self.position = "not solved with so far"
        self.tally = records.Tally()
        self._prefix, self._settings = "", LagSettings()
        self._read = False
        self._wrapped, self._likeness, self._rescue = Wrapped(), Likeness(), Rescue()
        self._comm: Comm | None = None
        self._log: records.Log | None = None
        self._forget()

    def _forget(self) -> None:
        """Begin as with the first matrix."""
        self._rule, self._worth, self._readings = Renewal(self._settings.solves, self.tally), Worth(), Readings()
        self._kept = self._new = self._active = self._seen = self._decided = self._anew = False
        self._first = True  # with this matrix
        self._distance: float | None = None
        self._applications = self._given_up = 0  # of the solve under way
        self._mark = 0  # the application that is looked after; none if it is past
        self._per_iteration = 1.0
        self._began = self._settled = 0.0
        self._ksp: tuple[int, int] = (0, 0)

    # -- life

    def setFromOptions(self, pc: Any) -> None:
        """Read and check the options.  Collective; raises OptionError on all ranks."""
        _live[pc.handle] = self
        self._read, self._prefix = True, pc.getOptionsPrefix() or ""
        database = PETSc.Options(self._prefix)
        settings = reading.settings(pc.comm, self._prefix, database, self.overrides, LagSettings)
        self._rescue.repairable = not database.getBool("ksp_diagonal_scale", False)
        if settings != self._settings:
            self.reset(pc)
        self._settings = settings
        if settings.summary and pc.comm.getRank() == 0:
            self.tally = _tallies.setdefault(kin(self._prefix), self.tally)
        if pc.comm.getRank() == 0 and (settings.monitor or settings.journal):
            path, option = settings.journal, f"-{self._prefix}lag_journal"
            journal = Journal(path, self._prefix, option, records.line) if path else None
            self._log = records.Log(self._prefix, say if settings.monitor else None, journal)
        self._forget()

    def setUp(self, pc: Any) -> None:
        """There is a new matrix: set up for it, or keep the set-up.  Collective."""
        if not self._read:
            self.setFromOptions(pc)
        _live[pc.handle] = self
        if self._wrapped.pc is None:
            self._comm = Comm(pc.comm)
            self._set_up(pc, anew=True)
            return
        if not self._seen:
            self._close(None)
        self._first = self._decided = True
        if self._rule.due(self._look(pc)):
            self._set_up(pc)
        else:
            self._kept = True
            self._wrapped.keep(pc)

    def _set_up(self, pc: Any, anew: bool = False) -> None:
        began = perf_counter()
        _setting_up.begin()
        self._wrapped.set_up(pc, anew)
        _setting_up.end()
        self._readings.set_up = perf_counter() - began
        self._rule.renewed()
        self._kept, self._new = False, anew
        self._applications = self._mark = 0
        if self._looks():
            self._likeness.keep(pc.getOperators()[1])

    def _looks(self) -> bool:
        return not self._settings.solves and self._worth.looks

    def _look(self, pc: Any) -> float | None:
        """How unlike the matrix is to that of the set-up, where that is cheap."""
        if not self._looks():
            self._distance = None
            return None
        began = perf_counter()
        _looking.begin()
        self._distance = self._likeness.distance(pc.getOperators()[1])
        _looking.end()
        self._readings.look = perf_counter() - began
        return self._distance

    def reset(self, pc: Any) -> None:
        """Let go of all that belongs to a matrix."""
        self._rescue.reset()
        self._likeness.reset()
        self._wrapped.destroy()
        self._forget()

    def destroy(self, pc: Any) -> None:
        """The end of the PC, or of its Python context."""
        self.reset(pc)
        _live.pop(pc.handle, None)

    def view(self, pc: Any, viewer: Any) -> None:
        """What `-ksp_view` shows."""
        if viewer.getType() == PETSc.Viewer.Type.ASCII:
            for line in self._state():
                viewer.printfASCII(f"  {line}\n")
        if self._wrapped.pc is not None:
            self._wrapped.pc.view(viewer)

    def _state(self) -> list[str]:
        rule, every = self._rule, self._settings.solves
        how = f"every {every} solves" if every else "set-up kept while that pays"
        return [
            f"sorlearn.Lag: {how}, {self.position}",
            f"{self.tally.set_ups} set-ups in {self.tally.solves} solves, {rule.age} since the last; "
            f"a set-up is worth {rule.worth:.1f} applications",
        ]

    # -- application

    def apply(self, pc: Any, x: Any, y: Any) -> None:
        """y = M⁻¹x.  Collective."""
        self._apply(pc, self._wrapped.pc.apply, x, y)

    def applyTranspose(self, pc: Any, x: Any, y: Any) -> None:
        """y = M⁻ᵀx.  Collective."""
        self._rescue.applied_transpose = True
        self._apply(pc, self._wrapped.pc.applyTranspose, x, y)

    def applySymmetricLeft(self, pc: Any, x: Any, y: Any) -> None:
        """The left factor of M⁻¹, for `-ksp_pc_side symmetric`.  Collective."""
        self._apply(pc, self._wrapped.pc.applySymmetricLeft, x, y)

    def applySymmetricRight(self, pc: Any, x: Any, y: Any) -> None:
        """The right factor of M⁻¹.  Collective."""
        self._apply(pc, self._wrapped.pc.applySymmetricRight, x, y)

    def _apply(self, pc: Any, method: Callable[[Any, Any], None], x: Any, y: Any) -> None:
        watched = self._applications == self._mark
        began = perf_counter() if watched else 0.0
        method(x, y)
        self._applications += 1
        if watched:
            self._look_after(pc, perf_counter() - began)

    def _look_after(self, pc: Any, seconds: float) -> None:
        """Take the time; cut the solve off when it gets too dear."""
        self._settled = perf_counter()
        if self._applications == 1:
            self._readings.applied_first(seconds, kept=self._kept, fresh=not self._rule.age)
            self._wrapped.settle(pc)
        elif not self._active:
            self._readings.applied()
        next_one = self._rescue.watch() if self._active else 1
        self._mark = self._applications - 1 + next_one if next_one else -1

    # -- around a solve

    def preSolve(self, pc: Any, ksp: Any, b: Any, x: Any) -> None:
        """Keep what a repair would need.  Collective."""
        rescue = self._rescue
        if rescue.nested:
            self._start_over(pc)
            return
        if _estimates(ksp):
            return
        rescue.give_back()
        self._active = self._seen = self._sees(ksp)
        if not self._active:
            return
        pc.setUp()  # KSP leaves it to the first application where the matrix has changed in place
        reused = reuses(pc)
        if self._kept and not (self._decided or reused) and self._rule.due(self._distance):
            self._set_up(pc)
        self._decided = False
        self._applications = self._given_up = self._mark = 0
        self._began = perf_counter()
        self._kept = self._kept or reused
        rescue.prepare(ksp, x, Decision(_FRESH, _FRESH) if reused else self._decision())

    def _sees(self, ksp: Any) -> bool:
        """Whether this KSP says where a solve ends, and what came of it."""
        identity = ksp.handle, int(ksp.norm_type)
        if identity == self._ksp:
            return self._seen
        self._ksp, held = identity, position.why_held(ksp, guarded=False)
        self.position = "decided solve by solve" if held is None else (
            f"decided by the applications between two matrices, and nothing is repaired: {held.why}")  # fmt: skip
        return held is None

    def _decision(self) -> Decision:
        """A set-up for another matrix may be repaired by a fresh one, one that was only renewed by one from nothing."""
        if (self._kept or not self._new) and not self._rule.waits:
            limit = ceil(self._rule.limit() / self._per_iteration) if self._kept else 0
            return Decision(_KEPT, _FRESH, limit=limit)
        return Decision(_FRESH, _FRESH)

    def _start_over(self, pc: Any) -> None:
        """Set up, inside a repeat or a continuation."""
        self._rule.abandoned(self._cost())
        self._given_up += self._applications
        self._set_up(pc, self._anew)

    def postSolve(self, pc: Any, ksp: Any, b: Any, x: Any) -> None:
        """Repair what a kept set-up has left, and count.  Collective."""
        rescue = self._rescue
        if rescue.nested or not self._active or _estimates(ksp):
            return
        if self._applications > 1:
            self._readings.later(perf_counter() - self._settled, self._applications - 1)
        rescue.give_back()
        reason = ksp.getConvergedReason()
        self._anew = reason < 0 and (reason != _MAX_IT or not self._kept)
        try:
            outcome = rescue.finish(ksp, b, x, None)  # no answer is judged, hence nothing swept
        finally:
            self._active, self._mark = False, -1
        if outcome.iterations and not outcome.rescued:
            self._per_iteration = max(self._applications / outcome.iterations, 1.0)
        self._close(outcome)

    def _close(self, outcome: Outcome | None) -> None:
        """Count a solve or, where nobody says where one ends, all since the last matrix.  Collective."""
        if not self._applications:
            return
        rule = self._rule
        age = rule.age + 1
        if age == 1:
            rule.worth = self._worth.agree(self._agreed(), float(self._applications))
        helpless = outcome is not None and outcome.failed and not outcome.worked
        whole = outcome is None or not (outcome.rescued or helpless)
        rule.spent(self._cost(), kept=self._kept, first=self._first, whole=whole or bool(outcome and outcome.worked))
        if helpless:
            rule.failed()
        if self._log is not None:
            self._log.write(self._record(age, outcome))
        self._first, self._applications = False, 0

    def _agreed(self) -> Any:
        assert self._comm is not None
        return self._comm.largest(np.array(self._readings.take())).tolist()

    def _cost(self) -> float:
        """Applications of the solve; the first one belongs to the set-up where that is fresh."""
        return self._applications - 1.0 + (self._worth.of_first if self._kept else 0.0)

    def _record(self, age: int, outcome: Outcome | None) -> records.LagRecord:
        seconds = perf_counter() - self._began + self._readings.set_up * (age == 1)
        return records.LagRecord(
            solve=self.tally.solves,
            age=age,
            iterations=outcome.iterations if outcome else None,
            reason=outcome.reason if outcome else None,
            applications=self._applications + self._given_up,
            seconds=seconds if outcome else None,
            worth=self._rule.worth,
            distance=self._distance if self._kept else None,
            rescued=outcome.rescued if outcome else False,
        )


def _at_exit() -> None:
    for name, tally in _tallies.items():
        if tally.solves:
            text = tally.summary(name)
            say(text) if PETSc.Sys.isInitialized() else print(text, flush=True)


atexit.register(_at_exit)
