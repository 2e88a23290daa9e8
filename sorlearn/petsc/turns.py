"""Solves that repeat the decision for an arm without Python, in fast.c."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

from petsc4py import PETSc

from ..tuning.accuracy import FAILS
from . import fast, usertest
from .clib import address, has, origin

#: Digits that an answer is said to lack where none was judged.
_NONE = -1e300


class Lost(NamedTuple):
    """A solve whose answer was no good: its iterations, seconds and KSPConvergedReason, the digits that it lacked."""

    iterations: int
    seconds: float
    reason: int
    lacks: float


class Taken(NamedTuple):
    """What has gone by.

    Attributes
    ----------
    solves, iterations, seconds
        Of all whose answers were good.
    left : int
        How many more there might have been.
    lacks : float or None
        The most digits that an answer lacked; None where none was judged.
    lost : Lost or None
        What came last, and is solved anew now.
    error : BaseException or None
        Likewise, if that is what it ended in.
    """

    solves: int
    iterations: int
    seconds: float
    left: int
    lacks: float | None
    lost: Lost | None
    error: BaseException | None


class Turns:
    """One outer KSP's share in fast.c, where that is there.

    Attributes
    ----------
    attached : bool
        Whether C is called for its solves.
    """

    def __init__(self) -> None:
        fetch = ctypes.cast(ctypes.pythonapi.PyErr_Fetch, ctypes.c_void_p).value
        names = {"minimum": "KSPGetMinimumIterations", "curvature": "KSPGetConvergedNegativeCurvature"}
        self._turn = fast.Turn(fetch=fetch, **{field: address(name) for field, name in names.items() if has(name)})
        self.attached = self._handed = False
        self._vectors: list[Any] = []

    def attach(self, outer: Any) -> None:
        """Have C called for the outer KSP's solves, and Python for those that aren't an arm's turn."""
        if fast.library():
            fast.call("sorlearn_take_turns", ctypes.c_void_p(outer.handle), ctypes.byref(self._turn))
            self.attached = True

    def detach(self, outer: Any) -> None:
        """Leave the outer KSP to petsc4py again; what has gone by can still be taken back."""
        if self.attached:
            fast.call("sorlearn_end_turns", ctypes.c_void_p(outer.handle), ctypes.byref(self._turn))
        self.attached = False

    def reset(self) -> None:
        """Let go of the vectors."""
        for vector in self._vectors:
            vector.destroy()
        self._vectors = []

    def hand_over(self, outer: Any, inner: Any, b: Any, *, left: int, most: int, tighten: float, judged: bool) -> None:
        """Let so many solves be made by this inner KSP, up to one that takes more than `most` iterations.

        Parameters
        ----------
        b : Vec
            Of the size of the right-hand sides.
        tighten : float
            Decimal digits by which tolerances are tightened.
        judged : bool
            Whether true residuals are put to the user's test, which allows for `FAILS` digits more.
        """
        turn, self._handed = self._turn, True
        if judged and not self._vectors:
            self._vectors = [b.duplicate(), b.duplicate()]
        turn.inner, turn.left, turn.most = inner.handle, left, most
        turn.pc, turn.norm, turn.side = outer.getPC().handle, int(outer.norm_type), int(outer.pc_side)
        turn.judge, turn.guess = (vector.handle for vector in self._vectors) if judged else (None, None)
        turn.lenient, turn.scale = FAILS, 10.0**-tighten
        turn.lacks = _NONE
        usertest.outer_of[inner.handle] = outer.handle

    def take_back(self) -> Taken | None:
        """Have Python called for all solves; returns what has gone by, None where nothing was handed over."""
        if not self._handed:
            return None
        turn, self._handed = self._turn, False
        lost = Lost(turn.lost_iterations, turn.lost_seconds, turn.lost, turn.lost_lacks) if turn.lost else None
        lacks = turn.lacks if turn.lacks > _NONE else None
        taken = Taken(turn.solves, turn.iterations, turn.seconds, turn.left, lacks, lost, self._error())
        turn.left = turn.solves = turn.iterations = turn.lost = 0
        turn.seconds = 0.0
        usertest.outer_of.pop(turn.inner, None)
        return taken

    def _error(self) -> BaseException | None:
        code, exception = self._turn.error, [ctypes.c_void_p(place) for place in self._turn.exception]
        self._turn.error = 0
        if not code or not exception[0]:
            return PETSc.Error(code) if code else None
        try:
            ctypes.pythonapi.PyErr_Restore(*exception)  # raises it
        except Exception as error:
            return origin(error).with_traceback(None)  # whose frames would hold on to vectors, and to what holds it
        return None
