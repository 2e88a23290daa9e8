"""KSPs that solve the same systems, each with somebody else choosing its ω; PETSc does all the iterating."""

from __future__ import annotations

from itertools import count
from time import thread_time
from typing import Any, NamedTuple

import numpy as np
from petsc4py import PETSc

from sorlearn.learners import NO_CONTEXT, Context, Learner, Space, learner_class

#: The paper's stopping rule, ‖r‖ ≤ 1e-8 ‖b‖, with CG and SSOR (PETSc's default sweeps).
CG = {"ksp_type": "cg", "pc_type": "sor"}
#: Stationary SOR.  PETSc leaves all of `-ksp_max_it` sweeps, untested, to PCSOR unless Richardson's scale differs from
#: 1; the next number does, and changes residuals by rounding only.
SOR = {"ksp_type": "richardson", "ksp_richardson_scale": "1.0000000000000002", "pc_type": "sor", "pc_sor_forward": ""}
#: What turns sorlearn on instead.
LEARNED = {"pc_type": "python", "pc_python_type": "sorlearn.PC"}
#: Grid of the paper's learners.
ARMS = np.linspace(1.0, 1.95, 20)
MAX_IT = 100_000
_number = count()


class Solved(NamedTuple):
    """What a solve took."""

    iterations: int
    seconds: float
    omega: float


def space(low: float | None = None, high: float | None = None, bins: int = 5, arms: int = len(ARMS)) -> Space:
    """The paper's grid of ω, and the range of the context where there is one."""
    return Space(num_omegas=arms, context_min=low, context_max=high, context_bins=bins)


def learner(name: str, seed: int, space: Space) -> Learner:
    """One of sorlearn's."""
    return learner_class(name)(space=space, seed=seed)


class Contender:
    """A KSP under a prefix of its own.

    Parameters
    ----------
    options : dict
        PETSc options without the prefix, `CG` or `SOR` and what differs; `pc_sor_omega` for a fixed ω.
    learner : Learner, optional
        Chooses ω of PETSc's own SOR before every solve, and is told its iterations, as in the paper.
    guess : bool
        Whether solves start from what they are given.
    most : int, optional
        Iterations after which a solve ends, which is then what it took.
    """

    def __init__(
        self, options: dict[str, Any], learner: Learner | None = None, guess: bool = False, most: int | None = None
    ):
        self.prefix = f"paper{next(_number)}_"
        self.options = PETSc.Options(self.prefix)
        for name, value in options.items():
            self.options[name] = value
        self.learner, self.most = learner, most
        self.ksp = PETSc.KSP().create(PETSc.COMM_SELF)
        self.ksp.setOptionsPrefix(self.prefix)
        self.ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
        self.ksp.setTolerances(rtol=1e-8, atol=1e-50, divtol=1e30, max_it=most or MAX_IT)
        self.ksp.setInitialGuessNonzero(guess)
        self.ksp.setFromOptions()
        self.pc = self.ksp.getPC()
        self.plugin = self.pc.getPythonContext() if options["pc_type"] == "python" else None
        self.fixed = float(options.get("pc_sor_omega", 1.0))
        self._known = options

    #: Seconds that this thread has worked: what a clock on the wall says where nobody disturbs it.
    now = staticmethod(thread_time)

    def set_omega(self, omega: float) -> None:
        """Give PETSc's own SOR another ω."""
        self.fixed = omega
        self.options["pc_sor_omega"] = repr(float(omega))
        self.pc.setFromOptions()

    def solve(self, A: Any, b: Any, x: Any, context: Context = NO_CONTEXT) -> Solved:
        """Solve A x = b, x being the guess where it is one; the seconds include choosing and learning.

        Raises
        ------
        RuntimeError
            If the KSP doesn't converge and no `most` was given.
        """
        ksp = self.ksp
        ksp.setOperators(A)
        began = self.now()
        if self.learner is not None:
            choice = self.learner.choose(context)
            self.set_omega(choice.omega)
        elif self.plugin is not None and context.user:
            self.plugin.context = context.user
        ksp.solve(b, x)
        if self.learner is not None:
            self.learner.update(choice, ksp.its)
        seconds = self.now() - began
        if ksp.reason < 0 and self.most is None:
            raise RuntimeError(f"no convergence at ω = {self.omega}: reason {ksp.reason} after {ksp.its} iterations")
        return Solved(ksp.its if ksp.reason > 0 else self.most, seconds, self.omega)

    @property
    def omega(self) -> float:
        """ω of the last solve."""
        return self.plugin.omega if self.plugin is not None else self.fixed

    def destroy(self) -> None:
        self.ksp.destroy()
        for name in self._known:
            self.options.delValue(name)
        self.options.delValue("pc_sor_omega")


class Costs:
    """What one system costs at any ω of PETSc's own SOR; it is solved at every ω but once.

    Parameters
    ----------
    native : Contender
    A, b, x : petsc4py.PETSc.Mat, Vec, Vec
        The system, and where its answers go.
    guess : petsc4py.PETSc.Vec, optional
        What solves start from.
    """

    def __init__(self, native: Contender, A: Any, b: Any, x: Any, guess: Any = None):
        self.native, self.system, self.guess = native, (A, b, x), guess
        self.solved: dict[float, Solved] = {}

    def __call__(self, omega: float) -> Solved:
        if omega not in self.solved:
            if self.guess is not None:
                self.guess.copy(self.system[2])
            self.native.set_omega(omega)
            self.solved[omega] = self.native.solve(*self.system)
        return self.solved[omega]


def vector(values: np.ndarray) -> Any:
    """A sequential Vec of these values."""
    return PETSc.Vec().createWithArray(np.array(values, dtype=float), comm=PETSc.COMM_SELF)


def matrix(A: Any) -> Any:
    """A sequential AIJ matrix of a sparse one."""
    A = A.tocsr()
    return PETSc.Mat().createAIJ(A.shape, csr=(A.indptr, A.indices, A.data), comm=PETSc.COMM_SELF)
