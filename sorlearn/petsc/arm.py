"""The kinds of arms: `sorlearn.PC`, Eisenstat's form of it, and any other PC of PETSc, kept by `sorlearn.Lag`."""

from __future__ import annotations

import ctypes
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from math import log10
from typing import Any

from petsc4py import PETSc

from ..errors import MatrixError
from ..tuning.record import MET, Outcome, Solve
from . import tolerances
from .beforehand import Definite, pattern
from .clib import library
from .database import all_options, value_of
from .lag import Lag
from .locks import writable
from .pc import PC
from .wrapped import reuses

#: Types that factorise the matrix as a symmetric positive definite one.
_DEFINITE = ("icc", "cholesky")
#: What stands before the options of the solver inside that may factorise completely, and its usual type.
_INSIDE = {"redundant": ("redundant_", "lu"), "mg": ("mg_coarse_", "lu"), "gamg": ("mg_coarse_sub_", "lu"),
           "bjacobi": ("sub_", "ilu"), "asm": ("sub_", "ilu")}  # fmt: skip
#: Orderings that search for ever where a pattern isn't what it was declared to be.
_SEARCHING = ("nd", "qmd")


class Arm(ABC):
    """One KSP with its preconditioner; collective in all it does.  A further kind of arm is a further subclass.

    Attributes
    ----------
    name, kind : str
        Its options follow ``<prefix>sorlearn_<name>_``; its type of preconditioner.
    pc, ksp : petsc4py.PETSc.PC and petsc4py.PETSc.KSP
        The latter is to be assigned.
    last : int
        The solve in which it was played.
    limit : int
        Iterations after which the coming solve is cut off, as `set_up` says; 0 for no limit.
    """

    #: Whether its ω is learned; whether it solves as it would without Python around.
    tunes = quiet = False

    def __init__(self, name: str, kind: str, pc: Any) -> None:
        self.name, self.kind, self.pc = name, kind, pc
        self.ksp: Any = None
        self.last = self.limit = 0
        self._timed: PC | Lag | None = None  # what Python does of it

    def set_up(self, outer: Any) -> None:
        """Have a set-up for the matrix at hand, or one that is kept; raises what PETSc has against it."""
        if self._timed:
            self._timed.undisturbed = None
        if (wanted := outer.getComputeSingularValues()) != self.ksp.getComputeSingularValues():
            self.ksp.reset()  # what it takes is made in KSPSetUp
            self.ksp.setComputeSingularValues(wanted)
            tolerances.write(self.ksp, max_it=outer.max_it)
        self.ksp.setOperators(*outer.getOperators())
        self.pc.setReusePreconditioner(reuses(outer.getPC()))
        dm = outer.getPC().getDM()  # a KSP would make one
        if dm:
            self.pc.setDM(dm)
        self.ksp.setUp()

    @property
    def omega(self) -> float | None:
        """The relaxation factor, where there is one."""
        return None

    @property
    def ready(self) -> bool:
        """Whether it can be applied: what was learned of it outlives its set-up."""
        return True

    @property
    def set_ups(self) -> tuple[int, float]:
        """How many there have been, and the seconds that they took on this rank."""
        return 0, 0.0

    @property
    def renews(self) -> bool:
        """Whether every matrix is set up for."""
        return False

    @property
    def undisturbed(self) -> float | None:
        """Seconds of its last solve without what Python did before and after it; None where it did nothing, or more."""
        return self._timed.undisturbed if self._timed else None

    @abstractmethod
    def apply_as_safe(self, P: Any, r: Any, z: Any) -> None:
        """z = M⁻¹r, as the user configured this arm."""

    def rest(self, omega: float | None) -> None:
        """Solve with this ω and learn nothing, until told to go on (None)."""
        return

    def solving(self, b: Any) -> AbstractContextManager[Any]:
        """What goes on around its solve with this right-hand side."""
        return nullcontext()

    def ended(self, seconds: float, failed: bool, cut: bool) -> None:
        """Its solve took this long, and may have been cut off."""
        return

    def let_go(self) -> None:
        """Free what belongs to the matrix."""
        self.ksp.reset()

    def destroy(self) -> None:
        """The end of it."""
        self.ksp.destroy()
        self.pc.destroy()

    @abstractmethod
    def words(self, prefix: str) -> str:
        """The options of its PC, if it were alone."""


class TunedArm(Arm):
    """SOR with a learned ω; the PC is lent."""

    tunes = True

    def __init__(self, name: str, pc: Any) -> None:
        super().__init__(name, "sor", pc)
        self._tuner: PC = pc.getPythonContext()
        self._timed = self._tuner
        self._tuner.guarded = self._tuner.arm = True
        self._tuner.setFromOptions(pc)

    @property
    def omega(self) -> float | None:
        return self._tuner.omega

    @property
    def omega_safe(self) -> float:
        """The one that it was configured with."""
        return self._tuner.omega_safe

    def apply_as_safe(self, P: Any, r: Any, z: Any) -> None:
        self._tuner.apply_safe(P, r, z)

    def rest(self, omega: float | None) -> None:
        self._tuner.rest(omega)

    def destroy(self) -> None:
        self.ksp.destroy()

    def words(self, prefix: str) -> str:
        return f"-{prefix}pc_type python -{prefix}pc_python_type sorlearn.PC"


class EisenstatArm(Arm):
    """Eisenstat's form of symmetric SOR, in which a sweep spares the multiplication; ω is `sorlearn.PC`'s.

    But for the norm it is symmetric SOR, so that its iterations say of ω what those of SOR would say.  S. Eisenstat,
    *Efficient implementation of a class of preconditioned conjugate gradient methods*, SIAM J. Sci. Stat. Comput. 2
    (1981).
    """

    tunes = True

    def __init__(self, name: str, own: str, sor: Any) -> None:
        if sor.comm.getSize() > 1:
            raise MatrixError("Eisenstat's form is for one rank only")
        pc = _new_pc(sor.comm, own, "eisenstat")
        pc.setFromOptions()
        super().__init__(name, "eisenstat", pc)
        self._tuner: PC = sor.getPythonContext()
        self._resting: float | None = None
        self._omega = 1.0
        self._kept: Any = None

    @property
    def omega(self) -> float | None:
        return self._omega

    def rest(self, omega: float | None) -> None:
        self._resting = omega

    def set_up(self, outer: Any) -> None:
        super().set_up(outer)
        self.limit, self._omega = 0, self._resting or 1.0
        if self._resting is None:
            decision = self._tuner.lend(self.ksp, outer.getOperators()[1])
            self._omega, self.limit = decision.omega, int(decision.limit)
        library().PCEisenstatSetOmega(ctypes.c_void_p(self.pc.handle), ctypes.c_double(self._omega))

    @contextmanager
    def solving(self, b: Any) -> Iterator[None]:
        """PCEISENSTAT changes b, which newer PETScs keep from being written, for as long as it solves."""
        if self._kept is None:
            self._kept = b.duplicate()
        b.copy(self._kept)
        with writable(b):
            try:
                yield
            except BaseException:  # PCEISENSTAT gives b and the matrix back after a solve that ends well only
                self._kept.copy(b)
                self._take_back()
                raise

    def _take_back(self) -> None:
        """The matrix, in whose place PCEISENSTAT has put its own, with no reference to either."""
        own, matrix = self.pc.getOperators()
        if own != matrix:
            own.incRef()
            self.ksp.setOperators(matrix, matrix)
            matrix.decRef()

    def let_go(self) -> None:
        super().let_go()
        if self._kept is not None:
            self._kept.destroy()
        self._kept = None

    def ended(self, seconds: float, failed: bool, cut: bool) -> None:
        iterations, reason, rtol = self.ksp.getIterationNumber(), self.ksp.getConvergedReason(), self.ksp.rtol
        if self._resting is None and not (cut and iterations != self.limit):  # a trial of the arm says nothing of ω
            worked = self._tuner.omega_safe if failed else 0.0
            outcome = Outcome(iterations, reason if failed else MET[0], failed, failed, worked, alone=iterations)
            self._tuner.learn(Solve(outcome, asked=-log10(rtol) if 0.0 < rtol < 1.0 else 8.0, seconds=seconds))

    def apply_as_safe(self, P: Any, r: Any, z: Any) -> None:
        self._tuner.apply_safe(P, r, z)

    def words(self, prefix: str) -> str:
        learned = f"-{prefix}pc_type python -{prefix}pc_python_type sorlearn.PC"
        return f"{learned} -{prefix}pc_sorlearn_pc_type eisenstat"


class KeptArm(Arm):
    """Any PC of PETSc, whose set-up is kept while that pays."""

    quiet = True

    def __init__(self, name: str, own: str, kind: str, comm: Any) -> None:
        _new_pc(PETSc.COMM_SELF, own, kind).destroy()  # raises PETSc's error where there is no such type
        super().__init__(name, kind, _new_pc(comm, own, "python"))
        self._definite = Definite() if kind in _DEFINITE else None
        stem, inside = _INSIDE.get(kind, ("", kind))
        complete = (value_of(f"{own}{stem}pc_type") or inside) in ("cholesky", "lu")
        self._ordering = f"{own}{stem}pc_factor_mat_ordering_type"
        self._searches = (value_of(self._ordering) or ("nd" if complete else "natural")) in _SEARCHING
        self._lag = self._timed = Lag(stem="", kind=kind, check=self._check)
        self._lag.guarded = True
        self.pc.setPythonContext(self._lag)
        self._lag.setFromOptions(self.pc)
        self._own = own

    def _check(self, P: Any) -> None:
        """Raise MatrixError where a set-up might never end.  Collective."""
        if self._definite is not None:
            self._definite.check(P)
        if self._searches:
            pattern(P, self._ordering)

    @property
    def set_ups(self) -> tuple[int, float]:
        return self._lag.set_ups

    @property
    def renews(self) -> bool:
        return self._lag.renews

    @property
    def ready(self) -> bool:
        return self._lag.ready

    def apply_as_safe(self, P: Any, r: Any, z: Any) -> None:
        self._lag.apply_kept(r, z)

    def let_go(self) -> None:
        super().let_go()
        if self._definite is not None:
            self._definite.reset()

    def words(self, prefix: str) -> str:
        text = f"-{prefix}pc_type python -{prefix}pc_python_type sorlearn.Lag -{prefix}lag_pc_type {self.kind}"
        for option, value in sorted(all_options().items()):
            rest = option[len(self._own) :]
            if option.startswith(self._own) and not rest.startswith("ksp_") and rest != "pc_type":
                text += f" -{prefix}{'' if rest.startswith('lag_') else 'lag_'}{rest} {value or ''}".rstrip()
        return text


def new_arm(outer: Any, prefix: str, name: str, sor: Any) -> Arm:
    """The arm of this name, without its KSP.

    Raises
    ------
    petsc4py.PETSc.Error, MatrixError
        If this PETSc doesn't have it, or not for so many ranks.
    """
    own = f"{prefix}sorlearn_{name}_"
    kind = value_of(f"{own}pc_type")
    if name == "sor" and not kind:
        return TunedArm(name, sor)
    if (kind or name) == "eisenstat":
        return EisenstatArm(name, own, sor)
    return KeptArm(name, own, kind or name, outer.comm)


def _new_pc(comm: Any, prefix: str, kind: str) -> Any:
    pc = PETSc.PC().create(comm)
    pc.setOptionsPrefix(prefix)
    try:
        pc.setType(kind)
    except Exception:  # PETSc's, or petsc4py's of a type that isn't UTF-8
        pc.destroy()
        raise
    return pc
