"""What a kept set-up must not cost: answers nobody tests, solves cut off, errors of set-ups, places inside others."""

from __future__ import annotations

import itertools

import pytest
from petsc4py import PETSc
from systems import fill, laplacian, random_rhs, solver, true_residual
from test_lag import context, lagged, plain

from sorlearn.names import kin
from sorlearn.petsc import lag
from sorlearn.petsc.delegate import set_no_test
from sorlearn.petsc.wrapped import Wrapped
from sorlearn.records.lag import Tally
from sorlearn.tuning.lag import Renewal

pytestmark = pytest.mark.both_ways
N = 16
ILU = "-pc_type bjacobi -sub_pc_type ilu"
LU = "-pc_type redundant -redundant_pc_type lu"
LAG = {"pc_type": "python", "pc_python_type": "sorlearn.Lag", "lag_pc_type": "redundant"}


def unlike(steps=6):
    """Shifts of matrices each of which has little to do with the one before."""
    return [-(10.0 ** (step - 3)) for step in range(steps)]


@pytest.fixture
def worth_hundred(monkeypatch):
    """Set-ups that nobody would make for a solve, whatever the clocks say."""
    monkeypatch.setattr("sorlearn.tuning.worth.Worth.agree", lambda self, readings, fresh: 100.0)


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("options", [
    {"ksp_type": "preonly"},
    {"ksp_type": "richardson", "ksp_norm_type": "none", "ksp_max_it": 3},
])  # fmt: skip
def test_where_nobody_tests_an_answer_every_matrix_is_set_up_for(worth_hundred, options):
    A = laplacian(N)
    ksp = lagged(A, LU, **options)
    for shift in unlike():
        fill(A, N, shift)
        ksp.setOperators(A)
        for seed in range(2):
            b, x = random_rhs(A, seed)
            ksp.solve(b, x)
            assert true_residual(A, b, x) < 1e-10
    assert context(ksp)._witness.text.startswith("but not here, where nobody tests an answer: ")
    ksp.reset()
    assert (context(ksp).tally.set_ups, context(ksp).tally.solves) == (6, 6)


@pytest.mark.parallel(1, 2)
def test_nonlinear_solvers_whose_ksp_applies_once(worth_hundred):
    """A direct solver for each Newton step: as many steps as natively."""
    steps = []
    for kind in ({"pc_type": "redundant"}, LAG):
        prefix = f"once{len(steps)}_"
        for name, value in {"ksp_type": "preonly", **kind}.items():
            PETSc.Options()[prefix + name] = value
        A = laplacian(N)
        x, f = A.createVecs()
        J = A.duplicate(copy=True)

        def residual(snes, x, f, A=A):
            A.mult(x, f)
            y = x.duplicate()
            x.copy(y)
            y.exp()
            f.axpy(3.0, y)
            f.shift(-4.0)

        def jacobian(snes, x, J, P, A=A):
            A.copy(P, structure=PETSc.Mat.Structure.SAME_NONZERO_PATTERN)
            y = x.duplicate()
            x.copy(y)
            y.exp()
            y.scale(3.0)
            diagonal = A.getDiagonal()
            diagonal.axpy(1.0, y)
            P.setDiagonal(diagonal)
            P.assemble()

        snes = PETSc.SNES().create()
        snes.setOptionsPrefix(prefix)
        snes.setFunction(residual, f)
        snes.setJacobian(jacobian, J)
        snes.setTolerances(rtol=1e-12, atol=1e-10)
        snes.setFromOptions()
        snes.solve(None, x)
        assert snes.getConvergedReason() > 0
        steps.append(snes.getIterationNumber())
    assert steps[0] == steps[1] > 1


def test_gcr_calls_its_limit_converged(worth_hundred):
    """A solve that is cut off there isn't taken for an answer."""
    A = laplacian(40)
    ksp = lagged(A, "-pc_type ilu -pc_factor_levels 2", ksp_type="gcr", ksp_rtol=1e-6)
    cut = 0
    for seed in range(24):
        fill(A, 40, shift=-1000.0 if seed // 4 % 2 == 0 else -0.01)
        ksp.setOperators(A)
        if seed and context(ksp)._upkeep.rule.age:
            context(ksp)._upkeep.rule.limit = lambda: 5.0
        b, x = random_rhs(A, seed)
        ksp.solve(b, x)
        cut = context(ksp).tally.rescued
        assert true_residual(A, b, x) < 1.5e-6
    assert cut


def test_gcr_in_the_guarded_solver():
    A = laplacian(50)
    for i in range(2500):
        A.setValue(i, i, 5.5)
        if i % 50:
            A.setValue(i, i - 1, -2.5)
    A.assemble()
    ksp = solver(A, "guarded_gcr_", ksp_type="python", ksp_python_type="sorlearn.KSP", sorlearn_ksp_type="gcr",
                 ksp_rtol=1e-6, pc_sorlearn_learner="tsallis_inf")  # fmt: skip
    for seed in range(80):
        b, x = random_rhs(A, seed)
        ksp.solve(b, x)
        assert true_residual(A, b, x) < 1.5e-6


def test_a_set_up_from_dear_times_goes_when_all_gets_easy():
    """Solves that take 26 with it, and 4 with a fresh one: nothing rises, so that the average alone says nothing."""
    tally = Tally()
    rule, total, fresh = Renewal(0, tally), 0.0, 61.0
    set_up_in_easy_times = False
    for solve in range(400):
        easy = solve >= 20
        rule.worth = 2.0
        kept = solve and not rule.due()
        if not kept:
            rule.renewed()
            total += 2.0
            set_up_in_easy_times |= easy
        fresh = 4.0 if easy else 61.0
        cost = (fresh if set_up_in_easy_times else 26.0) if easy else fresh
        rule.spent(cost, kept=bool(kept))
        total += cost
    each = 20 * 63.0 + 380 * 6.0
    assert total < each
    assert tally.least <= each - total + 1e-9


def test_deciding_counts_in_what_was_saved():
    tally = Tally()
    for _ in range(10):
        tally.solved(10.0)
        tally.kept(5.0, 1.0)
    assert "29 % of the time saved (at most 33 %)" in tally.summary("")
    tally.own(20.0)
    assert "14 % of the time saved (at most 20 %)" in tally.summary("")
    tally.own(30.0)
    assert "between -7 and 0 % of the time saved" in tally.summary("")


@pytest.mark.parametrize("bad", [0, 3, 12])
@pytest.mark.parametrize("rests", [False, True])
def test_an_error_of_a_set_up_leaves_nothing_half_made(monkeypatch, bad, rests):
    """The application catches it, mends the matrix and goes on, as it could natively."""
    seed, outcomes = 0, []
    if bad:  # at 0 the rule has never heard of a set-up
        monkeypatch.setattr("sorlearn.tuning.lag.Renewal.due", lambda self, *_: rests or seed == bad)
    if rests:
        monkeypatch.setattr("sorlearn.tuning.lag.Renewal.rest", lambda self: 5)
    for make in (plain, lagged):
        ksp, found = None, []
        for seed in range(20):
            A = PETSc.Mat().createAIJ([N, N], nnz=3, comm=PETSc.COMM_SELF)
            for i in range(N):
                if not (seed == bad and i == N // 2):
                    A[i, i] = 2.0 + 0.01 * seed
                for j in (i - 1, i + 1):
                    if 0 <= j < N:
                        A[i, j] = -1.0
            A.assemble()
            if ksp is None:
                ksp = make(A, "-pc_type ilu", ksp_type="gmres")
            ksp.setOperators(A)
            b, x = A.createVecs()
            b.set(1.0)
            try:
                ksp.solve(b, x)
                found.append((ksp.getConvergedReason(), ksp.getIterationNumber()))
            except PETSc.Error:
                found.append("error")
        outcomes.append(found)
    native, ours = outcomes
    assert native.count("error") == 1
    assert [outcome == "error" or outcome[0] for outcome in native] == [
        outcome == "error" or outcome[0] for outcome in ours]  # fmt: skip


def test_errors_in_repairs_leave_no_solve_under_way(monkeypatch):
    """Three of them, where PETSc would refuse all solves after the second."""
    A = laplacian(N)
    ksp = lagged(A, "-pc_type ilu", ksp_type="cg", ksp_rtol=1e-10)
    make, errors = Wrapped.set_up, []

    def fails(self, outer, anew):
        raise ValueError("no memory")

    for seed in range(9):
        rule = context(ksp)._upkeep.rule
        monkeypatch.setattr(rule, "due", lambda *_: False)
        monkeypatch.setattr(rule, "limit", lambda: 2.0)
        fill(A, N, shift=-0.5 - 0.01 * seed)
        ksp.setOperators(A)
        fault = seed in (2, 4, 6)
        monkeypatch.setattr(Wrapped, "set_up", fails if fault else make)
        try:
            ksp.solve(*random_rhs(A, seed))
            assert ksp.getConvergedReason() > 0
        except (PETSc.Error, ValueError):
            errors.append(seed)
    assert errors == [2, 4, 6]


@pytest.mark.parallel(1, 2)
def test_a_part_of_a_preconditioner_follows_its_matrix(worth_hundred):
    """Richardson's iteration around it diverges, after few applications, where it is off by a factor of two."""
    A = laplacian(N)
    A.setBlockSize(2)
    block = {}
    for field in (0, 1):
        stem = f"fieldsplit_{field}_"
        block |= {stem + name: value for name, value in LAG.items()}
    ksp = plain(A, "-pc_type fieldsplit -pc_fieldsplit_type multiplicative", ksp_type="richardson", **block)
    for seed in range(30):
        fill(A, N, shift=-8.0, scale=(1.0 if seed < 5 else 10.0) * (1.0 + 1e-3 * seed))
        ksp.setOperators(A)
        b, x = random_rhs(A, seed)
        ksp.solve(b, x)
        assert ksp.getConvergedReason() > 0
        assert true_residual(A, b, x) < 1e-3
    for sub in ksp.getPC().getFieldSplitSubKSP():
        assert 1 < context(sub).tally.set_ups < 15


def test_what_the_application_reuses_itself_is_counted(worth_hundred):
    """PETSc doesn't say there that the matrix has changed."""
    A = laplacian(N)
    ksp = lagged(A, LU, ksp_type="gmres")
    for seed in range(30):
        fill(A, N, shift=-0.5 - 0.001 * seed)
        ksp.setOperators(A)
        ksp.solve(*random_rhs(A, seed))
        ksp.getPC().setReusePreconditioner(True)
    tally = context(ksp).tally
    assert tally.set_ups == 1
    assert tally.most == pytest.approx(29 * 100.0, rel=0.2)


@pytest.mark.parallel(1, 2)
def test_reuse_of_a_set_up_for_the_same_matrix_keeps_nothing():
    """It is that matrix's own, so that nothing was spared and nothing is to be made anew."""
    A = laplacian(N, shift=-0.5)
    ksp = lagged(A, ILU, ksp_type="gmres", lag_solves=3)
    for seed in range(12):
        ksp.getPC().setReusePreconditioner(seed % 3 == 2)
        ksp.solve(*random_rhs(A, seed))
    tally = context(ksp).tally
    assert (tally.set_ups, context(ksp)._upkeep.set_ups) == (1, 1)
    fill(A, N, shift=-50.0)
    ksp.setOperators(A)
    for reuse in (True, False):
        ksp.getPC().setReusePreconditioner(reuse)
        ksp.solve(*random_rhs(A))
        assert context(ksp)._upkeep.kept is reuse


def test_solves_of_contexts_that_are_made_anew_are_counted():
    """PETSc sets the options of several blocks a process again at each set-up."""
    A = laplacian(N)
    ksp = plain(A, "-pc_type bjacobi -pc_bjacobi_blocks 4 -sub_pc_type python -sub_pc_python_type sorlearn.Lag "
                "-sub_lag_pc_type ilu -sub_lag_summary 1", ksp_type="gmres")  # fmt: skip
    for seed in range(5):
        fill(A, N, shift=-0.5 - 0.1 * seed)
        ksp.setOperators(A)
        ksp.solve(*random_rhs(A, seed))
    name = kin(f"{ksp.getOptionsPrefix()}sub_")
    ksp.destroy()
    tally = lag._tallies[name]
    assert tally.solves == tally.set_ups >= 5 * 4


#: On one rank PCREDUNDANT sets itself up for changed matrices, whatever it is told.
ALONE = {**LAG, "lag_pc_type": "lu"}


@pytest.mark.parametrize("around", [
    {"ksp_type": "preonly", "pc_type": "ksp", "ksp_ksp_type": "preonly",
     **{f"ksp_{name}": ALONE[name] for name in ALONE}},
    {"ksp_type": "preonly", "pc_type": "bjacobi", **{f"sub_{name}": ALONE[name] for name in ALONE}},
    {"ksp_type": "python", "ksp_python_type": "sorlearn.KSP", "sorlearn_ksp_type": "richardson", "ksp_max_it": 3,
     "ksp_norm_type": "none", **ALONE},
    {"ksp_type": "python", "ksp_python_type": "sorlearn.KSP", "sorlearn_ksp_type": "richardson", "ksp_max_it": 3,
     "ksp_norm_type": "none", "sorlearn_arms": "lu,sor"},
])  # fmt: skip
def test_nor_does_a_solver_around_it_that_applies_once(worth_hundred, around):
    A = laplacian(N)
    ksp = plain(A, "", **around)
    for seed in range(12):
        fill(A, N, -0.5 - 0.2 * seed)
        ksp.setOperators(A)
        for more in range(3):
            b, x = random_rhs(A, seed + more)
            ksp.solve(b, x)
            assert true_residual(A, b, x) < 1e-10


@pytest.mark.parametrize("first", [0, 6])
def test_a_solver_that_tests_no_more(worth_hundred, first):
    """Another type or test on a live KSP, decided after its preconditioner was kept."""
    A = laplacian(N)
    for change in ("type", "test"):
        ksp = lagged(A, "-pc_type lu", ksp_type="richardson")
        for seed in range(12):
            if seed == first and change == "type":
                ksp.setType("preonly")
            elif seed == first:
                ksp.setTolerances(max_it=3)
                set_no_test(ksp)
            fill(A, N, -0.5 - 0.02 * seed)
            ksp.setOperators(A)
            b, x = random_rhs(A, seed)
            ksp.solve(b, x)
            assert true_residual(A, b, x) < (1e-10 if seed >= first else 1e-3)


class Grown:
    """Keeps what it was made from, as multigrid does its coarse levels: for matrices much unlike, it breaks down."""

    made = 0

    def create(self, pc):
        self.size = None

    def setUp(self, pc):
        size = pc.getOperators()[1].getDiagonal().max()[1]
        Grown.made += self.size is None
        self.size = self.size or size
        self.fits = 0.2 < size / self.size < 5.0
        if self.fits:
            self.part = PETSc.PC().create(pc.comm)
            self.part.setType("jacobi")
            self.part.setOperators(*pc.getOperators())
            self.part.setUp()

    def apply(self, pc, x, y):
        self.part.apply(x, y) if self.fits else x.copy(y)
        if not self.fits:
            y.array[::2] *= -1.0


GROWN = "-pc_type python -pc_python_type test_lag_errors.Grown"


def grown(shifts, limits, **options):
    """Reasons of solves that keep to such limits of iterations; the solver, too."""
    A = laplacian(N)
    ksp = lagged(A, GROWN, ksp_norm_type="unpreconditioned", **options)
    reasons = []
    for seed, (shift, limit) in enumerate(zip(shifts, limits)):
        fill(A, N, shift)
        ksp.setOperators(A)
        ksp.setTolerances(max_it=limit)
        ksp.solve(*random_rhs(A, seed))
        reasons.append(ksp.getConvergedReason())
    return reasons, ksp


@pytest.mark.parallel(1, 2)
def test_after_solves_that_nothing_could_save_others_converge():
    """What the type keeps of its first set-up is for the matrix of one that was hopeless."""
    for every, hopeless in itertools.product((0, 1, 5), (2, 7)):
        hard = [5 <= step < 5 + hopeless for step in range(20)]
        shifts = [-60.0 if one else -0.02 * 1.01**step for step, one in enumerate(hard)]
        reasons, _ = grown(shifts, [1 if one else 1000 for one in hard], lag_solves=every)
        assert [reason < 0 for reason in reasons] == hard


@pytest.mark.parametrize("lag", [0, 1])
def test_where_no_solve_converges_set_ups_are_renewed(lag):
    Grown.made = 0
    reasons, ksp = grown([-0.5 * 1.01**step for step in range(80)], [1] * 80, lag_solves=lag)
    assert set(reasons) == {int(PETSc.KSP.ConvergedReason.DIVERGED_MAX_IT)}
    assert context(ksp).tally.set_ups >= 75
    assert Grown.made < 12


@pytest.mark.parallel(1, 2)
def test_what_breaks_down_after_it_was_gone_on_with_is_repaired_from_nothing(monkeypatch):
    """The set-up that it was gone on with was only renewed."""
    monkeypatch.setattr("sorlearn.tuning.lag.Renewal.limit", lambda self: 8.0)
    reasons, ksp = grown((-60.0, -60.1, -0.1), [1000] * 3, lag_solves=1000)
    assert min(reasons) > 0 and context(ksp).tally.rescued == 2  # gone on with, repaired


class Spoiled:
    """The identity, until it is spoiled in one of these applications of a solve; then only another one works."""

    applications, spoils = 0, ()

    def create(self, pc):
        self.works = True

    def apply(self, pc, x, y):
        Spoiled.applications += 1
        self.works = self.works and Spoiled.applications not in Spoiled.spoils
        x.copy(y)
        if not self.works:
            y.scale(float("nan"))


#: Blocks whose solver breaks down inside PCApply: PC_SUBPC_ERROR, on the ranks where it does.
SPOILED = ("-pc_type bjacobi -sub_ksp_type cg -sub_ksp_max_it 3 -sub_ksp_norm_type none -sub_pc_type python "
           "-sub_pc_python_type test_lag_errors.Spoiled")  # fmt: skip
PC_FAILED = int(PETSc.KSP.ConvergedReason.DIVERGED_PCSETUP_FAILED)


def spoiled(ksp, A, spoils, steps=7):
    """Reasons of solves, or errors' codes; the fourth and the last but one are spoiled, on the last rank only."""
    comm = PETSc.COMM_WORLD
    for seed in range(steps):
        fill(A, N, -0.5 - 0.01 * seed)
        ksp.setOperators(A)
        b, x = random_rhs(A, seed)
        here = seed in (3, steps - 2) and comm.getRank() == comm.getSize() - 1
        Spoiled.applications, Spoiled.spoils = 0, spoils if here else ()
        try:
            ksp.solve(b, x)
        except PETSc.Error as error:
            yield error.ierr
            continue
        reason = ksp.getConvergedReason()
        assert reason < 0 or true_residual(A, b, x) < 1e-4
        yield reason


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("lag", [0, 1, 1000])
def test_a_part_that_fails_in_any_application_is_made_anew(lag):
    for ksp_type, at, strict in itertools.product(("fgmres", "cg"), (1, 2, 9), (0, 1)):
        A = laplacian(N)
        ksp = lagged(A, SPOILED, ksp_type=ksp_type, ksp_error_if_not_converged=strict, lag_solves=lag)
        assert min(spoiled(ksp, A, range(at, at + 1))) > 0
        assert context(ksp).tally.rescued == 2


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("ksp_type", ["fgmres", "cg"])
def test_so_it_is_in_the_first_arm(ksp_type):
    words = SPOILED.split()
    arm = {f"sorlearn_bjacobi_{name[1:]}": value for name, value in zip(words[::2], words[1::2])}
    for at in (1, 2, 9):
        A = laplacian(N)
        ksp = plain(A, "", **{"ksp_type": "python", "ksp_python_type": "sorlearn.KSP", "sorlearn_ksp_type": ksp_type,
                              "sorlearn_arms": "bjacobi,sor"}, **arm)  # fmt: skip
        assert min(spoiled(ksp, A, range(at, at + 1))) > 0


@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("lag", [0, 1, 1000])
def test_where_it_fails_again_it_is_told_as_natively(lag):
    for ksp_type, at in itertools.product(("fgmres", "cg"), (1, 2, 9)):
        A = laplacian(N)
        native = list(spoiled(plain(A, SPOILED, ksp_type=ksp_type), A, range(at, 10**6)))[3]
        assert native == PC_FAILED
        for strict in (0, 1):  # natively the other ranks would wait for ever for the one that has the error
            ksp = lagged(A, SPOILED, ksp_type=ksp_type, ksp_error_if_not_converged=strict, lag_solves=lag)
            told = list(spoiled(ksp, A, range(at, 10**6)))
            assert told[3] == told[5] == (91 if strict else native)
            assert min(told[:3] + told[4:5] + told[6:]) > 0
