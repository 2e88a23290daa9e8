"""The guarded solver: an inner KSP whose trials are cut off before they cost more than the safe ω would."""

from __future__ import annotations

from contextlib import nullcontext
from time import perf_counter
from typing import Any

from petsc4py import PETSc

from ..errors import OptionError
from ..options import ArmSettings
from ..tuning.repeat import FOR_GOOD
from . import alive, delegate, reading, say, tolerances, usertest
from .arms import Arms
from .clib import Refusals, origin
from .heard import Heard
from .in_use import InUse
from .inner import new_inner
from .levels import leaving, left_by_error
from .pc import PC
from .turns import Turns


class KSP:
    """Runs the KSP given under the prefix `sorlearn_` and keeps its total cost near the safe ω's or below.

    Use it as `-ksp_type python -ksp_python_type sorlearn.KSP -sorlearn_ksp_type cg`.  The preconditioner is the outer
    KSP's, `sorlearn.PC` unless `-pc_type` says otherwise.  Tolerances, norm and side, convergence test, monitors, null
    spaces and initial guess are the outer KSP's, too.  With `-sorlearn_arms` there are several inner KSPs, each with a
    preconditioner of its own, and the cheapest is learned.

    Attributes
    ----------
    inner : petsc4py.PETSc.KSP or None
        The inner KSP, with arms that of the one in use.
    outer : petsc4py.PETSc.KSP or None
        The KSP that the application knows, during a solve.
    given : Tolerances
        The user's, during a solve.
    arms : Arms or None
        What `-sorlearn_arms` asks for.
    heard : Heard
        What the outer KSP has to say about the inner one's iterations.
    seconds : float
        What the inner KSP's last solve took.
    """

    def __init__(self) -> None:
        self.inner: Any = None
        self.arms: Arms | None = None
        self.outer: Any = None
        self.given = tolerances.Tolerances(1e-5, 1e-50, 1e4, 10000)
        self.seconds = 0.0
        self.heard = Heard()
        self._sor: Any = None
        self._former: Any = None  # what was the KSP's PC before it had arms, until it solves
        self._turns = Turns()
        self._transposed = False

    create = alive.created("_leave")

    def setFromOptions(self, ksp: Any) -> None:
        """Create the inner KSP, or the arms, and the preconditioner.  Collective."""
        prefix = ksp.getOptionsPrefix() or ""
        settings = reading.settings(ksp.comm, prefix, {}, ArmSettings)
        self._let_go(ksp)
        if settings.arms not in (None, "sor"):
            self.arms = Arms(ksp, settings, self._pc_of_sor(ksp, prefix), self._turns)
            self.inner = self.arms.in_use.ksp
        else:
            for name in ("monitor", "journal", "save", "load", "summary"):
                if getattr(settings, f"arms_{name}"):
                    say.once(ksp.comm, prefix, f"-{prefix}sorlearn_arms_{name} has no effect without arms beside sor; "
                             f"remedy: -{prefix}pc_sorlearn_{name}")  # fmt: skip
            pc = ksp.getPC()
            if not (PETSc.Options(prefix).hasName("pc_type") or _tuner(pc)):
                pc.setType("python")
                pc.setPythonContext(PC())
                pc.setFromOptions()
            self.inner = new_inner(ksp, pc)
            if self.inner.getType() == "python" and isinstance(self.inner.getPythonContext(), KSP):
                raise OptionError(f"-{prefix}sorlearn_ksp_type python: a guarded solver can't be in another one; "
                                  f"remedy: -{prefix}sorlearn_ksp_type cg, gmres, ...")  # fmt: skip
        delegate.copy_norms(self.inner, ksp)
        delegate.stand_for(ksp, self.inner)
        self._turns.attach(ksp)

    def _pc_of_sor(self, ksp: Any, prefix: str) -> Any:
        """The PC of the arm `sor`, which has the outer solver's prefix; in its place stands one for all arms."""
        pc = ksp.getPC()
        if _tuner(pc):
            self._sor = pc
        elif self._sor is None:
            if PETSc.Options(prefix).hasName("pc_type"):
                say.once(ksp.comm, prefix, f"-{prefix}pc_type has no effect beside -{prefix}sorlearn_arms; "
                         f"remedy: name it among the arms")  # fmt: skip
            self._sor = PETSc.PC().create(ksp.comm)
            self._sor.setOptionsPrefix(prefix)
            self._sor.setType("python")
            self._sor.setPythonContext(PC())
        stand_in = PETSc.PC().create(ksp.comm)
        stand_in.setOptionsPrefix(f"{prefix}sorlearn_in_use_")
        stand_in.setType("python")
        stand_in.setPythonContext(InUse(self))
        if delegate.has_operators(pc):
            stand_in.setOperators(*pc.getOperators())
        if pc.getDM():
            stand_in.setDM(pc.getDM())
        alive.enter(stand_in)
        ksp.setPC(stand_in)
        self._forget_former()
        if pc is not self._sor:
            self._former = pc  # a KSPSetUp that has led here may go on with it
        return self._sor

    def _forget_former(self) -> None:
        if self._former is not None:
            self._former.destroy()  # PETSc 3.18 would keep what only Python has let go of
        self._former = None

    def setUp(self, ksp: Any) -> None:
        """Have an inner KSP.  Collective."""
        if self.inner is None:
            self.setFromOptions(ksp)
        if self.arms is None:
            self._follow_pc(ksp)

    def _follow_pc(self, ksp: Any) -> None:
        """Solve with the outer KSP's preconditioner, which may be another one by now."""
        pc = ksp.getPC()
        if pc != self.inner.getPC():
            self.inner.setPC(pc)
        tuner = _tuner(pc)
        if tuner:
            tuner.guarded = True

    def solve(self, ksp: Any, b: Any, x: Any) -> None:
        """Solve with the inner KSP, or an arm.  Collective."""
        self._run(ksp, b, x, transposed=False)

    def solveTranspose(self, ksp: Any, b: Any, x: Any) -> None:
        """Solve the transposed system with the inner KSP, or the first arm.  Collective."""
        self._run(ksp, b, x, transposed=True)

    def _run(self, ksp: Any, b: Any, x: Any, transposed: bool) -> None:
        self._forget_former()
        self.given, guess = tolerances.read(ksp), ksp.guess_nonzero
        self.outer, self._transposed = ksp, transposed
        self.heard.begin(ksp)
        failure: BaseException | None = None
        try:
            if self.arms is None:
                self._turns.take_back()
                self._follow_pc(ksp)
                self.solve_with(self.inner, b, x)
                iterations = self.inner.getIterationNumber()
                if self._turns.attached and self.heard.says_the_same(self.inner):
                    self._turns.hand_over(ksp, self.inner, b, left=FOR_GOOD, most=FOR_GOOD, tighten=0.0, judged=False)
            else:
                iterations = self.arms.solve(self, b, x, transposed)
        except BaseException as error:
            if self.arms is not None:
                left_by_error(ksp)
            if not isinstance(error, PETSc.Error):
                raise
            failure = origin(error)
        finally:
            self.outer = None
            self.heard.end()
            tolerances.write(ksp, rtol=self.given.rtol, atol=self.given.atol)
            ksp.setInitialGuessNonzero(guess)
        if failure:
            ksp.setIterationNumber(self.inner.getIterationNumber())
            try:
                raise failure
            finally:
                failure = None  # its traceback would keep this frame, and all in it, until nobody knows when
        ksp.setIterationNumber(iterations)
        delegate.set_residual_norm(ksp, self.inner.getResidualNorm())
        ksp.setConvergedReason(self.inner.getConvergedReason())

    def solve_with(self, inner: Any, b: Any, x: Any, *, limit: int = 0, tighten: float = 0.0,
                   rtol: float | None = None, nonzero: bool | None = None, may_refuse: bool = False
                   ) -> bool:  # fmt: skip
        """Run an inner KSP for the outer one; returns whether it was cut off.  Collective.

        Parameters
        ----------
        limit : int
            Iterations after which it is cut off; 0 for no limit.
        tighten : float
            Decimal digits by which the user's tolerances are tightened.
        rtol : float, optional
            In place of the user's.
        nonzero : bool, optional
            Whether to begin with what is in x; as the user has it where it isn't given.
        may_refuse : bool
            Whether its errors are nobody else's; where the application is heard in it, they may be the application's.
        """
        self.inner = inner
        delegate.hand_to(self.outer, inner)
        self._hand_on(inner, limit, tighten, rtol, self.outer.guess_nonzero if nonzero is None else nonzero)
        usertest.outer_of[inner.handle] = self.outer.handle
        began = perf_counter()
        try:
            listens = Refusals() if may_refuse and self.heard.says_the_same(inner) else nullcontext()
            with leaving(inner, self.outer), listens:
                (inner.solveTranspose if self._transposed else inner.solve)(b, x)
        finally:
            del usertest.outer_of[inner.handle]
            self.seconds = perf_counter() - began
        delegate.set_residual_norm(self.outer, inner.getResidualNorm())  # where PETSc's own test has shown nothing
        return self.heard.cuts(inner)

    def _hand_on(self, inner: Any, limit: int, tighten: float, rtol: float | None, nonzero: bool) -> None:
        """Settings that the user may have changed; PETSc doesn't call setUp for them."""
        ksp, scale = self.outer, 10.0**-tighten
        inner.setOperators(*ksp.getOperators())
        inner.setNormType(ksp.getNormType())
        inner.setPCSide(ksp.getPCSide())
        inner.setComputeSingularValues(ksp.getComputeSingularValues())
        delegate.copy_curvature(ksp, inner)
        inner.setInitialGuessNonzero(nonzero)
        given = self.given if rtol is None else self.given._replace(rtol=rtol)
        if tighten:
            given = given._replace(rtol=given.rtol * scale, atol=given.atol * scale)
        tolerances.write(inner, *given._replace(max_it=self.heard.put_to(inner, limit, given.max_it)))

    def buildResidual(self, ksp: Any, t: Any, v: Any) -> None:
        """v = b − Ax of the inner iterate.  Collective."""
        self.inner.buildResidual(v)

    def view(self, ksp: Any, viewer: Any) -> None:
        """Show the inner KSP below the outer one, to those who read text."""
        if self.inner is not None and viewer.getType() == PETSc.Viewer.Type.ASCII:
            self.inner.view(viewer)

    def reset(self, ksp: Any) -> None:
        """Let go of the operators."""
        self._forget_former()
        if self.arms is not None:
            self.arms.reset()
        elif self.inner is not None:
            self._turns.take_back()
            self.inner.reset()

    def destroy(self, ksp: Any) -> None:
        """Destroy the inner KSP, or the arms."""
        self._let_go(ksp)
        alive.leave(ksp)
        self._forget_former()
        if self._sor is not None:
            self._sor.destroy()
            self._sor = None

    def _leave(self) -> None:
        if self.arms is not None:
            self.arms.leave()

    def _let_go(self, ksp: Any) -> None:
        self._turns.detach(ksp)
        delegate.stand_alone(ksp)
        if self.inner is not None:
            delegate.forget_norms(ksp)
        if self.arms is not None:
            self.arms.destroy()
        elif self.inner is not None:
            self._turns.take_back()
            self.inner.destroy()
        self.inner, self.arms = None, None
        self.heard.forget()


def _tuner(pc: Any) -> PC | None:
    """The sorlearn.PC in this PC, if there is one."""
    context = pc.getPythonContext() if pc.getType() == "python" else None
    return context if isinstance(context, PC) else None
