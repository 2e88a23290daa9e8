"""How a run with sorlearn differs from the native one: what must not differ, and what is worth a look."""

from __future__ import annotations

import itertools
import math
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from .running import Run, Solve

#: What sorlearn shows of itself in a view: a line, and those that stand below it.
_VIEW = re.compile(r"^( *)sorlearn: learner.*\n(?:\1 *\S.*\n)*", re.M)
#: Lines by which the two differ rightly: the preconditioner's part of a view, the options, blank ones.
_OWN = re.compile(
    r"^\s*(type: (sor|python)|Python: |type = \w+, iterations = )"
    r"|^(#(PETSc|End)|-\w+( |$)|WARNING! There are opt|There (are|is|were) |Option left: |\s*$)",
    re.I,
)
#: Lines that show how the linear solver got on, which is what sorlearn changes.
_PROGRESS = re.compile(
    r"(KSP|preconditioned|true|Estimated).*[Rr]esid|Residual norms? for|Linear .*solve (converged|did not)"
    r"|linear solver iterations"
)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
#: Traces of trouble, anywhere and on stderr only, where applications don't write of their own.
_TROUBLE = ("Traceback", "PETSC ERROR", "Segmentation", r"\[ ?\d+\] ?\d+ bytes ")
_TROUBLE_ON_STDERR = ("Error", "Warning", "learning stops")
#: Native runs that fail print some of these themselves.
_OF_FAILURES = ("PETSC ERROR", "Error")
#: PETSC_ERR_PYTHON, and what sorlearn says where it refuses as native SOR does.
_PYTHON, _REFUSAL = -1, "SOR can't be applied to this matrix"
#: Where compiled C files are.
_LIBRARIES = Path(__file__).resolve().parents[2] / "sorlearn/petsc"
#: What counts as the same number: relative difference, and size below which none matters.
_CLOSE, _TINY = 1e-2, 1e-4
#: True residuals below that are rounding.
_ROUNDING = 1e-13
#: The note on refusals whose error code doesn't arrive.
LOST_CODE = "error code lost in petsc4py"
#: Solves from which on iterations are compared, and what is more.
FEW, MORE = 5, 1.05


class Accuracy(NamedTuple):
    """Answers of a run against the native ones, solve by solve.

    Attributes
    ----------
    solves : int
        Number of pairs of solves whose true residuals are known.
    decades : float
        Sum over them of log10 of the true residual over the native one.
    worst : float
        The largest ratio of these.
    tests : int
        Number of solves of which the user's own test is known.
    above, far_above : int
        Those that miss it by more than a factor of 1.5, and of 3, where the native ones don't.
    worst_test : float
        The largest factor by which one missed it.
    """

    solves: int = 0
    decades: float = 0.0
    worst: float = 0.0
    tests: int = 0
    above: int = 0
    far_above: int = 0
    worst_test: float = 0.0

    @classmethod
    def total(cls, parts: Iterable[Accuracy]) -> Accuracy:
        """Of several runs together."""
        columns = list(zip(*parts)) or [(0,)] * len(cls._fields)
        sums = cls(*(sum(column) for column in columns))
        return sums._replace(worst=max(columns[2]), worst_test=max(columns[6]))


def _text(run: Run) -> list[str]:
    common = re.sub(r"\b(with|PCType:) (sor|python( sorlearn\.PC)?) +", r"\1 PC ", _VIEW.sub("", run.out))
    return [line.rstrip() for line in common.splitlines() if not _OWN.match(line)]


def _results(run: Run) -> list[str]:
    return [line for line in _text(run) if not _PROGRESS.search(line)]


def _masked(line: str) -> str:
    return re.sub(r"\s+", " ", _NUMBER.sub("#", line)).strip()


def _far(first: str, second: str) -> bool:
    """Whether two lines of the same form hold different numbers."""
    pairs = [(float(a), float(b)) for a, b in zip(_NUMBER.findall(first), _NUMBER.findall(second))]
    return any(abs(a - b) > _CLOSE * max(abs(a), abs(b)) and max(abs(a), abs(b)) > _TINY for a, b in pairs)


def _never_used(run: Run) -> set[str]:
    return set(re.findall(r"Option left: name:-(\S+)", run.out))


def unused(native: Run, run: Run) -> list[str]:
    """Options of sorlearn that nobody has asked for, where the native run's PC type was asked for."""
    ours = {name for name in _never_used(run) - _never_used(native) if re.search("sorlearn|python", name)}
    stems = {name[: -len("pc_type")] for name in _never_used(native) if name.endswith("pc_type")}
    return sorted(name for name in ours if re.split("ksp_python|pc_python|pc_sorlearn|sorlearn_", name)[0] not in stems)


def _more(pattern: str, native: str, text: str) -> list[str]:
    """A line on what this text holds more of, or none."""
    before, after = len(re.findall(pattern, native)), len(re.findall(pattern, text))
    first = next((line for line in text.splitlines() if re.search(pattern, line)), "")
    return [f"{pattern} {before} -> {after}: {first[:200]}"] if after > before else []


def trouble(native: Run, run: Run) -> list[str]:
    """Errors, warnings and leaks that only this run prints."""
    found = [f"options that aren't used: {names}" for names in [unused(native, run)] if names]
    failed = _OF_FAILURES if native.status != 0 else ()  # with stacks of calls that differ by Python's
    for pattern in sorted(set(_TROUBLE) - set(failed)):
        found += _more(pattern, native.err + native.out, run.err + run.out)
    for pattern in sorted(set(_TROUBLE_ON_STDERR) - set(failed)):
        found += _more(pattern, native.err, run.err)
    return found


def _ends(run: Run) -> list[tuple[int, int]]:
    """Error code and reason of the solves that have failed."""
    return [(solve.error, solve.reason) for solve in run.outer if solve.failed]


def _named(ends: Iterable[tuple[int, int]]) -> str:
    return ", ".join(f"error {error} reason {reason}" for error, reason in sorted(set(ends))) or "none"


def _mends(native: Run, run: Run) -> bool:
    """Whether all converges where some of the native solves didn't; a refusal isn't there to be mended."""
    lost = _ends(native)
    return run.status == 0 and not _ends(run) and bool(lost) and all(reason < 0 for _, reason in lost)


def _cause(run: Run) -> str:
    """What PETSc has said first of the error that ended the run."""
    said = re.search(r"PETSC ERROR: -+ Error Message.*\n.*?PETSC ERROR: *(.*)", run.err)
    return said[1] if said else ""


def _keeps_codes(run: Run) -> bool:
    """Whether sorlearn hands PETSc's error codes on, as the guarded solver does, and its C file for the PC."""
    there = os.environ.get("SORLEARN_FAST") != "0" and any(_LIBRARIES.glob("fast-*.so"))
    return there or "sorlearn.KSP" in run.command


def loses_code(native: Run, run: Run) -> bool:
    """Whether both refuse the same and only the error code differs: with PETSc 3.18 petsc4py hands none on."""
    if native.status in (0, None) or not native.outer or not run.outer or _keeps_codes(run):
        return False
    lost = native.outer[-1].error > 0 and (run.outer[-1].error, run.status) == (_PYTHON, _PYTHON % 256)
    return lost and (_REFUSAL in run.err or _cause(native) == _cause(run) != "")


def failures(native: Run, run: Run) -> list[str]:
    """What ends worse than natively, or, where that ends badly, otherwise badly."""
    if _mends(native, run) or loses_code(native, run):
        return trouble(native, run)
    found = []
    if native.status != run.status:
        found.append(f"exit status {native.status} -> {run.status}")
    before, after = _ends(native), _ends(run)
    if len(after) > len(before) or not set(after) <= set(before):
        found.append(f"failed solves {len(before)} -> {len(after)} ({_named(before)} -> {_named(after)})")
    if len(run.outer) > 1.5 * len(native.outer) + 5:
        found.append(f"number of solves {len(native.outer)} -> {len(run.outer)}")
    lost, more = (len(re.findall("Nonlinear .*did not converge", each.out)) for each in (native, run))
    if more > lost:
        found.append(f"nonlinear solves that fail {lost} -> {more}")
    return found + trouble(native, run)


def _by_solve(run: Run) -> list[tuple[object, ...]]:
    """What must be equal; as text where it may be NaN."""
    names = ("transposed", "level", "prefix", "ksp", "error", "iterations", "reason", "relative", "length", "sweeps")
    return [tuple(str(getattr(solve, name)) for name in names) for solve in run.solves]


def _in_order(run: Run) -> list[str]:
    """What it has printed; its characters, sorted, where several ranks print into each other's lines."""
    lines = _text(run)
    return sorted("".join("".join(lines).split())) if run.command.startswith("mpiexec") else lines


def inexact(native: Run, run: Run) -> list[str]:
    """Where a run isn't bit by bit the native one, as it must be with learner fixed."""
    if loses_code(native, run):
        native, run = (each._replace(solves=[s for s in each.solves if not s.error]) for each in (native, run))
    found, pairs = [], itertools.zip_longest(_by_solve(native), _by_solve(run))
    other = next(((i, a, b) for i, (a, b) in enumerate(pairs) if a != b), None)
    if other:
        found.append(f"solve {other[0]} of {len(native.solves)}, {len(run.solves)}: {other[1]} -> {other[2]}")
    lines = [(a, b) for a, b in itertools.zip_longest(_in_order(native), _in_order(run)) if a != b]
    if lines and not re.search(r"-(log_view|info)\b", native.command):
        found.append(f"output differs in {len(lines)} lines, first {lines[0]}")
    return found


def _ratio(native: Solve, solve: Solve) -> float:
    return max(solve.relative, _ROUNDING) / max(native.relative, _ROUNDING)


def accuracy(native: Run, run: Run) -> Accuracy:
    """Compare answers; empty where the two don't make the same number of solves."""
    pairs = list(zip(native.outer, run.outer))
    if len(native.outer) != len(run.outer):
        return Accuracy()
    ratios = [_ratio(a, b) for a, b in pairs if a.reason > 0 and b.reason > 0 and min(a.relative, b.relative) >= 0.0]
    missed = [b.test / max(a.test, 1.0) for a, b in pairs if min(a.test, b.test) >= 0.0]
    return Accuracy(
        len(ratios), sum(map(math.log10, ratios)), max(ratios, default=0.0),
        len(missed), sum(m > 1.5 for m in missed), sum(m > 3.0 for m in missed), max(missed, default=0.0),
    )  # fmt: skip


def notes(native: Run, run: Run) -> list[str]:
    """Differences that may be right, and that somebody may want to look at."""
    found = [LOST_CODE] if loses_code(native, run) else []
    if len(native.outer) != len(run.outer):
        found.append(f"number of solves {len(native.outer)} -> {len(run.outer)}")
    if len(native.outer) >= FEW and (run.iterations > MORE * native.iterations or run.sweeps > MORE * native.sweeps):
        found.append(f"iterations {native.iterations} -> {run.iterations}, sweeps {native.sweeps} -> {run.sweeps}")
    before, after = _results(native), _results(run)
    if [_masked(line) for line in before] != [_masked(line) for line in after]:
        pairs = itertools.zip_longest(before, after, fillvalue="")
        first = next((a, b) for a, b in pairs if _masked(a) != _masked(b))
        found.append(f"{len(before)} -> {len(after)} lines of output, first {first}")
    else:
        far = [(a, b) for a, b in zip(before, after) if _far(a, b)]
        found += [f"numbers in {len(far)} lines of {len(before)}, first {far[0]}"] if far else []
    return found
