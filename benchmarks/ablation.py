"""What every constant of a learner is worth: ratios with it set to nothing, halved, doubled, endless.

    python3 benchmarks/learning.py --ablate               # every constant of auto
    python3 benchmarks/learning.py --ablate REACH TOLL    # some of them
    python3 benchmarks/usertest.py --ablate newton bcgs   # those of tuning/accuracy.py, in loops of these sequences

Constants are the numbers in capitals at the top of the learner's module, of those it is made of, and of the account
of what the safe ω would have cost.  A column has the change of the geometric mean of the ratios over the tuned cases,
over the held-out ones (both in thousandths), and the highest running total over that of ω = 1 after the 20th solve.  No
entry: the learner fails, or takes too long.
"""

from __future__ import annotations

import multiprocessing
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from cases import CASES, HELD_OUT, Suite, play, prepare
from tables import ONE

from sorlearn.learners import Learner, learner_class
from sorlearn.tuning import accuracy, baseline

#: What is done to a constant; to the distance from 1 of one that is nearly 1.
VARIANTS: dict[str, Callable[[Any], Any]] = {
    "0": lambda value: value * 0,
    "× ½": lambda value: value // 2 if isinstance(value, int) else value * 0.5,
    "× 2": lambda value: value * 2,
    "∞": lambda value: 10**9 if isinstance(value, int) else value + np.inf,
}
#: Cases that are nearly others are left out, and solves beyond so many.
LEFT_OUT = ("heat2d n_x=200", "n_x=50, told diffusion", "n_x=100, told diffusion", "mixed heat2d")
SOLVES = 1000
#: Bytes and seconds that a variant may take; changes that are called none.
MEMORY, SECONDS, NOTHING = 3 * 10**9, 300, 0.003
WORKERS = 2

suites: dict[str, tuple[Suite, float]] = {}
learner: type[Learner]


class Outcome(NamedTuple):
    """Geometric means of ratios, and the highest running total over that of ω = 1."""

    tuned: float
    held: float
    safe: float


def modules_of(cls: type) -> list[ModuleType]:
    """The learner's module and those of sorlearn that it takes something from, its contract apart."""
    found, waiting = [], [sys.modules[cls.__module__]]
    while waiting:
        module = waiting.pop()
        found.append(module)
        for value in vars(module).values():
            name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
            other = sys.modules.get(name) if isinstance(name, str) else None
            if other and other.__name__.startswith("sorlearn.") and not other.__name__.endswith((".base", ".errors")):
                waiting += [] if other in found + waiting else [other]
    return found


class Constant(NamedTuple):
    """A number or an array with a name in capitals, and the modules that know it by that name."""

    name: str
    modules: list[ModuleType]

    @property
    def value(self) -> Any:
        return getattr(self.modules[0], self.name)

    @contextmanager
    def changed(self, variant: str) -> Iterator[None]:
        """The constant under a variant, for a while."""
        value = self.value
        changed = VARIANTS[variant](value)
        if isinstance(value, float) and 0.9 <= value < 1.0:
            changed = max(1.0 - VARIANTS[variant](1.0 - value), 0.0)
        try:
            for module in self.modules:
                setattr(module, self.name, changed)
            yield
        finally:
            for module in self.modules:
                setattr(module, self.name, value)


def constants_in(modules: list[ModuleType]) -> dict[str, Constant]:
    """The constants of these modules; one of the same name and another value goes by its module's name, too."""
    known: dict[str, Constant] = {}
    for module in modules:
        for name, value in vars(module).items():
            number = isinstance(value, (int, float, np.ndarray)) and not isinstance(value, bool)
            if name.lstrip("_").isupper() and number:
                other = name in known and known[name].value is not value
                label = f"{module.__name__.rpartition('.')[2]}.{name}" if other else name
                known.setdefault(label, Constant(name, [])).modules.append(module)
    return known


def constants_of(cls: type) -> dict[str, Constant]:
    """Those of a learner and of its account."""
    return constants_in([*modules_of(cls), baseline])


def load() -> None:
    """Make all cases ready."""
    for label, case in (CASES | HELD_OUT).items():
        if label not in LEFT_OUT:
            n = min(case.bars[-1][0], SOLVES)
            suite = prepare(case)
            suite = Suite(suite.its[:n], suite.work[:n], suite.contexts[:n])
            best = suite.its.min(axis=1).sum() if case.against == "best" else suite.its.sum(axis=0).min()
            suites[label] = suite, float(best)


def evaluate(seeds: int) -> Outcome:
    """The learner as it stands, on all cases."""
    ratios: dict[str, float] = {}
    safe = 0.0
    for label, (suite, best) in suites.items():
        totals = np.array([play(learner, suite, seed, []).cumsum() for seed in range(seeds)])
        ratios[label] = float(totals[:, -1].mean() / best)
        safe = max(safe, float((totals / suite.its[:, ONE].cumsum())[:, 20:].max()))
    tuned, held = (np.exp(np.mean([np.log(r) for label, r in ratios.items() if label in group])) for group in
                   (CASES, HELD_OUT))  # fmt: skip
    return Outcome(float(tuned), float(held), safe)


def vary(job: tuple[str, str, int]) -> Outcome | None:
    """The learner with one constant changed; None where it fails."""
    name, variant, seeds = job
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.alarm(SECONDS)
    try:
        with np.errstate(all="ignore"), constants_of(learner)[name].changed(variant):
            found = evaluate(seeds)
        return found if np.isfinite(found).all() else None
    except Exception:  # whatever an absurd constant leads to
        return None
    finally:
        signal.alarm(0)


def _too_long(*signal: Any) -> None:
    raise TimeoutError


def entry(found: Outcome | None, base: Outcome) -> str:
    if found is None:
        return f"{'–':>21s}"
    return f"{1e3 * (found.tuned - base.tuned):+8.1f}{1e3 * (found.held - base.held):+7.1f}{found.safe:6.2f}"


def short(value: Any) -> str:
    return f"{value:g}" if np.ndim(value) == 0 else f"{len(value)} of them"


def outcomes(jobs: list[tuple[str, str, int]]) -> Iterator[Outcome | None]:
    """All variants, in order, by several processes."""
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        yield from pool.imap(vary, jobs)


def ablate(name: str, chosen: list[str], seeds: int) -> None:
    """Print the table, a line a constant."""
    global learner
    learner = learner_class(name)
    signal.signal(signal.SIGALRM, _too_long)
    load()
    base = evaluate(seeds)
    print(f"{name}: geometric mean {base.tuned:.4f} over the tuned cases, {base.held:.4f} over those held out; "
          f"running total over ω = 1 at most {base.safe:.3f}\n"
          "columns: change of the two means in thousandths, and this highest running total\n"
          f"{'constant':18s}{'value':>12s}" + "".join(f"{text:>21s}" for text in VARIANTS), flush=True)  # fmt: skip
    names = chosen or list(constants_of(learner))
    found = outcomes([(name, variant, seeds) for name in names for variant in VARIANTS])
    idle = []
    for name in names:
        row = dict(zip(VARIANTS, found))
        print(f"{name:18s}{short(constants_of(learner)[name].value):>12s}"
              + "".join(entry(outcome, base) for outcome in row.values()), flush=True)  # fmt: skip
        for variant in ("0", "∞"):
            outcome = row[variant]
            if outcome and max(outcome.tuned - base.tuned, outcome.held - base.held) <= NOTHING:
                idle.append(f"{name} = {variant} (safe {outcome.safe:.2f})")
    print(f"without moving either mean up by more than {NOTHING:g}: {', '.join(idle) or 'none'}")


def ablate_accuracy(measure: Callable[[], tuple[float, ...]], headings: tuple[str, ...]) -> None:
    """Print what `measure` finds with every constant of tuning/accuracy.py set to nothing, and doubled."""
    known = constants_in([accuracy])
    print(f"{'constant':18s}{'value':>9s}{'':>5s}" + "".join(f"{text:>10s}" for text in headings))
    print(f"{'as they are':32s}" + "".join(f"{number:10.3f}" for number in measure()), flush=True)
    for name, constant in known.items():
        for variant in ("0", "× 2"):
            with constant.changed(variant):
                found = measure()
            print(f"{name:18s}{short(constant.value):>9s}{variant:>5s}"
                  + "".join(f"{number:10.3f}" for number in found), flush=True)  # fmt: skip
