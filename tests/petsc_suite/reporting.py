"""What a run of the suite has found, in a few lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .cases import WAYS, Case, Way
from .comparing import LOST_CODE, MORE, Accuracy

#: Solves of a sequence from which on a learner has had its chance.
LONG = 20


def read(results: Path) -> list[Case]:
    """The cases in a file of JSON lines; none where there is no file."""
    if not results.exists():
        return []
    return [Case.from_line(line) for line in results.read_text().splitlines()]


def failing(cases: list[Case]) -> Iterator[tuple[Case, str, Way]]:
    """Case, way, and what came of it, of all that failed."""
    for case in cases:
        for name, way in case.ways.items():
            if way.failures:
                yield case, name, way


def _comparable(cases: list[Case], name: str) -> list[Case]:
    """Those that were run in this way, but for Richardson's iteration, which natively runs on to its limit."""
    return [case for case in cases if name in case.ways and not case.richardson]


def _long(cases: list[Case], name: str) -> list[Case]:
    """Sequences in which a learner has had its chance."""
    return [case for case in _comparable(cases, name) if case.status == 0 and case.solves >= LONG]


def dearer(cases: list[Case], name: str) -> list[Case]:
    """Long sequences that took notably more iterations than natively."""
    return [case for case in _long(cases, name) if case.ways[name].iterations > MORE * case.iterations]


def detail(case: Case, name: str, way: Way) -> str:
    """All that failed in one way, with the command."""
    return "\n  ".join([f"{case.title} {name}", *way.failures, way.command])


def _accuracy(cases: list[Case], name: str) -> str:
    total = Accuracy.total(case.ways[name].accuracy for case in _comparable(cases, name))
    mean = 10.0 ** (total.decades / max(total.solves, 1))
    shares = [100.0 * count / max(total.tests, 1) for count in (total.above, total.far_above)]
    return (
        f"true residuals over native's {mean:.2f} on geometric average of {total.solves}, worst {total.worst:.3g}; "
        f"the user's test missed by more than 1.5 in {shares[0]:.2f} %, by more than 3 in {shares[1]:.2f} % of "
        f"{total.tests}, worst {total.worst_test:.3g}"
    )


def _iterations(cases: list[Case], name: str) -> str:
    long = _long(cases, name)
    native, ours = sum(case.iterations for case in long), sum(case.ways[name].iterations for case in long)
    share = f" ({ours / native:.3f})" if native else ""
    return (
        f"{ours} for native's {native} iterations{share} in {len(long)} sequences of {LONG} solves and more, "
        f"more than {MORE} times in {len(dearer(cases, name))}"
    )


def _run(cases: list[Case]) -> list[str]:
    """The ways that have been run."""
    return [name for name in WAYS if any(name in case.ways for case in cases)]


def table(cases: list[Case]) -> str:
    """Some lines on every way, and on the sequences that cost more."""
    lines = []
    for name in _run(cases):
        lines.append(f"{name}: {_iterations(cases, name)}; {_accuracy(cases, name)}")
        for case in dearer(cases, name):
            way = case.ways[name]
            lines.append(
                f"  {way.iterations / case.iterations:.2f} {case.title}: {case.iterations} -> {way.iterations} "
                f"iterations, {case.solves} -> {way.solves} solves, n = {case.rows}"
            )
    return "\n".join(lines)


def summary(cases: list[Case]) -> str:
    """One line to compare runs by."""
    ran = [case for case in cases if case.ways]
    well = [case for case in ran if case.status == 0]
    tests = len({(case.folder, case.block) for case in ran})
    parts = [f"{len(ran)} cases of {tests} tests, native SOR ends {len(well)} well"]
    for name in _run(ran):
        with_it = [case for case in ran if name in case.ways]
        good = [case for case in with_it if not case.ways[name].failures]
        both = [sum(case.status == 0 for case in some) for some in (good, with_it)]
        rest = [len(some) - count for some, count in zip((good, with_it), both)]
        lost = sum(LOST_CODE in case.ways[name].notes for case in good)
        parts.append(
            f"{name} as native {both[0]}/{both[1]} of them and {rest[0]}/{rest[1]} of the others ({lost} {LOST_CODE})"
        )
    return "; ".join(parts)
