"""One of PETSc's tests, run natively and with sorlearn in all ways."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Callable, NamedTuple

from . import comparing
from .blocks import Test
from .running import Run, Runner, Solve

#: Where SOR is put: in the outermost solvers, or in those that are inside other preconditioners.
PLACES = ("outer", "inner")
#: What is given to every solver, with its prefix for `{p}`.
_ON = "-{p}pc_type python -{p}pc_python_type sorlearn.PC"
_GUARDED = "-{p}ksp_type python -{p}ksp_python_type sorlearn.KSP -{p}sorlearn_ksp_type {ksp}"
#: The ways of running a case; tsallis_inf takes another ω from the first solve on.
WAYS = {
    "fixed": f"{_ON} -{{p}}pc_sorlearn_learner fixed",
    "auto": _ON,
    "tsallis_inf": f"{_ON} -{{p}}pc_sorlearn_learner tsallis_inf -{{p}}pc_sorlearn_seed 3",
    "guarded": f"{_GUARDED} {_ON}",
}
#: Those that are run with inner solvers, which nobody guards, and where each learner holds ω.
_INNER_WAYS = ("fixed", "auto")
#: Trust-region solvers: who calls them insists on their types, so that none can stand in for them.
_UNGUARDED = {"gltr", "nash", "qcg", "stcg"}
#: Native runs start Python, too, so that this makes no difference; and everything is said that can be compared.
_ALL = "-python -options_left -malloc_dump -ksp_converged_reason -snes_converged_reason"
#: Preconditioners of inner solvers whose place SOR takes.
_LEAVES = ("lu", "ilu", "jacobi", "icc", "cholesky", "none", "sor", "bjacobi", "asm", "eisenstat", "pbjacobi")
#: Most solvers that are given SOR at once.
_MOST = 6
#: Seconds of processor time of a native run, and rank, beyond which a case is left out: it would be run five times.
SLOW = 10.0
#: Further native runs on several ranks, to see whether these differ among each other.
_AGAIN = 12
#: What is kept of the output of runs that differ.
_TAIL = 3000


class Way(NamedTuple):
    """What came of running a case with sorlearn in one way.

    Attributes
    ----------
    failures, notes : list of str
        What must not be, and what may.
    iterations, sweeps, solves, repeats : int
        Of the outer solves; and how many solves were repeats.
    accuracy : comparing.Accuracy
        Answers against the native ones.
    seconds : float
        Processor time.
    command : str
        To run it again.
    tail : str
        End of what it printed, where it failed.
    """

    failures: list[str]
    notes: list[str]
    iterations: int
    sweeps: int
    solves: int
    repeats: int
    accuracy: comparing.Accuracy
    seconds: float
    command: str
    tail: str


class Case(NamedTuple):
    """One test with SOR in one place.

    Attributes
    ----------
    folder, block, name, place : str
        The test, and where SOR was put.
    skipped : str
        Why it was left out, or nothing.
    status : int or None
        Native exit status.
    solves, iterations, sweeps, rows : int
        Of the native outer solves; the largest matrix that SOR swept.
    richardson : bool
        Whether Richardson's iteration has used SOR, which then tests for convergence where native SOR doesn't.
    seconds : float
        Processor time of the native run.
    ways : dict
        Name of the way → Way.
    """

    folder: str
    block: str
    name: str
    place: str
    skipped: str = ""
    status: int | None = None
    solves: int = 0
    iterations: int = 0
    sweeps: int = 0
    rows: int = 0
    richardson: bool = False
    seconds: float = 0.0
    ways: dict[str, Way] = {}

    @property
    def title(self) -> str:
        """To be read, and to be found again."""
        return f"{self.folder}/{self.name} {self.place}"

    @classmethod
    def from_line(cls, line: str) -> Case:
        """The case that `line` was made from."""
        values = json.loads(line)
        ways = {name: Way(**way) for name, way in values["ways"].items()}
        ways = {name: way._replace(accuracy=comparing.Accuracy(**way.accuracy)) for name, way in ways.items()}
        return cls(**{**values, "ways": ways})

    @property
    def line(self) -> str:
        """A line of JSON."""
        ways = {name: {**way._asdict(), "accuracy": way.accuracy._asdict()} for name, way in self.ways.items()}
        return json.dumps({**self._asdict(), "ways": ways}) + "\n"


def _slow(run: Run, test: Test) -> bool:
    return run.status is None or run.seconds > SLOW * test.ranks


def _prefixes(found: Run, place: str) -> list[str]:
    """Of the solvers that are to have SOR."""
    inner = place == "inner"
    return sorted({s.prefix for s in found.solves if (s.pc in _LEAVES and s.level > 0 if inner else s.level == 0)})


def _swept(native: Run, prefixes: list[str], place: str) -> list[Solve]:
    """The solves that native SOR has been used in."""
    inner = place == "inner"
    return [s for s in native.solves if (s.level > 0) == inner and s.pc == "sor" and s.prefix in prefixes]


def _arguments(test: Test, flags: str, kinds: dict[str, str]) -> str:
    """The test's own, these flags for every prefix with its KSP type, and what shows more."""
    return " ".join([test.arguments, *(flags.format(p=prefix, ksp=ksp) for prefix, ksp in kinds.items()), _ALL])


def _possible(place: str, kinds: set[str]) -> set[str]:
    """The ways that make sense in this place with solvers of these types."""
    if place == "inner":
        return set(_INNER_WAYS)
    return set(WAYS) - {"guarded"} if kinds & _UNGUARDED else set(WAYS)


def _way(name: str, native: Run, run: Run, varies: Callable[[], bool]) -> Way:
    """What came of one way; `varies` says whether a native run isn't exactly like another one either."""
    failures, notes = comparing.failures(native, run), comparing.notes(native, run)
    inexact = [f"not exact: {text}" for text in comparing.inexact(native, run)] if name == "fixed" else []
    if inexact:
        (notes if varies() else failures).extend(inexact)
    return Way(
        failures, notes, run.iterations, run.sweeps, len(run.outer), sum(s.again > 0 for s in run.solves),
        comparing.accuracy(native, run), run.seconds, run.command,
        f"{run.out[-_TAIL:]}\n{run.err[-_TAIL:]}" if failures else "",
    )  # fmt: skip


def _natively(case: Case, native: Run, swept: list[Solve]) -> Case:
    """The case with what native SOR did."""
    return case._replace(
        status=native.status, solves=len(native.outer), iterations=native.iterations, sweeps=native.sweeps,
        rows=max((s.rows for s in swept), default=0), richardson=any(s.ksp == "richardson" for s in swept),
        seconds=native.seconds,
    )  # fmt: skip


def run_case(
    runner: Runner,
    program: Path,
    test: Test,
    place: str,
    ways: Iterable[str] = tuple(WAYS),
    each: Callable[..., Iterable[Way]] = map,
) -> Case:
    """Run a test natively and then with sorlearn.

    Parameters
    ----------
    runner : Runner
        Runs programs.
    program : Path
        The test's.
    test : Test
        What to run.
    place : str
        One of `PLACES`.
    ways : iterable of str
        Of `WAYS`; those that make no sense in this place are left out.
    each : callable
        `map`, or that of a pool.
    """
    case = Case(test.folder, test.block, test.name, place)
    found = runner.native(program, test.ranks, test.arguments)
    prefixes = _prefixes(found, place)
    if _slow(found, test):
        return case._replace(skipped="slow")
    if not 0 < len(prefixes) <= _MOST:
        return case._replace(skipped=f"solvers for SOR: {len(prefixes)}")
    natively = program, test.ranks, _arguments(test, "-{p}pc_type sor", dict.fromkeys(prefixes, ""))
    native = runner.native(*natively)
    swept = _swept(native, prefixes, place)
    case = _natively(case, native, swept)
    if not swept or native.status == 0 and not any(s.sweeps for s in swept):
        return case._replace(skipped="SOR isn't used")
    if _slow(native, test):
        return case._replace(skipped="slow")
    kinds = {s.prefix: s.ksp for s in reversed(native.solves) if s.prefix in prefixes}

    def varies() -> bool:
        """Richardson's iteration natively runs on; ranks that assemble in the order of messages round differently."""
        again = range(_AGAIN if test.ranks > 1 else 0)
        return case.richardson or any(comparing.inexact(native, runner.run(*natively)) for _ in again)

    def way(name: str) -> Way:
        run = runner.run(program, test.ranks, _arguments(test, WAYS[name], dict.fromkeys(prefixes, "gmres") | kinds))
        return _way(name, native, run, varies)

    possible = _possible(place, set(kinds.values()))
    names = [name for name in ways if name in possible]
    return case._replace(ways=dict(zip(names, each(way, names))))
