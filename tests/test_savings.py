"""What a run says it saved against the safe ω is what it saved: the sign, and within 5 points or its own interval."""

from __future__ import annotations

import re
import sys
from itertools import cycle, repeat
from math import exp
from typing import NamedTuple

import numpy as np
import pytest
from conftest import ROOT, run
from petsc4py import PETSc
from systems import fill, laplacian, native, random_rhs, solver

from sorlearn.options import Settings
from sorlearn.petsc.clock import Clock
from sorlearn.records.log import Log
from sorlearn.records.summary import TWO_SIDED, interval
from sorlearn.tuning.comparison import Comparison
from sorlearn.tuning.decision import Decision
from sorlearn.tuning.pricing import Pricing
from sorlearn.tuning.record import Outcome, Solve
from sorlearn.tuning.review import Review
from sorlearn.tuning.session import Session
from sorlearn.tuning.total import Total

#: Wider intervals say nothing.
WIDEST = 0.35
RTOL = 1e-8
HEAT = ROOT / "demos" / "heat2d.py"
rng = np.random.default_rng(3)


def system(strength, wind=0.0, n=16):
    """I + strength (−h²Δ + h² wind·∇) upwind on an n × n grid."""
    low = 1.0 + wind / (n + 1)
    one = np.diag([1.0 + low] * n) - np.diag([low] * (n - 1), -1) - np.diag([1.0] * (n - 1), 1)
    dense = np.eye(n * n) + strength * (np.kron(one, np.eye(n)) + np.kron(np.eye(n), one))
    rows, columns = dense.nonzero()
    starts = np.searchsorted(rows, np.arange(n * n + 1)).astype(PETSc.IntType)
    return PETSc.Mat().createAIJ(dense.shape, csr=(starts, columns.astype(PETSc.IntType), dense[rows, columns]))


class Kind(NamedTuple):
    """A sequence of `solves` systems (strength, wind) and its solver.

    Every so many right-hand sides are zero; solves end at `max_it`.
    """

    systems: list
    ksp: str = "cg"
    solves: int = 150
    zero: int = 0
    max_it: int = 10000


CONSTANT = Kind([(20.0, 0.0)])
NEWTON = Kind([(10.0 ** rng.uniform(-1.0, 2.5), 0.0) for _ in range(150)])
JUMPS = Kind([(s, 0.0) for s in (100.0, 1.0, 1000.0, 0.3) for _ in range(40)])
TURNS = Kind([(0.1, 0.0), (1000.0, 0.0)], solves=300)
UNLIKE = Kind([(10.0 ** (2.0 * np.sin(t * t)), 0.0) for t in range(300)], solves=300)
EASY = Kind([(0.05, 0.0)], solves=200)
CONVECTION = Kind([(10.0 ** (1.0 + np.sin(t / 12.0)), 20.0 + 15.0 * np.sin(t / 7.0)) for t in range(150)], "gmres")
PAUSES = Kind([(20.0 * (1.1 + np.sin(t / 20.0)), 0.0) for t in range(240)], solves=240, zero=2)
TINY = Kind([(0.002, 0.0)], solves=60)
HOPELESS = Kind([(s, 0.0) for s, solves in ((1.0, 40), (1e4, 80), (1.0, 30)) for _ in range(solves)], max_it=15)
HARD = Kind([(10.0 ** (1.0 + 2.0 * np.sin(t / 12.0)), 0.0) for t in range(150)], max_it=40)
GUARDED = {"ksp_python_type": "sorlearn.KSP"}
RUNS = {
    "constant": (CONSTANT, {}),
    "newton": (NEWTON, {}),
    "jumps": (JUMPS, {}),
    "easy": (EASY, {}),
    "convection": (CONVECTION, {}),
    "pauses": (PAUSES, {}),
    "tiny": (TINY, {}),
    "hopeless": (HOPELESS, {}),
    "hard": (HARD, {}),
    "constant_tsallis": (CONSTANT, {"pc_sorlearn_learner": "tsallis_inf"}),
    "newton_tsallis": (NEWTON, {"pc_sorlearn_learner": "tsallis_inf"}),
    "easy_tsallis": (EASY, {"pc_sorlearn_learner": "tsallis_inf"}),
    "convection_tsallis": (CONVECTION, {"pc_sorlearn_learner": "tsallis_inf"}),
    "newton_guarded": (NEWTON, GUARDED),
    "convection_guarded": (CONVECTION, GUARDED),
    "pauses_guarded": (PAUSES, GUARDED),
    "tiny_guarded": (TINY, GUARDED),
    "turns_guarded": (TURNS, GUARDED),
    "unlike_guarded": (UNLIKE, GUARDED),
}


def iterations(ksp, kind):
    """Of all solves."""
    total, old = 0, None
    for t, given in zip(range(kind.solves), cycle(kind.systems)):
        if given != old:
            A, old = system(*given), given
            ksp.setOperators(A)
        b, x = random_rhs(A, t)
        if kind.zero and t % kind.zero == 0:
            b.set(0.0)
        ksp.solve(b, x)
        total += ksp.its
    return total


def learned(name):
    """The KSP of a run, and its PC."""
    kind, options = RUNS[name]
    guarded = options is GUARDED
    more = {**options, "sorlearn_ksp_type": kind.ksp} if guarded else options
    ksp_type = "python" if guarded else kind.ksp
    given = {"ksp_type": ksp_type, "ksp_rtol": RTOL, "ksp_max_it": kind.max_it, **more}
    ksp = solver(system(*kind.systems[0]), f"{name}_", **given)
    return ksp, ksp.getPC().getPythonContext()


def check(share, low, high, truth):
    assert abs(share - truth) <= 0.05 or low <= truth <= high
    assert low <= 0.0 <= high or share * truth > 0.0  # no sign is claimed where it may be either
    assert high - low <= 2.0 * WIDEST


@pytest.mark.parametrize("name", RUNS)
def test_savings_are_true(name):
    kind, _ = RUNS[name]
    plain = native(system(*kind.systems[0]), ksp_type=kind.ksp, ksp_rtol=RTOL, ksp_max_it=kind.max_it)
    expected = iterations(plain, kind)
    ksp, tuner = learned(name)
    truth = 1.0 - iterations(ksp, kind) / expected
    saved = tuner._tuned.session.review.comparison.savings()
    ksp.destroy()
    assert saved is not None
    share, _ = saved
    low, high = interval(saved)
    print(f"{name}: {100 * share:.1f} % ({100 * low:.1f} to {100 * high:.1f} %), truth {100 * truth:.1f} %")
    if "tiny" in name:
        assert saved == (0.0, 0.0) and truth == 0.0
    check(share, low, high, truth)


def heat(*arguments):
    """The demo's output, and its iterations."""
    out = run(1, sys.executable, HEAT, "-n_x", "50", *arguments).stdout
    return out, int(re.findall(r"(\d+) iterations, ", out)[-1])


TUNED = ("-pc_type", "python", "-pc_python_type", "sorlearn.PC")


def test_the_summary_of_the_heat_demo_is_true():
    _, expected = heat()
    out, took = heat(*TUNED, "-pc_sorlearn_summary")
    said = re.search(r"saved against omega = 1: (-?\d+) % of its iterations \(from (-?\d+) to (-?\d+) %\)", out)
    share, low, high = (int(number) / 100.0 for number in said.groups())
    check(share, low, high, 1.0 - took / expected)


def summary_of(session):
    alone = Total(session.settings, False)
    alone.begin(session.review)
    return alone.summary()


def test_the_summary_leaves_out_loaded_runs(tmp_path):
    options = {"ksp_type": "cg", "ksp_rtol": RTOL}
    before = solver(system(20.0), "loaded_", pc_sorlearn_save=tmp_path / "state", **options)
    iterations(before, CONSTANT)
    before.destroy()
    after = solver(system(20.0), "loaded_", pc_sorlearn_load=tmp_path / "state", **options)
    took = iterations(after, CONSTANT._replace(solves=12))
    after.getPC().getPythonContext()._take_back()
    session = after.getPC().getPythonContext()._tuned.session
    assert session.books.solves == CONSTANT.solves + 12  # it was loaded
    counted = session.review.comparison
    assert counted.safe + counted.others == session.review.tally.iterations == took
    assert f", 12 solves, {took} iterations" in summary_of(session)
    after.destroy()


def test_a_mesh_that_changes_its_size_has_one_summary_and_keeps_no_session_for_it():
    """Of 40 sizes, of which five may wait to come back; two KSPs live at the same time."""
    script = f"""
import gc
import sys
sys.path[:0] = [{str(ROOT / "tests")!r}]
from sorlearn.tuning.registry import Registry
from sorlearn.tuning.session import Session
from systems import laplacian, random_rhs, solver
Registry.LIMIT = 5
iterations, other = 0, solver(laplacian(30), "mesh_", pc_sorlearn_summary=True)
for size in range(3, 43):
    A = laplacian(size)
    ksp = solver(A, "mesh_")
    for _ in range(2):
        ksp.solve(*random_rhs(A))
        iterations += ksp.getIterationNumber()
    ksp.destroy()
    other.solve(*random_rhs(other.getOperators()[0]))
    iterations += other.getIterationNumber()
other.destroy()
sessions = [one for one in gc.get_objects() if isinstance(one, Session)]
print(len(sessions), iterations, flush=True)
"""
    out = run(1, sys.executable, "-c", script).stdout
    sessions, iterations = map(int, out.splitlines()[0].split())
    assert sessions <= 6
    (said,) = re.findall("sorlearn summary of mesh_: .*", out)
    assert f"120 solves, {iterations} iterations" in said
    assert "sum of 41 solvers that were tuned separately" in out and "; 2.9 solves each" in out


def test_what_sorlearn_took_itself_has_learning_and_writing_in_it(monkeypatch):
    charged, charge = [], Session.charge
    monkeypatch.setattr(Session, "charge", lambda *given: charged.append(1) or charge(*given))
    monkeypatch.setattr(Clock, "own", lambda clock: float(len(charged)))
    ksp = solver(system(20.0), "own_", ksp_type="cg")
    b, x = random_rhs(ksp.getOperators()[0], 0)
    for _ in range(3):
        ksp.solve(b, x)
    assert ksp.getPC().getPythonContext()._tuned.session.review.tally.own == 1.0 + 2.0 + 3.0
    ksp.destroy()


# -- the account alone


def account(solves, *, strict=False):
    """Of solves (iterations, safe, ratio), and the digits asked for where they differ; all audits drawn if `strict`."""
    found = Comparison(at_random=strict)
    for count, safe, ratio, *digits in solves:
        found.enter(count, safe, ratio, 1, *digits, audit=safe)
    return found


SAFE, OTHER, AUDIT, MODELLED = (20.0, True, None), (10.0, False, None), (20.0, True, 1.0), (10.0, False, 20.0 / 11.0)


@pytest.mark.parametrize("solves", [
    [],
    [OTHER] * 50,  # nothing to compare with, and no model
    [SAFE, *[OTHER] * 50],
    [SAFE, OTHER, SAFE, *[OTHER] * 50],
])  # fmt: skip
def test_nothing_is_known_without_evidence(solves):
    assert account(solves).savings() is None


@pytest.mark.parametrize(("solves", "truth", "widest"), [
    ([SAFE, OTHER] * 50, 0.25, 0.06),
    ([AUDIT, MODELLED] * 50, 0.25, 0.04),
    ([AUDIT, *[MODELLED] * 99], 0.495, 0.09),
    ([SAFE, *[OTHER] * 9] * 10, 0.45, 0.1),
    ([(20.0, True, 0.75), (10.0, False, 1.45)] * 50, 0.25, 0.04),  # the model is off, and audits tell
    ([AUDIT, *[(10.0, False, 1.7)] * 30], 0.485, 0.1),
    ([(1.0, True, None), (1.0, False, None), *[SAFE, OTHER] * 4] * 20, 0.244, 0.06),  # cheap pairs weigh little
    ([SAFE, (30.0, False, None)] * 50, -0.25, 0.1),
])  # fmt: skip
def test_savings_of_an_account(solves, truth, widest):
    share, error = account(solves).savings()
    assert abs(share - truth) <= TWO_SIDED * error and error <= widest


@pytest.mark.parametrize("solves", [
    [(20.0, True, 1.0, 2.0), *[(11.5, False, 1.68, 9.0)] * 50],  # other digits asked for
    [(20.0, True, 1.0, None), *[(11.5, False, 1.68, None)] * 50],  # from guesses
    [(20.0, True, 1.0), *[(11.5, False, 9.0), (10.0, False, 1.0)] * 10],  # more than is credible
    [*[(9.0, True, 1.0)] * 9, *[(11.5, False, 1.68)] * 50],  # the safe omega was seen where it takes half as much
    [AUDIT, *[(11.5, False, 1.68)] * 25, *[(20.0, False, None)] * 25],  # the model wasn't asked
])  # fmt: skip
def test_what_nothing_confirms_is_left_in_doubt(solves):
    (share, error), told = account(solves).savings(), account([AUDIT, *[(11.5, False, 1.68)] * 50]).savings()
    assert error / (1.0 - share) > 1.3 * told[1] / (1.0 - told[0])


def test_pairs_dispel_it():
    found = [account([(20.0, True, 1.0, None), *[(11.5, False, 1.68, None)] * 9] * runs).savings() for runs in (1, 20)]
    assert found[1][1] < 0.5 * found[0][1]


@pytest.mark.parametrize(("rtols", "guess"), [((1e-2, 1e-5, 1e-9, 1e-12), False), ((1e-5,), True)])
def test_savings_are_true_where_digits_and_guesses_differ(rtols, guess):
    A, took = system(20.0, n=30), []
    for ksp in native(A, ksp_type="cg"), solver(A, "differ_", ksp_type="cg"):
        ksp.setInitialGuessNonzero(guess)
        x, b = A.createVecs()
        took.append(0)
        for t, rtol in zip(range(100), cycle(rtols)):
            ksp.setTolerances(rtol=rtol)
            if not guess:
                b, _ = random_rhs(A, t)
            else:  # a step of the heat equation towards its steady state
                x.copy(b)
                b.shift(1.0)
            ksp.solve(b, x)
            took[-1] += ksp.its
    tuner = ksp.getPC().getPythonContext()
    tuner._take_back()
    low, high = interval(tuner._tuned.session.review.comparison.savings())
    print(f"{100 * low:.1f} to {100 * high:.1f} %, truth {100 * (1.0 - took[1] / took[0]):.1f} %")
    ksp.destroy()
    assert low <= 1.0 - took[1] / took[0] <= high


@pytest.mark.parametrize(("period", "n"), [(15.0, 40), (5.0, 40), (15.0, 25)])
def test_savings_are_true_where_the_safe_omega_is_due_on_easy_systems(period, n):
    """They swing between easy and hard ones, and begin in the middle."""
    A, took = laplacian(n), [0, 0]
    plain, ksp = native(A, ksp_type="cg"), solver(A, "swings_", ksp_type="cg")
    for t in range(400):
        fill(A, n, shift=-0.3 * 10.0 ** (1.5 * np.sin(t / period)))
        for i, one in enumerate((plain, ksp)):
            b, x = random_rhs(A, t)
            one.setOperators(A)
            one.solve(b, x)
            took[i] += one.its
    tuner = ksp.getPC().getPythonContext()
    tuner._take_back()
    low, high = interval(tuner._tuned.session.review.comparison.savings())
    ksp.destroy()
    print(f"{100 * low:.1f} to {100 * high:.1f} %, truth {100 * (1.0 - took[1] / took[0]):.1f} %")
    assert low <= 1.0 - took[1] / took[0] <= high <= low + WIDEST


@pytest.mark.parametrize(("decided", "outcome", "share"), [
    (1.0, Outcome(90, -3, failed=True, alone=30), -2.0),  # the safe ω failed, as others did
    (1.0, Outcome(90, 2, True, True, 1.5, alone=30), -2.0),
    (1.0, Outcome(30, -3, failed=True, alone=30), 0.0),  # not repaired
    (1.4, Outcome(70, 2, True, True, 1.0, alone=50), -0.4),  # the safe ω repaired it
    (1.4, Outcome(90, -3, failed=True, alone=30), -2.0),
])  # fmt: skip
def test_a_failed_solve_costs_what_the_safe_omega_took_alone(decided, outcome, share):
    review = Review("", Settings(), Pricing("work"), Log("", None, None), at_random=False)
    for _ in range(20):
        review.enter(Decision(decided, 1.0), Solve(outcome), 3.0)
    assert review.comparison.savings() == pytest.approx((share, 0.0))
    counted = review.comparison
    assert counted.safe + counted.others == review.tally.iterations


def test_repairs_by_another_omega_than_the_safe_one_say_little_of_it():
    found = account([SAFE, *[MODELLED] * 9])
    before = found.savings()
    found.enter_failed(40.0, 15.0, known=False)
    assert found.savings()[0] < before[0] and found.savings()[1] > 0.0


def test_jumping_costs_widen_the_interval():
    steady = account([SAFE, OTHER] * 20).savings()
    sizes = [size for size, _ in zip(cycle((1.0, 10.0, 0.3, 3.0, 0.1)), repeat(0, 40))]
    jumping = account([(20.0 * size, t % 2 == 0, None) for t, size in enumerate(sizes)]).savings()
    assert jumping[1] > 1.5 * steady[1]


def test_audits_at_random_are_the_better_evidence():
    solves = [SAFE, OTHER] * 50
    assert account(solves, strict=True).savings()[1] < account(solves).savings()[1]


@pytest.mark.parametrize("ratio", [None, 2.0])
def test_accounts_add_up_to_that_of_all_solves(ratio):
    first, then = [(20.0, True, None), (10.0, False, ratio)] * 10, [(50.0, True, None), (20.0, False, ratio)] * 20
    added = Comparison()
    for part in (first, then):
        added.add(account(part))
    whole = account(first)
    whole._last = None  # no pair is of both
    for solve in then:
        whole.enter(*solve)
    assert added.savings() == pytest.approx(whole.savings())


def test_an_account_of_nothing_adds_nothing():
    added = account([SAFE, OTHER] * 10)
    before = vars(added).copy()
    added.add(Comparison())
    assert vars(added) == before


def test_safe_solves_alone_save_nothing():
    assert account([SAFE] * 10).savings() == (0.0, 0.0)


def test_safe_solves_that_were_not_drawn_are_compared_with_nothing():
    """A learner plays safe where matrices are easy; what is drawn is compared with what was predicted for itself."""
    found = Comparison(at_random=True)
    found.enter(19.0, True, None, audit=True)
    for _ in range(30):
        found.enter(9.0, False, 2.0)
        found.enter(1.0, True, 1.0)
    assert found.weight == 0.0 and found.savings()[0] == pytest.approx(1.0 - 319.0 / 619.0)
    for _ in range(200):
        found.enter(19.0, True, 0.8, audit=True)
    assert exp(found.bias) == pytest.approx(1.25)
