"""PETSc's callbacks of the preconditioner, and nothing else."""

from __future__ import annotations

import atexit
import ctypes
import re
import sys
import traceback
from collections.abc import Sequence
from math import log10
from time import perf_counter
from typing import Any, Callable

import numpy as np
from petsc4py import PETSc

from .. import options
from ..errors import MatrixError, OptionError
from ..learners import NO_CONTEXT, Context
from ..tuning.cost import SolveRecord, finite
from ..tuning.session import Decision, Registry, Session, kin
from . import position
from .collective import Comm
from .context import UNREADABLE, Features
from .rescue import Rescue, first_residual
from .sor import INODE_WEIGHT, ONLY_ONE, Sweeps, library

_LEARNING = "learning"
_NONE, _UNPRECONDITIONED = int(PETSc.KSP.NormType.NONE), int(PETSc.KSP.NormType.UNPRECONDITIONED)
#: Digits credited where nobody says how many were asked for.
_DIGITS = 8.0
#: KSP types that apply the preconditioner once.
_ONCE = ("preonly", "none")

_registry = Registry()
_choosing = PETSc.Log.Event("SorlearnChoose")
_learning = PETSc.Log.Event("SorlearnLearn")
_live: dict[int, PC] = {}
_sessions: list[Session] = []
_told: set[tuple[str, str]] = set()
#: PETSC_ERR_SUP.
_NO_SUPPORT = 56
#: PETSc's error codes of a zero or missing entry on the diagonal, which the other ranks know nothing of.
_OF_ONE_RANK = (71, 73, 75)


def _print(text: str) -> None:
    PETSc.Sys.Print(text, comm=PETSc.COMM_SELF)


def _complain(comm: Any, text: str) -> None:
    """One message on stderr, from one rank."""
    if comm.getRank() == 0:
        sys.stderr.write(f"sorlearn: {text}\n")
        sys.stderr.flush()


def _estimates(ksp: Any) -> bool:
    """Whether this is the KSP by which a Chebyshev iteration estimates eigenvalues: the safe ω's must serve all."""
    return "esteig_" in (ksp.getOptionsPrefix() or "")


class Slot:
    """What outlives a PC object and waits for the next of its kind; there is a session on rank 0 only."""

    def __init__(self, session: Session | None, features: Features | None):
        self.session = session
        self.features = features
        self.broken = features is None


class PC:
    """PETSc's SOR under an ω that is learned while the simulation runs.

    Use it as `-pc_type python -pc_python_type sorlearn.PC`, or through `sorlearn.attach`.

    Parameters
    ----------
    overrides : dict, optional
        Options given in code, by their name without `pc_sorlearn_`; the options database wins over them.

    Attributes
    ----------
    omega : float
        Relaxation factor in use.
    context : float, callable or None
        A user's context: a number to be set before each solve, or a function that returns it.
    guarded : bool
        Whether `sorlearn.KSP` runs the solves, which cuts trials off when they get too dear.
    """

    def __init__(self, overrides: dict[str, Any] | None = None):
        self.overrides = overrides or {}
        self.context: float | Callable[[], float] | None = None
        self.guarded = False
        self.position = "omega held: no KSP has called it so far"
        self.omega = self._safe = 1.0
        self._prefix = ""
        self._settings: options.Settings | None = None
        self._sweeps: Sweeps | None = None
        self._database: Any = None
        self._comm: Comm | None = None
        self._slot: Slot | None = None
        self._key: tuple[Any, ...] = ()
        self._decision = Decision(1.0, 1.0)
        self._stopped = self._broken = self._active = self._held = self._only_one = self._interrupted = False
        self._rescue = Rescue()
        self._hold = 0
        self._began = self._flops = 0.0
        self._true_norm = False
        self._ksp: tuple[int, int] = (0, 0)
        self._A: Any = None

    @property
    def records(self) -> tuple[SolveRecord, ...]:
        """The last 1000 solves, on rank 0; empty on the other ranks."""
        return tuple(self._slot.session.records) if self._slot and self._slot.session else ()

    # -- life

    def setFromOptions(self, pc: Any) -> None:
        """Read and check the options.  Collective; raises OptionError on all ranks."""
        _live[pc.handle] = self
        self._prefix = pc.getOptionsPrefix() or ""
        self._database = PETSc.Options(self._prefix)
        try:
            self._settings = options.parse(self._prefix, self._given, self.overrides)
        except OptionError as error:
            if not getattr(sys, "orig_argv", None):  # inside a C program PETSc 3.18 shows nothing of an exception
                _complain(pc.comm, str(error))
                pc.comm.barrier()  # the other ranks' exceptions end the job: not before rank 0 has spoken
            raise
        if PETSc.Options().hasName("help") and pc.comm.getRank() == 0:
            _print(options.help_text(self._prefix))
        self._sweeps = Sweeps(self._database)
        self._rescue.repairable = not self._database.getBool("ksp_diagonal_scale", False)
        self.omega = self._safe = self._rescue.safe = self._settings.omega
        self._decision = Decision(self._safe, self._safe)

    def _given(self, name: str) -> str | None:
        if not self._database.hasName(name):
            return None
        return str(self._database.getString(name, ""))

    def setUp(self, pc: Any) -> None:
        """Look at a new matrix.  Collective."""
        if self._settings is None:
            self.setFromOptions(pc)
        _live[pc.handle] = self
        kind = pc.getOperators()[1].getType()
        self._only_one = kind in ONLY_ONE
        if self._only_one:
            self.omega = 1.0
            if (self._prefix, kind) not in _told:
                _told.add((self._prefix, kind))
                _complain(
                    pc.comm,
                    f"solver '{self._prefix}': SOR of matrix type {kind} takes omega = 1 only, so nothing is learned; "
                    f"remedy: -mat_type aij, or -{self._prefix}pc_type sor",
                )

    def reset(self, pc: Any) -> None:
        """Let go of all that belongs to a matrix, and give back what was learned."""
        self._rescue.reset()
        self._A = None
        if self._slot is not None:
            if self._slot.session and not self._broken:
                self._guarded(self._slot.session.save)
            self._slot.broken = self._broken
            self._guarded(_registry.release, self._key, self._slot)
        self._slot, self._comm = None, None
        self._ksp, self._hold = (0, 0), 0

    def destroy(self, pc: Any) -> None:
        """The end of the PC, or of its Python context."""
        self.reset(pc)
        _live.pop(pc.handle, None)

    def view(self, pc: Any, viewer: Any) -> None:
        """What `-ksp_view` shows."""
        settings = self._settings
        if settings is None:
            return
        space, session = settings.space(), self._slot.session if self._slot else None
        solves = f", {session.solves} solves so far" if session else ""
        viewer.printfASCII(f"  sorlearn: learner {settings.learner}, {self.position}{solves}\n")
        viewer.printfASCII(
            f"  omega = {self.omega:g} in [{space.omega_min:g}, {space.omega_max:g}], safe omega = {self._safe:g}, "
            f"cost {settings.cost}\n"
        )
        if self._sweeps:
            viewer.printfASCII(f"  SOR: {self._sweeps}\n")

    # -- application

    def apply(self, pc: Any, x: Any, y: Any) -> None:
        """y = M⁻¹x.  Collective."""
        try:
            self._sweeps.sweep(self._A or pc.getOperators()[1], x, y, self.omega)
        except PETSc.Error as error:
            self._explain(pc, error)
            raise

    def applyTranspose(self, pc: Any, x: Any, y: Any) -> None:
        """y = M⁻ᵀx, for symmetric matrices and sweeps.  Collective."""
        self._rescue.applied_transpose = True
        A = pc.getOperators()[1]
        try:
            self._sweeps.check_transpose(A)
            self._sweeps.sweep(A, x, y, self.omega)
        except MatrixError as error:
            self._explain(pc, error)
            raise PETSc.Error(_NO_SUPPORT) from error  # PCSOR's code
        except PETSc.Error as error:
            self._explain(pc, error)
            raise

    def _explain(self, pc: Any, error: Exception) -> None:
        """Name the cause of what PETSc's own SOR would have refused, too."""
        prefix, kind = self._prefix, self._sweeps.kind
        remedy = f"an assembled matrix (-mat_type aij) with a full diagonal, or another -{prefix}pc_type"
        if isinstance(error, MatrixError):
            remedy = f"another -{prefix}ksp_type"
        elif pc.comm.getSize() > 1 and not kind.startswith("local_"):
            remedy = f"-{prefix}pc_sor_local_{kind}, or another -{prefix}pc_type"
        cause = re.sub(r"^\[\d+\] ", "", str(error).splitlines()[-1])
        text = (
            f"SOR can't be applied to this matrix of type {pc.getOperators()[1].getType()}: {cause}; remedy: {remedy}"
        )
        if (prefix, text) not in _told:
            _told.add((prefix, text))
            here_only = isinstance(error, PETSc.Error) and error.ierr in _OF_ONE_RANK
            _complain(PETSc.COMM_SELF if here_only else pc.comm, f"solver '{prefix}': {text}")

    # -- around a solve

    def preSolve(self, pc: Any, ksp: Any, b: Any, x: Any) -> None:
        """Choose ω.  Collective."""
        rescue = self._rescue
        if rescue.nested:
            self.omega = rescue.omega
            return
        if _estimates(ksp):
            self.omega = 1.0 if self._only_one else self._safe
            return
        rescue.give_back(ksp)
        if self._active:
            self._interrupted, self._ksp = True, (0, 0)
        self._active = self._learns(ksp) and not self._only_one
        if not self._active:
            self.omega = 1.0 if self._only_one else self._safe
            self._A = None
            return
        self._A = pc.getOperators()[1]
        if self._slot is None:
            self._enter(ksp)
        self._held = self._hold > 0 and self._holds()
        if not (self._held or self._stopped):
            _choosing.begin()
            self._decide(ksp)
            _choosing.end()
        self.omega = self._decision.omega
        rescue.prepare(ksp, x, self._decision)
        self._flops = PETSc.Log.getFlops() if self._settings.cost == "flops" else 0.0
        self._began = perf_counter()

    def _holds(self) -> bool:
        """Whether ω can just follow the matrix, so that a short solve needn't be decided; on one rank only."""
        self._hold -= 1
        followed = self._guarded(self._follow)
        if followed is None:
            self._hold = 0
            return False
        omega, tighten = followed
        if omega != self._decision.omega or self._decision.check:
            self._decision = self._decision._replace(omega=omega, tighten=tighten, check=0.0)
        return True

    def _follow(self) -> tuple[float, float] | None:
        return self._slot.session.follow(self._slot.features.glance(self._A))

    @staticmethod
    def _keep_history(ksp: Any) -> None:
        """Have the KSP note its first residual norm, unless the application has it note more."""
        history, length = ctypes.c_void_p(), ctypes.c_int64()
        library().KSPGetResidualHistory(ctypes.c_void_p(ksp.handle), ctypes.byref(history), ctypes.byref(length))
        if not history.value:
            ksp.setConvergenceHistory(1, reset=True)

    def _learns(self, ksp: Any) -> bool:
        """Whether the iteration count of this KSP says something about ω."""
        norm = int(ksp.norm_type)
        if (ksp.handle, norm) != self._ksp:
            self._ksp = (ksp.handle, norm)
            self._true_norm = norm == _UNPRECONDITIONED
            self.position = _LEARNING
            prefix = ksp.getOptionsPrefix() or ""
            if norm == _NONE or ksp.getType() in _ONCE or position.runs_a_fixed_number(ksp):
                self.position = f"omega held: {ksp.getType()} does not iterate to a tolerance here"
            elif not self._rescue.repairable:
                self.position = "omega held: -ksp_diagonal_scale forbids repeating a solve"
            elif self.guarded and ksp.getType() == "python":
                self.position = "omega held: the guarded solver's inner KSP decides"
            elif self._interrupted:
                self.position = "omega held: a solve ended in an error, so PETSc lets none be repeated"
            elif self._inside(prefix):
                self.position = "omega held: inside another KSP whose -ksp_type isn't known to be flexible"
            else:
                self._keep_history(ksp)
        return self.position is _LEARNING

    def _inside(self, prefix: str) -> bool:
        """Whether another solver relies on this one's staying what it is."""
        if self.guarded:
            return position.inside_unflexible(re.sub("sorlearn_$", "", prefix), outermost=2)
        return position.inside_unflexible(prefix)

    def _enter(self, ksp: Any) -> None:
        """Find this solver's slot; what fails on one rank stops learning on all.  Collective."""
        size = self._A.getSize()
        self._key = (self._prefix, size, ksp.getType(), ksp.comm.getSize(), self._settings, self.guarded)
        self._guarded(self._acquire, ksp.comm)
        if self._slot is None:
            self._slot = Slot(None, None)
        self._stopped = self._broken = self._agree(float(self._broken or self._slot.broken))[0] > 0.0

    def _agree(self, *values: float) -> Sequence[float]:
        """The largest values of all ranks; those of this rank where there is no way to the others.  Collective."""
        if self._comm is None or self._comm.size == 1:
            return values
        return self._comm.largest(np.array(values)).tolist()

    def _acquire(self, comm: Any) -> None:
        self._comm = Comm(comm)
        self._key += (self._comm.members,)
        self._slot = _registry.acquire(self._key, self._new_slot, lambda: PETSc.garbage_cleanup(comm))

    def _new_slot(self) -> Slot:
        if not self._comm.root:
            return Slot(None, Features())
        session = _registry.session(self._prefix, self._settings, _print, self.guarded)
        if self._settings.summary:
            _sessions.append(session)
        return Slot(session, Features(session.restored_matrix()))

    def _guarded(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """The call's result; an error inside learning is printed once, and from then on ω stands still."""
        try:
            return call(*arguments)
        except Exception:
            if not self._broken and (kin(self._prefix), "broken") not in _told:
                _told.add((kin(self._prefix), "broken"))
                sys.stderr.write(
                    f"sorlearn: learning stops for solver '{self._prefix}'; omega stands still for the rest of the "
                    f"run:\n{traceback.format_exc()}"
                )
                sys.stderr.flush()
            self._broken, self._hold = True, 0
            return None

    def _decide(self, ksp: Any) -> None:
        """All say what they see and whether they are well, rank 0 decides, everybody gets the value.  Collective."""
        features = self._slot.features
        context = self._guarded(self._given_context)
        seen = self._guarded(features.look, self._A) if context is None else None
        top = self._agree(*(UNREADABLE if seen is None else seen), float(self._broken))
        self._broken = top[-1] > 0.0
        decision = self._decision._replace(check=0.0, hold=0.0, stopped=1.0)
        if self._comm.root and not self._broken:
            decision = self._guarded(self._ask, context, top, ksp.rtol) or decision
        if self._comm.size > 1 and not top[-1]:
            values = np.array(decision)
            self._comm.share(values)
            decision = Decision(*values.tolist())
        self._decision, self._hold, self._stopped = decision, int(decision.hold), bool(decision.stopped)

    def _ask(self, context: Context | None, top: Sequence[float], rtol: float) -> Decision:
        features, session = self._slot.features, self._slot.session
        known = features.context(top[:-1], rtol) if context is None else context
        return session.decide(known, self._true_norm, features.nonzeros if self._comm.size == 1 else 0)

    def _given_context(self) -> Context | None:
        """The user's context, empty where there shall be none, None where the matrix is to be looked at."""
        settings = self._settings
        if settings.context_option:
            return Context(user=(PETSc.Options().getReal(settings.context_option),))
        if self.context is not None:
            return Context(user=(float(self.context() if callable(self.context) else self.context),))
        return None if settings.reads_matrix else NO_CONTEXT

    def postSolve(self, pc: Any, ksp: Any, b: Any, x: Any) -> None:
        """Repair what a trial has left, and learn.  Collective."""
        rescue = self._rescue
        if rescue.nested or not self._active:
            return
        seconds = perf_counter() - self._began
        self._active = False
        rescue.give_back(ksp)
        self._guarded(self._finish, ksp, b, x, seconds)
        self._A, self.omega = None, self._decision.omega  # not that of a repeat
        if rescue.refused is not None:
            refused, rescue.refused, self._interrupted, self._ksp = rescue.refused, None, True, (0, 0)
            raise refused

    def _finish(self, ksp: Any, b: Any, x: Any, seconds: float) -> None:
        iterations, reason = ksp.getIterationNumber(), ksp.getConvergedReason()
        if self._held and reason > 0:
            self._hold = self._slot.session.skip(iterations)
            return
        before, after = first_residual(ksp), ksp.getResidualNorm()
        session = None if self._stopped else self._slot.session
        total, reason, rescued = self._rescue.finish(ksp, b, x, session, self._comm, self._guarded)
        if self._stopped:
            return
        if self._settings.cost == "time":
            seconds = float(self._comm.largest(np.array([seconds]))[0])
        if session is None:
            return
        if self._held:
            self._hold = session.skip(total)
            return
        _learning.begin()
        asked = -log10(ksp.rtol) if ksp.rtol > 0.0 else _DIGITS
        digits = log10(before / after) if before and after and reason > 0 and not rescued else asked
        inode_free = self._decision.omega != 1.0 and self._slot.features.inodes
        record = SolveRecord(
            solve=0, omega=self._decision.omega, iterations=total, reason=reason, seconds=seconds,
            residual_before=finite(before), residual_after=finite(after), rescued=rescued, digits=digits,
            weight=INODE_WEIGHT if inode_free else 1.0,
            flops=PETSc.Log.getFlops() - self._flops if self._settings.cost == "flops" else 0.0,
        )  # fmt: skip
        self._hold = self._guarded(session.learn, record, self._true_norm) or 0
        _learning.end()


def _at_exit() -> None:
    """Save, report, and let go of PCs that are still alive: on 3.18 they would crash the interpreter's end."""
    if PETSc.Sys.isInitialized() and not PETSc.Sys.isFinalized():
        for handle in list(_live):
            library().PCSetType(ctypes.c_void_p(handle), b"none")
    for session in _sessions:
        try:
            text = session.summary()
        except Exception:
            text = f"sorlearn: no summary of solver '{session.name}':\n{traceback.format_exc()}"
        _print(text) if PETSc.Sys.isInitialized() else print(text, flush=True)


atexit.register(_at_exit)
