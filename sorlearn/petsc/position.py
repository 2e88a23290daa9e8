"""Where a solver stands: on its own, or inside the preconditioner of another one.

Krylov methods rely on a preconditioner that stays what it is; flexible ones don't.  PETSc doesn't tell a KSP who
calls it, so the call stack is asked, and for the caller's type the options.
"""

from __future__ import annotations

import ctypes
import re
from functools import lru_cache
from typing import Any, NamedTuple

from petsc4py import PETSc

from .clib import PetscBool, address, callers, convergence_test, has, library, name_at
from .context import identity
from .database import value_of
from .usertest import test_of

#: Outer KSP types that bear a preconditioner which changes from one application to the next.
FLEXIBLE = ("fgmres", "pipefgmres", "gcr", "pipegcr", "fcg", "pipefcg", "richardson", "preonly")
#: KSP types for symmetric positive definite matrices.
DEFINITE = ("cg", "groppcg", "pipecg", "pipecgrr", "pipecg2", "pipelcg", "pipeprcg", "fcg", "pipefcg", "nash", "stcg",
            "gltr")  # fmt: skip
#: KSP types that apply the preconditioner once, and those that stop at a trust region.
_ONCE, _TRUST_REGION = ("preonly", "none"), ("nash", "stcg", "gltr", "qcg")
_NO_NORM = int(PETSc.KSP.NormType.NONE)
_FRAMES = 256
_SOLVES = (b"KSPSolve", b"KSPSolveTranspose")
_FUNCTION, _NONLINEAR = b"SNESComputeFunction", b"SNESSolve"


@lru_cache(maxsize=4096)
def _known_at(place: int) -> bytes:
    """Which of these functions this return address lies in, if any; there are few, and looking one up takes 10 µs."""
    name = name_at(place)
    return name if name in (*_SOLVES, _FUNCTION, _NONLINEAR) else b""


def under_way() -> list[bytes]:
    """What a KSP may solve inside of: these functions on this process's call stack, the innermost first.

    None where that can't be told.
    """
    return [name for place in callers(_FRAMES) if (name := _known_at(place))]


def _solves() -> list[bytes]:
    """The KSP solves under way, the innermost first."""
    return [name for name in under_way() if name in _SOLVES]


def depth() -> int:
    """Number of KSP solves under way in this process, one inside the other; 1 where that can't be told."""
    return max(len(_solves()), 1)


def solves_transposed() -> bool:
    """Whether the innermost KSP solve under way is KSPSolveTranspose."""
    return _solves()[:1] == [b"KSPSolveTranspose"]


def inside_unflexible(prefix: str, outermost: int = 1) -> bool:
    """Whether a KSP that is solving now is inside another one that isn't known to be flexible.

    Parameters
    ----------
    prefix : str
        Of the KSP.  `-pc_type ksp`, bjacobi and asm append to the outer one's prefix, which leads to its type.
    outermost : int
        Depth of a solver that is on its own.
    """
    for _ in range(depth() - outermost):
        inner = re.fullmatch("(.*?)(?:ksp|sub)_", prefix)
        if not inner:
            return True
        prefix = inner[1]
        if value_of(f"{prefix}ksp_type") not in FLEXIBLE:
            return True
    return False


def nobody_tests(prefix: str) -> bool:
    """Whether solvers around one of this prefix apply a preconditioner once, as far as options tell."""
    words = prefix.split("_")[:-1]
    outer = ["".join(f"{word}_" for word in words[:i]) for i in range(len(words))]
    kinds = [kind for stem in outer if (kind := value_of(f"{stem}ksp_type"))]
    return bool(kinds) and all(kind in _ONCE for kind in kinds)


def scales(ksp: Any) -> bool:
    """Whether the KSP scales its systems for as long as it solves (`-ksp_diagonal_scale`): a repeat would once more."""
    scaled = PetscBool(0)
    if has("KSPGetDiagonalScale"):  # 3.26 doesn't
        library().KSPGetDiagonalScale(ctypes.c_void_p(ksp.handle), ctypes.byref(scaled))
    return bool(scaled.value)


def estimates_eigenvalues(ksp: Any) -> bool:
    """Whether this is the KSP by which a Chebyshev iteration estimates eigenvalues: the safe ω's must serve all."""
    return "esteig_" in (ksp.getOptionsPrefix() or "")


class Asked:
    """What a question about a KSP's solves has been asked of: it is asked again where any of that has changed."""

    def __init__(self) -> None:
        self._of: tuple[Any, ...] = ()

    @property
    def never(self) -> bool:
        """Whether it is still to be asked."""
        return not self._of

    def forget(self) -> None:
        """Ask again."""
        self._of = ()

    def anew(self, ksp: Any, around: list[bytes], *more: Any) -> bool:
        """Whether it is to be asked of this KSP as it is now: its norm, type and test, what it solves inside of."""
        before, test = self._of, convergence_test(ksp.handle)[0]
        self._of = identity(ksp), int(ksp.norm_type), ksp.getType(), test, tuple(around), *more
        return self._of != before


class Held(NamedTuple):
    """Why ω is held, and what the user can do about it; `{p}` there is the solver's prefix."""

    why: str
    remedy: str

    def remedy_for(self, prefix: str) -> str:
        """As the user of this solver can type it."""
        return self.remedy.format(p=prefix)

    def told(self, prefix: str) -> str:
        """All of it."""
        return f"{self.why}; remedy: {self.remedy_for(prefix)}"


ITERATES_NOT = Held("{} does not iterate to a tolerance here", "sorlearn.PC on a solver that tests for convergence")
TRUST_REGION = Held("solves end at a trust region, which says nothing of omega",
                    "a line search (-{p}snes_type newtonls)")  # fmt: skip
NESTED = Held("inside another KSP whose -ksp_type isn't known to be flexible",
              "-ksp_type fgmres, gcr or fcg for the outer one")  # fmt: skip
FUNCTION = Held("inside the function of a nonlinear solver, whose differences another omega would spoil",
                "another omega to be held (-{p}pc_sorlearn_omega)")  # fmt: skip
QUASI_NEWTON = Held("a quasi-Newton method takes all its solves for one and the same map",
                    "another omega to be held (-{p}pc_sorlearn_omega)")  # fmt: skip
IN_GUARD = Held("the guarded solver's inner KSP decides", "-{p}ksp_type cg, gmres, ...")
SMALL = Held("systems are so small that a Krylov method ends by itself", "none is needed")
SCALED = Held("-ksp_diagonal_scale forbids repeating a solve", "leave it out: SOR scales by the diagonal itself")


def why_held(ksp: Any, guarded: bool, kind: str | None = None) -> Held | None:
    """Why a choice of ω can't be judged by this solve of the KSP; None where it can.  Not collective.

    Parameters
    ----------
    guarded : bool
        Whether the KSP is the inner one of `sorlearn.KSP`.
    kind : str, optional
        Type of the KSP that iterates for this one; its own if it does that itself.
    """
    kind, test, prefix = kind or ksp.getType(), test_of(ksp), ksp.getOptionsPrefix() or ""
    if int(ksp.norm_type) == _NO_NORM or kind in _ONCE or test.function == address("KSPConvergedSkip"):
        return ITERATES_NOT._replace(why=ITERATES_NOT.why.format(kind))
    around = under_way()
    if kind in _TRUST_REGION or (test.foreign and _NONLINEAR in around):  # alone it is the stub of a Fortran one
        return TRUST_REGION
    if guarded and kind == "python":
        return IN_GUARD
    if _FUNCTION in around:
        return FUNCTION
    if _NONLINEAR in around and value_of(f"{prefix}snes_type") == "qn":
        return QUASI_NEWTON
    if guarded:
        inside = inside_unflexible(re.sub(r"sorlearn_(\w+_)?$", "", prefix), outermost=2)
    else:
        inside = inside_unflexible(prefix)
    return NESTED if inside else None
