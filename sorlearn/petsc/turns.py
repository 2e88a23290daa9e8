"""Solves that the safe arm makes without Python, in fast.c, while a decision for it stands."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

from . import fast, usertest


class Taken(NamedTuple):
    """What has gone by: solves, iterations and seconds of all; how many more might have."""

    solves: int
    iterations: int
    seconds: float
    left: int


class Turns:
    """One outer KSP's share in fast.c, where that is there."""

    def __init__(self) -> None:
        self._turn = fast.Turn()
        self._attached = self._handed = False

    def attach(self, outer: Any) -> None:
        """Have C called for the outer KSP's solves, and Python for those that aren't the arm's."""
        if fast.library():
            fast.call("sorlearn_take_turns", ctypes.c_void_p(outer.handle), ctypes.byref(self._turn))
            self._attached = True

    def detach(self, outer: Any) -> None:
        """Leave the outer KSP to petsc4py again; what has gone by can still be taken back."""
        if self._attached:
            fast.call("sorlearn_end_turns", ctypes.c_void_p(outer.handle), ctypes.byref(self._turn))
        self._attached = False

    def hand_over(self, outer: Any, inner: Any, left: int, most: int) -> None:
        """Let so many solves be made by this inner KSP, up to one that takes more than `most` iterations."""
        if not self._attached:
            return
        turn, self._handed = self._turn, True
        turn.inner, turn.left, turn.most = inner.handle, left, most
        turn.norm, turn.side, turn.test = int(outer.norm_type), int(outer.pc_side), usertest.test_of(outer).function
        usertest.outer_of[inner.handle] = outer.handle

    def take_back(self) -> Taken | None:
        """Have Python called for all solves; returns what has gone by, None where nothing was handed over."""
        if not self._handed:
            return None
        turn, self._handed = self._turn, False
        taken = Taken(turn.solves, turn.iterations, turn.seconds, turn.left)
        turn.left = turn.solves = turn.iterations = 0
        turn.seconds = 0.0
        usertest.outer_of.pop(turn.inner, None)
        return taken
