"""Any PC of PETSc behind `sorlearn.Lag`: as PETSc itself, set up no more than it pays, repaired where it fails."""

from __future__ import annotations

import itertools
import json
import re
import sys
import time

import numpy as np
import pytest
from conftest import ROOT, run
from petsc4py import PETSc
from systems import fill, from_options, laplacian, random_rhs, true_residual
from test_positions import build

from sorlearn.errors import OptionError
from sorlearn.petsc import fast
from sorlearn.petsc.delegate import cancel_monitors
from sorlearn.petsc.likeness import Likeness
from sorlearn.petsc.upkeep import Upkeep

pytestmark = pytest.mark.both_ways
N = 16
_numbers = itertools.count()
_INDEFINITE = int(PETSc.KSP.ConvergedReason.DIVERGED_INDEFINITE_PC)
#: Typed options of preconditioners.
PCS = {
    "default": "",
    "jacobi": "-pc_type jacobi",
    "sor": "-pc_type sor -pc_sor_omega 1.3",
    "icc": "-pc_type bjacobi -sub_pc_type icc -sub_pc_factor_levels 2",
    "ilu, four blocks": "-pc_type bjacobi -pc_bjacobi_blocks 4 -sub_pc_type ilu",
    "asm": "-pc_type asm -pc_asm_type basic -sub_pc_type lu",
    "redundant": "-pc_type redundant -redundant_pc_type cholesky",
    "gamg": "-pc_type gamg",
    "hypre": "-pc_type hypre",
    "composite": "-pc_type composite -pc_composite_type additive -pc_composite_pcs jacobi,sor",
    "fieldsplit": "-pc_type fieldsplit -pc_fieldsplit_type additive -pc_fieldsplit_block_size 2",
    "ksp": "-pc_type ksp -ksp_ksp_type cg -ksp_ksp_max_it 3 -ksp_pc_type jacobi -ksp_ksp_convergence_test skip",
    "python": "-pc_type python -pc_python_type sorlearn.PC -pc_sorlearn_learner fixed",
}
#: Newer PETSc's set up the single block a rank of PCBJACOBI, and what PCCOMPOSITE has, once more after they were told
#: to reuse them.
REUSED = tuple(kind for kind in PCS if kind not in ("default", "icc", "composite"))
#: On one rank PCREDUNDANT sets itself up for changed matrices, whatever it is told.
DIRECT = "-pc_type cholesky" if PETSc.COMM_WORLD.getSize() == 1 else PCS["redundant"]
GAMG = "-pc_type gamg -pc_gamg_reuse_interpolation 0"
SYMMETRIC = {"cholesky": "-pc_type cholesky", "icc": "-pc_type icc -pc_factor_levels 1"}


def context(ksp):
    return ksp.getPC().getPythonContext()


def pc_options(typed, prefix):
    """The typed options under a prefix, as a dict without dashes."""
    words = typed.split()
    return {prefix + name.lstrip("-"): value for name, value in zip(words[::2], words[1::2])}


def configured(A, prefix, options):
    database = PETSc.Options(prefix)
    for name, value in {"ksp_type": "cg", **options}.items():
        database[name] = value
    return from_options(A, prefix)


def plain(A, typed, **options):
    return configured(A, f"plain{next(_numbers)}_", {**pc_options(typed, ""), **options})


def lagged(A, typed, **options):
    own = {"pc_type": "python", "pc_python_type": "sorlearn.Lag"}
    return configured(A, f"lag{next(_numbers)}_", {**own, **pc_options(typed, "lag_"), **options})


def available():
    without = () if PETSc.Sys.hasExternalPackage("hypre") else ("hypre",)
    return {kind: typed for kind, typed in PCS.items() if kind not in without}


def histories(ksp, A, shifts, reuse=False, told=True, n=N):
    """Residual norms of solves with A − shift; the first set-up stays if `reuse`; KSP is `told` of new values."""
    found = []
    ksp.setConvergenceHistory(reset=True)
    for seed, shift in enumerate(shifts):
        fill(A, n, shift)
        if told:
            ksp.setOperators(A)
        b, x = random_rhs(A, seed)
        ksp.solve(b, x)
        found.append((ksp.getConvergedReason(), ksp.getConvergenceHistory().tolist(), x.getArray().tolist()))
        if reuse:
            ksp.getPC().setReusePreconditioner(True)
    return found


SHIFTS = (-0.5, -0.4, -0.6, 0.0, -1.0)


@pytest.mark.parallel(1, 2)
def test_set_up_for_every_matrix_is_petsc_s_own_preconditioner():
    for kind, typed in available().items():
        A = laplacian(N)
        A.setBlockSize(2)
        native = histories(plain(A, typed, ksp_type="gmres"), A, SHIFTS)
        assert histories(lagged(A, typed, ksp_type="gmres", lag_solves=1), A, SHIFTS) == native, kind


@pytest.mark.parallel(1, 2)
def test_a_kept_set_up_is_one_that_petsc_reuses():
    for kind in [kind for kind in REUSED if kind in available()]:
        A, typed = laplacian(N), PCS[kind]
        A.setBlockSize(2)
        native = histories(plain(A, typed, ksp_type="gmres"), A, SHIFTS, reuse=True)
        ksp = lagged(A, typed, ksp_type="gmres", lag_solves=1000)
        assert histories(ksp, A, SHIFTS) == native, kind
        assert context(ksp).tally.set_ups == 1, kind


@pytest.mark.parametrize("kind", SYMMETRIC)
@pytest.mark.parametrize("ksp_type", ["cg", "bicg", "minres"])
def test_factors_transposed_and_symmetric(kind, ksp_type):
    A = laplacian(N)
    native = histories(plain(A, SYMMETRIC[kind], ksp_type=ksp_type), A, SHIFTS)
    assert histories(lagged(A, SYMMETRIC[kind], ksp_type=ksp_type, lag_solves=1), A, SHIFTS) == native


@pytest.mark.parametrize("ksp_type", ["gmres"])
def test_symmetric_side(ksp_type):
    A = laplacian(N)
    options = {"ksp_type": ksp_type, "ksp_pc_side": "symmetric", "ksp_norm_type": "preconditioned"}
    native = histories(plain(A, SYMMETRIC["icc"], **options), A, SHIFTS)
    assert histories(lagged(A, SYMMETRIC["icc"], lag_solves=1, **options), A, SHIFTS) == native


@pytest.mark.parallel(1, 2)
def test_multigrid_on_a_dm():
    histories_of = {}
    for flags in ("-pos_pc_type mg", "-pos_pc_type python -pos_pc_python_type sorlearn.Lag -pos_lag_pc_type mg"):
        words = " -pos_ksp_type cg -pos_{0}pc_mg_levels 3 -pos_{0}pc_mg_galerkin"
        PETSc.Options().insertString(flags + words.format("lag_" if "Lag" in flags else ""))
        ksp = build("grid")
        A = ksp.getOperators()[0]
        ksp.setConvergenceHistory(reset=True)
        b, x = random_rhs(A)
        ksp.solve(b, x)
        histories_of[flags] = ksp.getConvergenceHistory().tolist()
        ksp.destroy()
        for name in PETSc.Options().getAll():
            PETSc.Options().delValue(name)
    assert len(set(map(tuple, histories_of.values()))) == 1


@pytest.mark.parallel(1, 2)
def test_a_matrix_that_does_not_change_is_set_up_once():
    A = laplacian(N)
    ksp = lagged(A, PCS["icc"])
    for seed in range(20):
        b, x = random_rhs(A, seed)
        ksp.setOperators(A)
        ksp.solve(b, x)
    assert (context(ksp).tally.set_ups, context(ksp).tally.solves) == (1, 20)


@pytest.fixture
def worth_twenty(monkeypatch):
    """Clocks by which every set-up is worth twenty applications, however busy the machine is."""
    monkeypatch.setattr("sorlearn.tuning.worth.Worth.agree", lambda self, readings, fresh: 20.0)


@pytest.mark.parallel(1, 2, 4)
def test_a_matrix_that_hardly_changes_is_not_set_up_for_again(worth_twenty):
    A = laplacian(N)
    ksp = lagged(A, DIRECT, ksp_norm_type="unpreconditioned")
    for seed in range(40):
        fill(A, N, shift=-0.5 - 1e-6 * seed)
        b, x = random_rhs(A, seed)
        ksp.solve(b, x)
        assert true_residual(A, b, x) < 1e-5
    tally = context(ksp).tally
    assert tally.set_ups < 5 and tally.solves == 40


@pytest.fixture
def hopeless(monkeypatch):
    """Nothing good is expected of any set-up for another matrix, and next to nothing may be lost by trying one."""
    monkeypatch.setattr("sorlearn.tuning.credit.SHARE", 1e-9)
    monkeypatch.setattr("sorlearn.tuning.lag.Renewal._expected", lambda self: np.inf)


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("typed", [PCS["redundant"], PCS["icc"], PCS["asm"], GAMG])
def test_where_all_matrices_are_unlike_solves_are_set_up_for_without_python(
    hopeless, worth_twenty, tmp_path, typed, monkeypatch
):
    path, seen = tmp_path / "journal", []
    monkeypatch.setattr(Upkeep, "begin", lambda self, begin=Upkeep.begin: seen.append(0) or begin(self))
    A, shifts = laplacian(N), [-(10.0 ** (t % 3)) for t in range(60)]
    ksp = lagged(A, typed, lag_journal=path)
    found = histories(ksp, A, shifts)
    assert found == histories(plain(A, typed), A, shifts)
    ksp.destroy()
    assert len(seen) < 20 if fast.library() else len(seen) == 60
    if PETSc.COMM_WORLD.getRank() == 0:
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        assert [entry["solve"] for entry in entries] == list(range(1, 61))
        assert all(entry["age"] == 1 and 0 < entry["iterations"] <= entry["applications"] for entry in entries)


def test_answers_are_no_omegas_there(hopeless, worth_twenty, monkeypatch):
    """They are looked at for nothing else but failures, also in a norm that another ω would make lenient."""
    seen, A = [], laplacian(N)
    monkeypatch.setattr(Upkeep, "begin", lambda self, begin=Upkeep.begin: seen.append(0) or begin(self))
    ksp = lagged(A, PCS["icc"], ksp_type="gmres")
    for t in range(60):
        fill(A, N, shift=-(10.0 ** (t % 3)))
        ksp.setOperators(A)
        ksp.solve(*random_rhs(A, t))
    assert len(seen) < 20 if fast.library() else len(seen) == 60
    assert context(ksp)._unattended.state.easy == 0.0


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize(("every", "unlike"), [(1, True), (0, True), (0, False)])
def test_solves_in_which_nothing_is_applied(tmp_path, every, unlike):
    """Every other right-hand side is zero, the first one, too."""
    path, A = tmp_path / "journal", laplacian(N)
    ksp = lagged(A, PCS["icc"], ksp_norm_type="unpreconditioned", lag_journal=path, lag_solves=every)
    for solve in range(60):
        fill(A, N, shift=-(10.0 ** (solve % 5 - 1)) if unlike else -0.5 - 1e-3 * solve)
        ksp.setOperators(A)
        b, x = random_rhs(A, solve)
        b.scale(solve % 2)
        ksp.solve(b, x)
        assert ksp.getConvergedReason() > 0 and (not solve % 2 or true_residual(A, b, x) < 1e-4)
    tally = context(ksp).tally
    ksp.destroy()
    assert tally.solves == 60 and tally.set_ups <= 60 and (tally.set_ups == 60 or not every)
    if PETSc.COMM_WORLD.getRank() == 0:
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        assert [entry["solve"] for entry in entries] == list(range(1, 61))
        assert sum(entry["age"] == 1 for entry in entries) == tally.set_ups
        assert [entry["applications"] > 0 for entry in entries] == [False, True] * 30


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("errors", [False, True])
def test_what_fails_there_is_repaired_all_the_same(hopeless, worth_twenty, errors):
    """GAMG's interpolation of diagonally dominant matrices is of no use for a Laplacian."""
    A = laplacian(30)
    ksp = lagged(A, "-pc_type gamg -pc_gamg_reuse_interpolation 1", ksp_norm_type="unpreconditioned")
    ksp.setErrorIfNotConverged(errors)
    histories(ksp, A, [-100.0 - t for t in range(20)], n=30)
    assert bool(context(ksp)._unattended.state.left) is bool(fast.library())
    fill(A, 30)
    ksp.setOperators(A)
    b, x = random_rhs(A)
    ksp.setInitialGuessNonzero(True)
    ksp.solve(b, x)
    assert ksp.getConvergedReason() > 0 and ksp.getErrorIfNotConverged() is errors
    assert true_residual(A, b, x) < 1e-5
    assert context(ksp).tally.solves == 21


@pytest.mark.parallel(1, 2)
def test_what_changes_there_is_heard_of(hopeless, worth_twenty):
    """The same matrix again, an error in a solve, matrices that change in place, options read again, another size."""
    A = laplacian(N)
    ksp, native = (make(A, DIRECT, ksp_norm_type="unpreconditioned") for make in (lagged, plain))

    def both(shifts, **how):
        assert histories(ksp, A, shifts, **how) == histories(native, A, shifts, **how)

    def break_off(*_):
        raise RuntimeError

    unlike = [-(10.0 ** (t % 3)) for t in range(20)]
    both(unlike)
    for seed in range(2):
        ksp.solve(*random_rhs(A, seed))
    assert (context(ksp).tally.set_ups, context(ksp).tally.solves) == (21, 22)
    both(unlike)
    ksp.setMonitor(break_off)
    with pytest.raises((RuntimeError, PETSc.Error)):
        histories(ksp, A, unlike[:1])
    cancel_monitors(ksp)
    both(unlike)
    both(unlike, told=False)
    ksp.setFromOptions()
    both(unlike)
    B = laplacian(N // 2)
    for solver in (ksp, native):
        solver.reset()
        solver.setOperators(B)
    b, x = random_rhs(B)
    ksp.solve(b, x)
    assert true_residual(B, b, x) < 1e-5


@pytest.mark.parallel(1, 2)
def test_a_solve_that_fails_with_a_kept_set_up_is_repeated_with_a_fresh_one():
    A = laplacian(N)
    for errors, told in itertools.product((False, True), repeat=2):
        options = {"ksp_max_it": 6, "ksp_type": "cg", "ksp_norm_type": "unpreconditioned"}
        expected = histories(plain(A, DIRECT, **options), A, (-100.0, 0.5))[-1]
        ksp = lagged(A, DIRECT, lag_solves=1000, **options)
        ksp.setErrorIfNotConverged(errors)
        found = histories(ksp, A, (-100.0, 0.5), told=told)[-1]
        assert found[0] == expected[0] > 0
        assert found[2] == expected[2]
        assert context(ksp).tally.rescued == 1
        assert ksp.getIterationNumber() > 6  # both, and the user's settings are back
        assert ksp.getTolerances()[3] == 6 and ksp.getErrorIfNotConverged() is errors


class Slow:
    """A factorisation that takes its time."""

    def setUp(self, pc):
        time.sleep(0.05)
        self.factor = PETSc.PC().create(PETSc.COMM_SELF)
        self.factor.setType("cholesky")
        self.factor.setOperators(*pc.getOperators())
        self.factor.setUp()
        self.factor.setReusePreconditioner(True)

    def apply(self, pc, x, y):
        self.factor.apply(x, y)


@pytest.mark.parametrize("fails", [False, True])
def test_a_set_up_counts_once_in_the_time_of_its_solve(fails, tmp_path):
    A, journal = laplacian(N), tmp_path / "journal"
    typed = f"-pc_type python -pc_python_type test_lag.Slow -journal {journal}"
    ksp = lagged(A, typed, lag_solves=1000, ksp_max_it=6, ksp_norm_type="unpreconditioned")
    histories(ksp, A, (-100.0,))
    fill(A, N, 0.5 if fails else -100.01)
    b, x = random_rhs(A)
    ksp.setOperators(A)
    began = time.perf_counter()
    ksp.solve(b, x)
    took = time.perf_counter() - began
    assert ksp.getConvergedReason() > 0 and context(ksp).tally.rescued == fails
    ksp.destroy()
    first, second = map(json.loads, journal.read_text().splitlines())
    assert first["seconds"] > 0.05
    assert 0.05 * fails < second["seconds"] <= took


@pytest.mark.parametrize("lag", [0, 1, 1000])
def test_what_a_type_keeps_of_its_first_set_up_is_made_anew_where_it_breaks_down(lag):
    """GAMG's interpolation of a diagonally dominant matrix is of no use for a Laplacian."""
    A, options, shifts = laplacian(30), {"ksp_norm_type": "unpreconditioned"}, (-100.0, 0.0)
    typed = "-pc_type gamg -pc_gamg_reuse_interpolation 1"
    native = histories(plain(A, typed, **options), A, shifts, n=30)
    assert native[-1][0] == _INDEFINITE or PETSc.Sys.getVersion() > (3, 19, 0)  # newer ones manage
    ksp = lagged(A, typed, lag_solves=lag, **options)
    assert histories(ksp, A, shifts, n=30)[-1][0] > 0
    b, x = random_rhs(A)
    ksp.solve(b, x)
    assert true_residual(A, b, x) < 1e-5


@pytest.mark.parallel(1, 2)
def test_where_a_fresh_set_up_fails_too_the_application_is_told():
    A = laplacian(N)
    options = {"ksp_max_it": 2, "ksp_type": "cg"}
    shifts = (-100.0, *[0.0] * 30)
    native = histories(plain(A, PCS["jacobi"], **options), A, shifts)
    ksp = lagged(A, PCS["jacobi"], **options)
    found = histories(ksp, A, shifts)
    assert [one[0] for one in found] == [one[0] for one in native]
    assert found[-1][2] == native[-1][2]
    assert context(ksp).tally.rescued < 8  # it isn't tried again and again


@pytest.mark.parallel(1, 2)
def test_a_solve_that_gets_too_dear_is_cut_off_and_gone_on_with():
    A = laplacian(N)
    options = {"ksp_norm_type": "unpreconditioned", "ksp_rtol": 1e-8}
    shifts = (-0.5, -0.500001, -20.0)
    kept = lagged(A, DIRECT, lag_solves=1000, **options)
    histories(kept, A, shifts)
    ksp = lagged(A, DIRECT, lag_solves=1000, **options)
    histories(ksp, A, shifts[:2])
    context(ksp)._upkeep.rule.limit = lambda: 5.0
    fill(A, N, shifts[-1])
    b, x = random_rhs(A)
    ksp.solve(b, x)
    assert ksp.getConvergedReason() > 0
    assert true_residual(A, b, x) < 1e-7
    assert context(ksp).tally.rescued == 1
    assert 2 < ksp.getIterationNumber() < min(8, kept.getIterationNumber())


@pytest.mark.parallel(1, 2)
def test_a_zero_pivot_is_told_as_natively():
    A = laplacian(4)
    reasons = []
    for make in (plain, lagged):
        fill(A, 4)
        ksp = make(A, "-pc_type bjacobi -sub_pc_type lu -sub_pc_factor_shift_type none", ksp_type="gmres")
        ksp.solve(*random_rhs(A))
        A.zeroEntries()
        A.shift(0.0)
        ksp.setOperators(A)
        if make is lagged:
            context(ksp)._upkeep.rule.due = lambda *_: True
        ksp.solve(*random_rhs(A))
        reasons.append(ksp.getConvergedReason())
    assert reasons[0] == reasons[1] < 0


@pytest.mark.parallel(1, 2)
def test_new_matrices_of_other_patterns_and_sizes():
    ksp = lagged(laplacian(6), PCS["icc"])
    for n in (6, 6, 9, 9, 12, 6):
        A = laplacian(n)
        if A.getSize() != ksp.getOperators()[0].getSize():
            ksp.reset()
        ksp.setOperators(A)
        b, x = random_rhs(A)
        ksp.solve(b, x)
        assert true_residual(A, b, x) < 1e-3


@pytest.mark.parallel(1, 2)
def test_the_application_s_own_reuse_is_respected():
    A = laplacian(N)
    ksp = lagged(A, PCS["asm"], lag_solves=1)
    native = histories(plain(A, PCS["asm"]), A, SHIFTS, reuse=True)
    assert histories(ksp, A, SHIFTS, reuse=True) == native
    assert context(ksp).tally.set_ups == 1
    ksp.getPC().setReusePreconditioner(False)
    histories(ksp, A, SHIFTS[:1])
    assert context(ksp).tally.set_ups == 2


@pytest.mark.parallel(2, 4)
def test_ranks_with_clocks_of_their_own_decide_alike(monkeypatch):
    rank = PETSc.COMM_WORLD.getRank()
    rng = np.random.default_rng(rank)
    clock = itertools.accumulate(itertools.repeat(1.0), lambda now, _: now + (1.0 + rank) * rng.uniform(0.5, 2.0))
    for room in ("upkeep", "meter"):
        monkeypatch.setattr(f"sorlearn.petsc.{room}.perf_counter", lambda: next(clock))
    A = laplacian(N)
    ksp = lagged(A, DIRECT, ksp_norm_type="unpreconditioned", lag_summary=1)
    ages = []
    for seed in range(60):
        fill(A, N, shift=-0.5 - 0.03 * (seed % 7))
        ksp.solve(*random_rhs(A, seed))
        ages.append(context(ksp)._upkeep.rule.age)
    assert len(set(map(tuple, PETSc.COMM_WORLD.tompi4py().allgather(ages)))) == 1


@pytest.mark.parallel(1, 2)
def test_blocks_whose_solver_does_not_iterate_are_decided_for_by_what_the_outer_one_applies(worth_twenty):
    A = laplacian(N)
    A.setBlockSize(2)
    typed = "-pc_type fieldsplit -pc_fieldsplit_type additive"
    block = {}
    for field in (0, 1):
        stem = f"fieldsplit_{field}_"
        block |= {f"{stem}pc_type": "python", f"{stem}pc_python_type": "sorlearn.Lag", f"{stem}lag_pc_type": "bjacobi",
                  f"{stem}lag_sub_pc_type": "lu"}  # fmt: skip
    ksp = plain(A, typed, ksp_type="gmres", **block)
    for seed in range(20):
        fill(A, N, shift=-0.5 - 1e-7 * seed)
        b, x = random_rhs(A, seed)
        ksp.setOperators(A)
        ksp.solve(b, x)
        assert true_residual(A, b, x) < 1e-4
    for sub in ksp.getPC().getFieldSplitSubKSP():
        assert context(sub).tally.set_ups < 5
        assert context(sub)._witness.text.startswith(
            "decided by the applications between two matrices, and nothing is repaired: preonly does not iterate"
        )


def test_likeness_is_a_lower_bound_of_what_it_stands_for():
    A, B = laplacian(6), laplacian(6)
    likeness = Likeness()
    likeness.keep(A)
    assert likeness.distance(B) == 0.0
    rng = np.random.default_rng(0)
    for _ in range(20):
        fill(B, 6, shift=-rng.exponential(), scale=rng.exponential())
        D = B.createVecLeft()
        D.setArray(rng.exponential(size=36))
        B.setDiagonal(B.getDiagonal() + D)
        factors = [np.linalg.cholesky(M.getValues(range(36), range(36))) for M in (A, B)]
        condition = np.linalg.cond(np.linalg.solve(*factors)) ** 2
        assert 0.0 < likeness.distance(B) <= np.log(condition) + 1e-9
    fill(B, 6, shift=5.0)
    assert likeness.distance(B) == np.inf
    scaled = laplacian(6)
    scaled.scale(7.0)
    assert likeness.distance(scaled) == pytest.approx(0.0, abs=1e-12)
    for other in (PETSc.Mat().createAIJ((36, 30)), PETSc.Mat().createPython(36)):
        assert likeness.distance(other) is None


HEAT = "-pc_type python -pc_python_type sorlearn.Lag"


@pytest.mark.parametrize("nprocs", [1, 2, 4])
def test_a_c_application_by_flags(compiled, tmp_path, nprocs):
    program = compiled(ROOT / "demos/c/heat.c")
    arguments = ["-da_grid_x", 12, "-da_grid_y", 12, "-ts_max_steps", 12]
    flags = f"-python {HEAT} -lag_pc_type gamg -lag_summary -lag_monitor -lag_journal {tmp_path / 'j'} -log_view"
    native = run(nprocs, program, *arguments, options="-pc_type gamg -pc_gamg_reuse_interpolation 0").stdout
    out = run(nprocs, program, *arguments, options=f"{flags} -ksp_view -options_left -malloc_dump").stdout
    norm = [float(re.search(r"norm of the solution (\S+)", text)[1]) for text in (native, out)]
    assert norm[0] == pytest.approx(norm[1], rel=1e-6)
    said = re.search(r"sorlearn.Lag summary of \(no prefix\): (\d+) set-ups in (\d+) solves, .*; rescued: (\d+)", out)
    set_ups, solves, _ = map(int, said.groups())
    assert 0 < set_ups < solves == out.count("  sorlearn.Lag (no prefix) solve ")
    assert "sorlearn.Lag: set-up kept while that pays, decided solve by solve" in out
    assert "SorlearnSetUp" in out and "Total memory" not in out
    assert not re.search(r"Option left: name:-(lag|pc)_", out)
    entries = [json.loads(line) for line in (tmp_path / "j").read_text().splitlines()]
    assert [entry["solve"] for entry in entries] == list(range(1, solves + 1))
    assert sum(entry["age"] == 1 for entry in entries) == set_ups
    assert all(entry["reason"] > 0 for entry in entries)


def test_newton_s_own_lag_is_respected(tutorial):
    program = tutorial("snes/tutorials/ex19.c")
    arguments = ["-da_grid_x", 12, "-da_grid_y", 12, "-snes_lag_preconditioner", 2, "-snes_monitor_short",
                 "-ksp_monitor_short"]  # fmt: skip
    native = run(1, program, *arguments, options="-pc_type ilu").stdout
    assert run(1, program, *arguments, options=f"-python {HEAT} -lag_pc_type ilu -lag_solves 1").stdout == native


def test_time_steppers(tutorial):
    program = tutorial("ts/tutorials/ex13.c")
    arguments = ["-ts_max_steps", 20, "-da_grid_x", 32, "-da_grid_y", 32, "-ts_monitor"]
    out = run(1, program, *arguments, options=f"-python {HEAT} -lag_pc_type lu -lag_summary").stdout
    assert "\n20 TS dt" in out
    assert int(re.search(r"(\d+) set-ups in", out)[1]) < 20


def cause(error):
    """The exception that newer PETSc's have wrapped."""
    while not isinstance(error, OptionError):
        error = error.__cause__
    return error


@pytest.mark.parametrize(("typed", "says"), [
    ("-lag_solves -1", "-heat_lag_solves '-1': must be a whole number from 0"),
    ("-lag_journal", "-heat_lag_journal '': must be a file name"),
    ("-lag_monitor perhaps", "-heat_lag_monitor 'perhaps': must be true or false"),
])  # fmt: skip
def test_wrong_options_are_named(typed, says):
    PETSc.Options().insertString(typed.replace("-lag", "-heat_lag"))
    with pytest.raises((OptionError, PETSc.Error)) as caught:
        configured(laplacian(4), "heat_", {"pc_type": "python", "pc_python_type": "sorlearn.Lag"})
    assert says in str(cause(caught.value))


def test_a_type_that_changes_the_operator_is_refused():
    ksp = lagged(laplacian(4), "-pc_type eisenstat")
    with pytest.raises((OptionError, PETSc.Error)) as caught:
        ksp.setUp()
    assert re.search("-lag[0-9]+_lag_pc_type eisenstat: must be a PC that", str(cause(caught.value)))


def test_memory_stays_flat():
    code = f"""
import sys
sys.path[:0] = [{str(ROOT / "tests")!r}, {str(ROOT / "benchmarks")!r}]
from memory import slope
from test_lag import fill, lagged, laplacian, random_rhs
A = laplacian(6)
ksp = lagged(A, "-pc_type icc")
b, x = random_rhs(A)
def step(i):
    fill(A, 6, shift=-0.1 * (i % 17))
    ksp.solve(b, x)
print(slope(step, 3000))
"""
    assert float(run(1, sys.executable, "-c", code).stdout) < 100
