"""The seam between what is chosen and the ranks that act on it: rank 0 decides, everybody gets the action.

An action is a named tuple of numbers.  What they mean is known to the session that decides, to whoever applies them,
and to nobody here.  A further kind of choice is one further file: an action, a session, and a subclass.
"""

from __future__ import annotations

import sys
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from petsc4py import PETSc

from ..errors import SorlearnError
from ..records import told
from ..tuning.registry import Registry
from .clib import Refusals
from .collective import Comm
from .context import UNREADABLE, Features
from .say import complain

registry = Registry()
#: Where cleaning up has failed: PETSc 3.18 would destroy what is half destroyed once more, and crash.
_unclean: list[Any] = []


class Slot:
    """What outlives a solver and waits for the next of its kind; there is a session on rank 0 only.

    Attributes
    ----------
    stands : tuple of float
        What is left of the last decision, all that it takes to go on with it.
    """

    def __init__(self, session: Any, features: Features | None) -> None:
        self.session, self.features = session, features
        self.broken = features is None
        self.solves = 0
        self.stands: tuple[float, ...] = ()


class Deciding(ABC):
    """One solver's share in a sequence of decisions.

    An error inside is printed once, and from then on the action stands still, on all ranks.

    Parameters
    ----------
    prefix : str
        Options prefix of the solver.
    safe : NamedTuple
        The action that stands where nothing can be decided; all are numbers, two of which are meant here, too:
        `repeats`, the further solves that repeat the action, and `stopped`, whether deciding has stopped for good.

    Attributes
    ----------
    decision : NamedTuple
        The last action.
    left : int
        Solves that may repeat it.
    stopped, broken : bool
        Whether deciding has stopped for good; and whether that is because of an error on this rank.
    """

    #: Of `-log_view`.
    event: Any
    #: What has come to its end with an error, for the message.
    stops: str

    def __init__(self, prefix: str, safe: Any) -> None:
        self.prefix, self.decision = prefix, safe
        self.left = 0
        self.stopped = self.broken = False
        self._comm: Comm | None = None
        self._slot: Slot | None = None
        self._key: tuple[Any, ...] = ()

    @abstractmethod
    def _begin(self) -> tuple[Any, Features]:
        """A new session, which has `save`, and what it has seen of matrices; on rank 0."""

    def _standing_still(self) -> Any:
        """The action from now on, after an error."""
        return self.decision._replace(repeats=0.0, stopped=1.0)

    @property
    def alone(self) -> bool:
        """Whether there are no other ranks."""
        return self._comm is not None and self._comm.size == 1

    @property
    def session(self) -> Any:
        """What decides and learns, on rank 0; None on the others."""
        return self._slot.session if self._slot else None

    @property
    def solves(self) -> int:
        """Those that were counted in this slot, also for solvers of the same kind before this one."""
        return self._slot.solves if self._slot else 0

    # -- coming and going

    def _enter(self, comm: Any, *kind: Any) -> None:
        """Go on where another solver of this kind stopped, if there was one; what fails on one rank stops all.

        Collective.
        """
        self._key = (self.prefix, type(self), *kind)
        self._attempt(self._acquire, comm)
        if self._slot is None:
            self._slot = Slot(None, None)
        self.stopped = self.broken = self._agree(float(self.broken or self._slot.broken))[0] > 0.0
        if self.stopped:
            self.decision = self._standing_still()

    def _acquire(self, comm: Any) -> None:
        self._comm = Comm(comm)
        self._key += (self._comm.members,)
        self._slot = registry.acquire(self._key, self._new_slot, lambda: _clean_up(comm))

    def _new_slot(self) -> Slot:
        assert self._comm is not None
        return Slot(*self._begin()) if self._comm.root else Slot(None, Features())

    def leave(self) -> None:
        """Give back what was learned."""
        if self._slot is not None:
            if self.session is not None and not self.broken:
                self._attempt(self.session.save)
            self._slot.broken = self.broken
            self._attempt(registry.release, self._key, self._slot)
        self._slot, self._comm, self.left = None, None, 0

    # -- a decision

    def _decide(self, look: Callable[[Features], Sequence[float] | None], ask: Callable[[Sequence[float]], Any],
                *more: float) -> None:  # fmt: skip
        """All say what they see and whether they are well, rank 0 decides, everybody gets the action.  Collective.

        Parameters
        ----------
        look : callable
            Returns what this rank sees of the matrix; None for nothing.
        ask : callable
            Returns the action, on rank 0, from the largest values that were seen, and the largest of each of `more`.
        """
        assert self._comm is not None and self._slot is not None
        self.event.begin()
        seen = self._attempt(look, self._slot.features) if self._slot.features else None
        top = self._agree(*(UNREADABLE if seen is None else seen), *more, float(self.broken))
        self.broken = top[-1] > 0.0
        decision = self._standing_still()
        if self._comm.root and not self.broken:
            decision = self._attempt(ask, top[:-1]) or decision
        if self._comm.size > 1 and not top[-1]:
            values = np.array(decision, float)
            self._comm.share(values)
            decision = type(decision)(*values.tolist())
        self.decision, self.left, self.stopped = decision, int(decision.repeats), bool(decision.stopped)
        self.event.end()

    # -- what may fail

    def _agree(self, *values: float) -> Sequence[float]:
        """The largest values of all ranks; those of this rank where there is no way to the others.  Collective."""
        if self._comm is None or self._comm.size == 1:
            return values
        return self._comm.largest(np.array(values)).tolist()

    def _attempt(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """The call's result, or None after an error."""
        try:
            with Refusals():
                return call(*arguments)
        except Exception as error:
            self._tell(error)
            self.broken = True
            if self.alone:  # what other ranks repeat, this one repeats, too
                self.left = 0
            return None

    def _tell(self, error: Exception) -> None:
        if not self.broken and told.first(self.prefix, f"{type(self).__qualname__} stops"):
            cause = f" {error}" if isinstance(error, SorlearnError) else f"\n{traceback.format_exc().rstrip()}"
            complain(PETSc.COMM_SELF, f"{self.stops}:{cause}")


def _clean_up(comm: Any) -> None:
    """Have PETSc destroy solvers that nobody can reach any more; their errors aren't those of the one that asks."""
    if _unclean:
        return
    try:
        PETSc.garbage_cleanup(comm)
    except Exception:  # another solver's; the one that asks goes on
        _unclean.append(comm)
        sys.stderr.write(f"sorlearn: destroying a solver that is out of reach:\n{traceback.format_exc()}")
