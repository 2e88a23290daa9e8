"""The command line: run PETSc's tests, go on with them, or show what came of them."""

from __future__ import annotations

import argparse
import concurrent.futures
import os
import re
import sys
import time
from pathlib import Path

from . import reporting
from .blocks import Test, tests
from .cases import PLACES, WAYS, Case, run_case
from .installation import Installation, Missing, find
from .running import ROOT, Runner

#: Folders whose examples solve linear systems in the ways applications do.
FOLDERS = (
    "ksp/ksp/tutorials", "snes/tutorials", "ts/tutorials", "ksp/ksp/tests", "snes/tests", "ts/tests", "ksp/pc/tests",
    "ksp/pc/tutorials", "ts/tutorials/power_grid", "ts/tutorials/multirate", "ts/tutorials/hybrid",
    "ts/tutorials/eimex", "ts/tutorials/advection-diffusion-reaction", "ts/tutorials/phasefield",
)  # fmt: skip
BUILD = ROOT / "build/petsc-suite"
#: Seconds between two lines on how far it has come.
_SAY_EVERY = 20.0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make petsc-suite ARGS=...", description=sys.modules["petsc_suite"].__doc__)
    parser.add_argument("--folders", nargs="+", default=FOLDERS, help="of PETSc's examples, as ksp/ksp/tutorials")
    parser.add_argument("--only", default="", metavar="REGEX", help="cases whose title, as snes/tutorials/runex16_3 "
                        "outer, it is found in")  # fmt: skip
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--places", nargs="+", default=list(PLACES), choices=PLACES)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="cases at a time")
    parser.add_argument("--results", type=Path, default=BUILD / "results.jsonl", help="JSON lines, one a case")
    again = parser.add_mutually_exclusive_group()
    again.add_argument("--resume", action="store_true", help="only what has no result")
    again.add_argument("--failed", action="store_true", help="only what failed or has no result")
    again.add_argument("--report", action="store_true", help="run nothing, show the results")
    return parser.parse_args()


def _sources(installation: Installation, folders: list[str]) -> list[Path]:
    return [
        path
        for folder in folders
        for path in sorted((installation.sources / folder).iterdir())
        if path.suffix in (".c", ".cxx")
    ]


def _is_wanted(options: argparse.Namespace, case: Case) -> bool:
    right_place = case.folder in options.folders and case.place in options.places
    return right_place and re.search(options.only, case.title) is not None


def _stands(options: argparse.Namespace, case: Case) -> bool:
    """Whether an earlier result need not be had again."""
    return options.resume or options.failed and not any(way.failures for way in case.ways.values())


class Progress:
    """Writes results down as they come, and says how far it is.

    Parameters
    ----------
    results : Path
        File for the cases.
    total : int
        Number of cases to come.
    """

    def __init__(self, results: Path, total: int):
        self._results, self._total = results, total
        self._done = self._failing = 0
        self._began = self._said = time.monotonic()

    def add(self, case: Case) -> None:
        """A case has been run."""
        with self._results.open("a") as file:
            file.write(case.line)
        self._done += 1
        for failed in reporting.failing([case]):
            self._failing += 1
            print("FAILS " + reporting.detail(*failed), flush=True)
        now = time.monotonic()
        if now - self._said > _SAY_EVERY:
            self._said, minutes = now, (now - self._began) / 60.0
            left = minutes * (self._total / self._done - 1.0)
            print(f"{self._done} of {self._total}, {self._failing} failures, {minutes:.0f} min, about {left:.0f} to go",
                  flush=True)  # fmt: skip


def _cases(installation: Installation, options: argparse.Namespace) -> list[tuple[Path, Test, Case]]:
    """All that is wanted, as yet without results; those on several ranks come last."""
    found = [
        (source, test, case)
        for source in _sources(installation, options.folders)
        for test in tests(installation, source)
        for case in (Case(test.folder, test.block, test.name, place) for place in PLACES)
        if _is_wanted(options, case)
    ]
    return sorted(found, key=lambda each: each[1].ranks)


def _run(options: argparse.Namespace) -> None:
    """Run what is wanted and hasn't been run; its results replace earlier ones.  Raises Missing."""
    installation = find(BUILD)
    runner = Runner(installation)
    earlier = reporting.read(options.results)
    standing = {case.title for case in earlier if _stands(options, case)}
    todo = [each for each in _cases(installation, options) if each[2].title not in standing]
    again = {case.title for _, _, case in todo}
    options.results.parent.mkdir(parents=True, exist_ok=True)
    options.results.write_text("".join(case.line for case in earlier if case.title not in again))
    progress = Progress(options.results, len(todo))
    print(f"{len(todo)} cases, {options.jobs} at a time; results in {options.results}", flush=True)

    def run(source: Path, test: Test, case: Case) -> Case:
        program = installation.compiled(source)
        if program is None:
            return case._replace(skipped="doesn't compile")
        return run_case(runner, program, test, case.place, options.ways)

    pool = concurrent.futures.ThreadPoolExecutor(options.jobs)
    try:
        for finished in concurrent.futures.as_completed([pool.submit(run, *each) for each in todo]):
            progress.add(finished.result())
    finally:
        pool.shutdown(cancel_futures=True)


def main() -> int:
    """Exit status 0 if all ended as native SOR does, 1 if not, 2 if there is nothing to run."""
    options = _arguments()
    try:
        if not options.report:
            _run(options)
    except Missing as error:
        print(f"petsc-suite: {error}", file=sys.stderr)
        return 2
    cases = [case for case in reporting.read(options.results) if _is_wanted(options, case)]
    failing = list(reporting.failing(cases))
    for failed in failing if options.report else ():
        print("FAILS " + reporting.detail(*failed))
    print(reporting.table(cases))
    print(reporting.summary(cases))
    return 1 if failing else 0


if __name__ == "__main__":
    sys.exit(main())
