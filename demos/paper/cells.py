"""Cells: the pieces that experiments are made of, run on two processes and kept, so that a run can be resumed."""

from __future__ import annotations

import os
import sys
import time
import zlib
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

PROCESSES = 2
#: Where results are kept, a file a cell, and where figures go.
KEPT = Path(os.environ.get("SORLEARN_CELLS", Path(__file__).parent / ".cells"))


class Cell(NamedTuple):
    """A piece of work that needs no other: `work(*arguments)` returns arrays and numbers by name.

    Attributes
    ----------
    name : str
        Says what is being worked on.
    work : callable
        A function of a module, so that another process finds it.
    arguments : tuple
        Numbers and words; results are kept for each set of them.
    seconds : float
        What it takes on one core, roughly.
    """

    name: str
    work: Callable[..., dict[str, Any]]
    arguments: tuple = ()
    seconds: float = 1.0

    @property
    def path(self) -> Path:
        """Where its result is kept."""
        key = zlib.crc32(repr((self.work.__module__, self.work.__qualname__, self.arguments)).encode())
        return KEPT / f"{self.name.replace(' ', '-')}-{key:08x}.npz"

    def result(self) -> dict[str, np.ndarray]:
        """What it returned."""
        with np.load(self.path) as file:
            return dict(file)


def _work(cell: Cell) -> float:
    """Do it and keep the result; returns the seconds that it took."""
    began = time.perf_counter()
    result = cell.work(*cell.arguments)
    KEPT.mkdir(parents=True, exist_ok=True)
    unfinished = cell.path.with_suffix(f".{os.getpid()}.npz")
    np.savez_compressed(unfinished, **result)
    unfinished.replace(cell.path)
    return time.perf_counter() - began


def clock(seconds: float) -> str:
    """Seconds or minutes, in words."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def run(cells: list[Cell]) -> list[dict[str, np.ndarray]]:
    """The results of all cells; those that aren't kept are made first, the longest first.

    How long it will take is said up front, and after every cell how long it still will, by the pace so far.
    """
    missing = sorted({c.path: c for c in cells if not c.path.exists()}.values(), key=lambda c: -c.seconds)
    if missing:
        _make(missing, len(cells))
    return [cell.result() for cell in cells]


def _make(missing: list[Cell], among: int) -> None:
    began, todo, done = time.perf_counter(), sum(c.seconds for c in missing), 0.0
    estimate = max(todo / PROCESSES, missing[0].seconds)
    print(f"{len(missing)} of {among} cells to make, about {clock(estimate)} on {PROCESSES} cores", flush=True)
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(_work, cell): cell for cell in missing}
        try:
            for n, future in enumerate(as_completed(futures), 1):
                cell, took = futures[future], future.result()
                done += cell.seconds
                left = (time.perf_counter() - began) * (todo - done) / done
                print(f"{n:4d}/{len(missing)}  {cell.name:40s} {clock(took):>7s}, {clock(left)} left", flush=True)
        except BaseException:
            print("interrupted: what is finished is kept, and the next run goes on from there", file=sys.stderr)
            pool.shutdown(wait=False, cancel_futures=True)
            raise
