"""The contract between a session and the algorithm that chooses its relaxation factors.

A learner is pure numpy: it knows neither PETSc nor MPI.  Before each solve the session calls
:meth:`Learner.choose`, after it :meth:`Learner.update` with what the solve cost.  Both take constant time and
a learner takes constant memory, however long the run.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import inf
from typing import Any, ClassVar, NamedTuple

import numpy as np

from ..errors import StateError
from .course import Course
from .state import Remembers


class Space(NamedTuple):
    """What a learner may choose from and what it is told beforehand.

    Attributes
    ----------
    omega : float
        The safe relaxation factor, in (0, 2): the one to start from and to fall back to.
    omega_min, omega_max : float
        Closed range of the choices, inside (0, 2).
    num_omegas : int
        Number of arms of the learners that work on a grid: ``linspace(omega_min, omega_max, num_omegas)``.
    context_min, context_max : float or None
        Range of a scalar user context; learners that need one say so in `needs_context_range`.
    context_bins : int
        Number of bins of the learners that split that range.
    least : float
        The loss of a solve that takes the least effort possible: 1 when losses are iteration counts (the
        paper charges k − 1), 0 for every other cost.
    """

    omega: float = 1.0
    omega_min: float = 1.0
    omega_max: float = 1.95
    num_omegas: int = 20
    context_min: float | None = None
    context_max: float | None = None
    context_bins: int = 5
    least: float = 1.0

    def grid(self) -> np.ndarray:
        """The arms, shape (num_omegas,)."""
        return np.linspace(self.omega_min, self.omega_max, self.num_omegas)


class MatrixFeatures(NamedTuple):
    """The matrix of the coming solve, and how well it is to be solved.

    Attributes
    ----------
    rho : float
        Largest 1 − row sum/diagonal over the rows, at least 0: stands in for Jacobi's spectral radius.
    rho_mean : float
        Its mean.
    skew : float
        ½ log(Σ|lower|/Σ|upper|); 0 for a symmetric matrix.
    digits : float
        Decimal digits that the KSP's rtol asks for; 0 where it asks for none.
    novelty : float
        Solves since the matrix last changed, at most 8.
    """

    rho: float
    rho_mean: float
    skew: float = 0.0
    digits: float = 0.0
    novelty: float = 0.0


class Context(NamedTuple):
    """What is known of a solve before it starts: features of its matrix, the user's own numbers, or neither.

    Attributes
    ----------
    matrix : MatrixFeatures or None
        None where the learner doesn't read the matrix, where it can't be read, and where the user's numbers are given.
    user : tuple of float
        The user's numbers, empty where there are none; they need not be finite.
    """

    matrix: MatrixFeatures | None = None
    user: tuple[float, ...] = ()

    @property
    def number(self) -> float | None:
        """What stands for the context where only one number can: the user's first, else ρ, else None."""
        if self.user:
            return self.user[0]
        return None if self.matrix is None else self.matrix.rho

    @property
    def numbers(self) -> tuple[float, ...]:
        """All that is known, in a row."""
        return self.user or (() if self.matrix is None else tuple(self.matrix))


#: Of a solve of which nothing is known.
NO_CONTEXT = Context()


class Choice(NamedTuple):
    """One decision of a learner.

    Attributes
    ----------
    omega : float
        The relaxation factor to solve with.
    index : int
        Its arm, or -1 where the learner has no grid.
    propensity : float
        Probability with which it was drawn, in (0, 1].
    explored : bool
        Whether something else looked cheaper when it was drawn.
    context : Context
        What was known before the solve; :meth:`Learner.update` needs it again.
    """

    omega: float
    index: int = -1  # type: ignore[assignment]  # hides tuple.index, which nobody needs of a choice
    propensity: float = 1.0
    explored: bool = False
    context: Context = NO_CONTEXT


class Learner(Remembers, ABC):
    """One algorithm that chooses ω.  Subclasses implement `_choose` and `_update` and name what they remember.

    Parameters
    ----------
    space : Space
        What there is to choose from.
    seed : int
        Seed of the learner's own generator: same seed and same losses, same choices.
    """

    name: ClassVar[str]
    #: Losses the algorithm is made for; the session never passes any other.
    loss_range: ClassVar[str] = "finite, at least Space.least"
    #: Range of ω when the user gives none.
    default_range: ClassVar[tuple[float, float]] = (1.0, 1.95)
    #: Whether context_min and context_max must be given.
    needs_context_range: ClassVar[bool] = False
    #: Whether it heeds features of the matrix where the user gives no context.
    reads_matrix: ClassVar[bool] = False
    #: How many numbers of a user's context it heeds; None for all.
    context_numbers: ClassVar[int | None] = None
    #: Whether its model of costs is smooth in ω: it is then told of iterations as if they took as long at ω = 1 as
    #: elsewhere, and what they take is weighed without it.
    smooth: ClassVar[bool] = False
    #: Whether ω depends on what solves cost; otherwise there is nothing to measure, to guard or to cut off.
    learns: ClassVar[bool] = True
    #: Whether a decision may be repeated for solves that the learner never hears of.
    repeatable: ClassVar[bool] = False

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._remembered = ("rounds", "rng", *cls._remembered)

    def __init__(self, *, space: Space = Space(), seed: int = 0):
        self.space = space
        self.rounds = 0
        self.rng = np.random.Generator(np.random.PCG64(seed))
        self._first: Context | None = None

    def choose(self, context: Context = NO_CONTEXT) -> Choice:
        """Choose ω for the next solve, of which `context` is known."""
        return self._choose(context)

    def safe(self, context: Context) -> Choice | None:
        """The choice of the safe ω, which somebody else has made, and of which `update` may be told; None if it mayn't.

        Nothing is drawn.
        """
        return None

    def at_safe(self, choice: Choice, loss: float) -> float | None:
        """What a solve with `choice` that cost `loss` would have cost at the safe ω; None without a model of costs.

        Where it is the safe choice: what was predicted.  To be asked between `choose` and `update`.
        """
        return None

    def harder(self, context: Context) -> float:
        """Cost of a solve at the safe ω over that of the first solve of this run; 1 without a model of costs.

        To be asked between `choose`, with this context, and `update`.
        """
        if self._first is None:
            return 1.0
        choices = self.safe(self._first), self.safe(context)
        before, now = (self.at_safe(choice, 1.0) if choice is not None else None for choice in choices)
        return now / before if before and now else 1.0

    def excess(self, omega: float, choice: Choice) -> float:
        """Cost of a solve at another ω over that with `choice`, less 1; infinite without a model of costs.

        To be asked between `choose`, which returned it, and `update`.
        """
        return inf

    def course(self, omega: float, context: Context) -> Course | None:
        """How ω goes on from here while the matrix changes, where `omega` was chosen at `context`; None for not at all.

        Nothing is drawn or remembered.
        """
        return None

    def update(self, choice: Choice, loss: float) -> None:
        """Learn that the solve with `choice` cost `loss` (in `loss_range`); failed solves count, too."""
        if not self.rounds:
            self._first = choice.context
        self.rounds += 1
        self._update(choice, float(loss))

    @abstractmethod
    def _choose(self, context: Context) -> Choice: ...

    @abstractmethod
    def _update(self, choice: Choice, loss: float) -> None: ...

    def state(self) -> dict[str, Any]:
        """Everything learned, as plain arrays and numbers; `restore` on an equal learner continues the run."""
        return {"learner": self.name, "space": list(self.space), **super().state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` of a learner of the same kind and size returned.

        Raises
        ------
        StateError
            If the state is another algorithm's or another grid's; the learner is then unchanged.
        """
        if state.get("learner") != self.name:
            raise StateError(f"state of learner {state.get('learner')!r}, wanted {self.name!r}")
        space = state.get("space", list(self.space))  # older states don't say
        if not isinstance(space, list) or len(space) != len(self.space):
            raise StateError(f"state of learner {self.name!r} is damaged: its space is {space!r}")
        if apart := [name for name, old, new in zip(Space._fields, space, self.space) if old != new]:
            before, now = (", ".join(f"{name} {getattr(one, name)}" for name in apart)
                           for one in (Space(*space), self.space))  # fmt: skip
            raise StateError(f"state of a learner with {before}, wanted {now}")
        try:
            super().restore(state)
        except (KeyError, TypeError, ValueError) as error:
            raise StateError(f"state of learner {self.name!r} is damaged: {error!r}") from None
