"""It learns where its own iteration count means something and nobody relies on a constant ω; elsewhere it is SOR."""

from __future__ import annotations

import re
import sys
from typing import NamedTuple

import numpy as np
import pytest
from conftest import ROOT, SWITCH, run
from petsc4py import PETSc
from systems import CLASS, laplacian, random_rhs, solver, true_residual, user_test

import sorlearn
import sorlearn.petsc.pc
from sorlearn.petsc.delegate import set_no_test

#: Every ω but the safe one would be far from it, and chosen at once.
LEARNER = "tsallis_inf"
RTOL = 1e-8
LEARNS = "learning"
FIXED = "omega held: {} does not iterate to a tolerance here"
INSIDE = "omega held: inside another KSP whose -ksp_type isn't known to be flexible"
NO_KSP = "omega held: no KSP has called it so far"


class Place(NamedTuple):
    """Typed options of a solver, the prefixes of the SOR in it, what -ksp_view says there, and how alike it is."""

    typed: str
    prefixes: str
    says: str
    on: str = "plain"
    same_sweeps: bool = True
    ranks: tuple = (1, 2)


PLACES = {
    "bjacobi": Place("-ksp_type cg -pc_type bjacobi", "sub_", FIXED.format("preonly")),
    "bjacobi, 4 blocks": Place(
        "-ksp_type cg -pc_type bjacobi -pc_bjacobi_blocks 4", "sub_", FIXED.format("preonly")
    ),
    "bjacobi of gmres": Place(
        "-ksp_type gmres -pc_type bjacobi -pc_bjacobi_blocks 4 -sub_ksp_type gmres -sub_ksp_rtol 1e-3", "sub_", INSIDE
    ),
    "asm": Place("-ksp_type gmres -pc_type asm -pc_asm_blocks 4", "sub_", FIXED.format("preonly")),
    "additive fieldsplit": Place(
        "-ksp_type gmres -pc_type fieldsplit -pc_fieldsplit_type additive",
        "fieldsplit_0_ fieldsplit_1_", FIXED.format("preonly"), "two fields",
    ),
    "multiplicative fieldsplit": Place(
        "-ksp_type gmres -pc_type fieldsplit", "fieldsplit_0_ fieldsplit_1_", FIXED.format("preonly"), "two fields"
    ),
    "schur": Place(
        "-ksp_type gmres -pc_type fieldsplit -pc_fieldsplit_type schur -fieldsplit_0_ksp_type cg "
        "-fieldsplit_1_pc_type none", "fieldsplit_0_", INSIDE, "two fields",
    ),
    "schur, flexible": Place(
        "-ksp_type fgmres -pc_type fieldsplit -pc_fieldsplit_type schur -pc_fieldsplit_schur_precondition selfp "
        "-fieldsplit_0_ksp_type cg -fieldsplit_1_ksp_type gmres", "fieldsplit_0_ fieldsplit_1_", INSIDE, "two fields",
    ),
    "composite": Place(
        "-ksp_type gmres -pc_type composite -pc_composite_type multiplicative -pc_composite_pcs jacobi,{pc}",
        "sub_1_", NO_KSP,
    ),
    "mg, richardson": Place(
        "-ksp_type cg -pc_type mg -pc_mg_levels 3 -mg_levels_ksp_type richardson",
        "mg_levels_", FIXED.format("richardson"), "grid", same_sweeps=False,
    ),
    "mg, chebyshev": Place(
        "-ksp_type cg -pc_type mg -pc_mg_levels 3 -mg_levels_ksp_type chebyshev",
        "mg_levels_", FIXED.format("chebyshev"), "grid",
    ),
    "mg, coarse cg": Place(
        "-ksp_type gmres -pc_type mg -pc_mg_levels 2 -mg_coarse_ksp_type cg", "mg_coarse_", INSIDE, "grid"
    ),
    "gamg, richardson": Place(
        "-ksp_type cg -pc_type gamg -mg_levels_ksp_type richardson",
        "mg_levels_", FIXED.format("richardson"), same_sweeps=False,
    ),
    "gamg, chebyshev": Place("-ksp_type cg -pc_type gamg", "mg_levels_", FIXED.format("chebyshev")),
    "ksp, preonly": Place("-ksp_type gmres -pc_type ksp -ksp_ksp_type preonly", "ksp_", FIXED.format("preonly")),
    "ksp, not flexible": Place("-ksp_type gmres -pc_type ksp -ksp_ksp_type gmres", "ksp_", INSIDE),
    "ksp, fixed sweeps": Place(
        "-ksp_type fgmres -pc_type ksp -ksp_ksp_type richardson -ksp_ksp_convergence_test skip -ksp_ksp_max_it 3",
        "ksp_", FIXED.format("richardson"), same_sweeps=False,
    ),
    "ksp, few iterations": Place(
        "-ksp_type gmres -pc_type ksp -ksp_ksp_type gmres -ksp_ksp_max_it 3", "ksp_", INSIDE
    ),
    "ksp twice, not flexible outside": Place(
        "-ksp_type gmres -pc_type ksp -ksp_ksp_type fgmres -ksp_pc_type ksp -ksp_ksp_ksp_type cg", "ksp_ksp_", INSIDE
    ),
    "sorlearn.KSP, not flexible": Place(
        "-ksp_type gmres -pc_type ksp -ksp_ksp_type python -ksp_ksp_python_type sorlearn.KSP "
        "-ksp_sorlearn_ksp_type cg", "ksp_", INSIDE,
    ),
    "fixed sweeps": Place(
        "-ksp_type richardson -ksp_convergence_test skip -ksp_max_it 40", "", FIXED.format("richardson"),
        same_sweeps=False,
    ),
    "top": Place("-ksp_type cg", "", LEARNS),
    "top, chebyshev": Place("-ksp_type chebyshev -ksp_chebyshev_esteig 0,0.1,0,1.1", "", LEARNS),
    "sorlearn.KSP": Place(
        "-ksp_type python -ksp_python_type sorlearn.KSP -sorlearn_ksp_type cg", "", LEARNS
    ),
    "ksp, flexible": Place("-ksp_type fgmres -pc_type ksp -ksp_ksp_type cg", "ksp_", LEARNS),
    "ksp twice, flexible": Place(
        "-ksp_type fgmres -pc_type ksp -ksp_ksp_type gcr -ksp_pc_type ksp -ksp_ksp_ksp_type cg", "ksp_ksp_", LEARNS
    ),
    "bjacobi of gmres, flexible": Place(
        "-ksp_type fgmres -pc_type bjacobi -sub_ksp_type gmres -sub_ksp_rtol 1e-3", "sub_", LEARNS
    ),
}  # fmt: skip
HELD = {name: place for name, place in PLACES.items() if place.says != LEARNS}
LEARNING = {name: place for name, place in PLACES.items() if place.says == LEARNS}


class Run(NamedTuple):
    iterations: list
    history: np.ndarray
    residuals: list
    left: list  # what is left of the outer solver's test
    view: str


def grid_operator(ksp, _, P):
    """−h²Δ on the KSP's grid."""
    da = ksp.getDM()
    (x0, x1), (y0, y1) = da.getRanges()
    nx, ny = da.getSizes()
    row, column = PETSc.Mat.Stencil(), PETSc.Mat.Stencil()
    for j in range(y0, y1):
        for i in range(x0, x1):
            row.index = (i, j)
            for k, m, value in ((i, j, 4.0), (i - 1, j, -1.0), (i + 1, j, -1.0), (i, j - 1, -1.0), (i, j + 1, -1.0)):
                if 0 <= k < nx and 0 <= m < ny:
                    column.index = (k, m)
                    P.setValueStencil(row, column, value)
    P.assemble()


def build(on):
    """A KSP with a matrix: on a grid with levels, of two fields, or neither."""
    ksp = PETSc.KSP().create()
    ksp.setOptionsPrefix("pos_")
    if on == "grid":
        da = PETSc.DMDA().create([17, 17], stencil_width=1)
        da.setUp()
        ksp.setDM(da)
        ksp.setComputeOperators(grid_operator)
        ksp.setFromOptions()
        ksp.setUp()
        return ksp
    A = laplacian(16)
    if on == "two fields":
        A.setBlockSize(2)
    ksp.setOperators(A)
    ksp.setFromOptions()
    return ksp


def view_of(ksp, tmp_path):
    """What -ksp_view says, on rank 0."""
    path = tmp_path / "view"
    viewer = PETSc.Viewer().createASCII(str(path))
    ksp.view(viewer)
    viewer.destroy()
    return path.read_text() if ksp.comm.rank == 0 else None


def solve(place, pc, more, tmp_path, solves=8):
    """The place with this kind of PC; `more` are its further options, without prefix."""
    words = [place.typed.format(pc=pc), f"-ksp_rtol {RTOL}"]
    for prefix in place.prefixes.split(" "):
        if place.says != NO_KSP:
            words.append(f"-{prefix}pc_type {pc}")
        words += [f"-{prefix}{option}" for option in more]
    database = PETSc.Options()
    database.prefixPush("pos_")
    database.insertString(" ".join(words))
    database.prefixPop()
    ksp = build(place.on)
    A = ksp.getOperators()[0]
    iterations, history, residuals, left = [], [], [], []
    ksp.setConvergenceHistory(reset=True)
    for seed in range(solves):
        b, x = random_rhs(A, seed)
        ksp.solve(b, x)
        assert ksp.getConvergedReason() > 0
        iterations.append(ksp.getIterationNumber())
        history.extend(ksp.getConvergenceHistory())
        residuals.append(true_residual(A, b, x))
        left.append(residuals[-1] / RTOL if place.prefixes else user_test(ksp, b, x))
    run = Run(iterations, np.array(history), residuals, left, view_of(ksp, tmp_path))
    ksp.destroy()
    for name in database.getAll():
        if name.startswith("pos_"):
            database.delValue(name)
    return run


def native(place, tmp_path):
    return solve(place, "sor", [], tmp_path)


def learned(place, tmp_path):
    return solve(
        place, "python",
        [f"pc_python_type {CLASS}", f"pc_sorlearn_learner {LEARNER}", "pc_sorlearn_omega_min 1.4"], tmp_path,
    )  # fmt: skip


def said(run):
    """Positions, and values of ω, that -ksp_view shows."""
    positions = set(re.findall(rf"sorlearn: learner {LEARNER}, (.*?)(?:, \d+ solves so far)?\n", run.view))
    return positions, {float(omega) for omega in re.findall(r"omega = (\S+) in", run.view)}


@pytest.mark.parallel(1, 2)
def test_held_positions_are_native_sor(tmp_path):
    for name, place in HELD.items():
        if place.says == INSIDE and "python_type sorlearn.KSP" in place.typed:
            plain = place._replace(typed="-ksp_type gmres -pc_type ksp -ksp_ksp_type cg")
            expected = native(plain, tmp_path)
        else:
            expected = native(place, tmp_path)
        run = learned(place, tmp_path)
        assert run.view is None or said(run) == ({place.says}, {1.0}), name
        assert run.view is None or ("remedy: " in run.view) is (place.says != NO_KSP), name
        assert run.iterations == expected.iterations, name
        if place.same_sweeps:
            assert np.array_equal(run.history, expected.history), name
        else:  # native Richardson sweeps without residuals in between
            assert np.allclose(run.residuals, expected.residuals, rtol=1e-5, atol=0.0), name


@pytest.mark.parallel(1, 2)
def test_learning_positions_learn_and_answer_as_well(tmp_path):
    for name, place in LEARNING.items():
        plain = place._replace(typed="-ksp_type cg") if "KSP" in place.typed else place
        expected, run = native(plain, tmp_path), learned(place, tmp_path)
        assert run.view is None or said(run)[0] == {LEARNS}, name
        assert len(set(run.history) - set(expected.history)) > len(run.history) // 4, name
        assert max(run.left) <= (1.01 if place.prefixes else 3.0), (name, run.left)


def test_eigenvalues_are_estimated_at_the_safe_omega(monkeypatch):
    A = laplacian(16)
    used, running = {True: set(), False: set()}, []

    class Spy(sorlearn.PC):
        def preSolve(self, pc, ksp, b, x):
            super().preSolve(pc, ksp, b, x)
            running.append("esteig_" in ksp.getOptionsPrefix())

        def postSolve(self, pc, ksp, b, x):
            running.pop()
            super().postSolve(pc, ksp, b, x)

        def apply(self, pc, x, y):
            used[running[-1]].add(self.omega)
            super().apply(pc, x, y)

    monkeypatch.setattr(sorlearn.petsc.pc, "PC", Spy)
    PETSc.Options().insertString(f"-est_ksp_type chebyshev -est_ksp_chebyshev_esteig 0,0.1,0,1.1 -est_ksp_rtol {RTOL}")
    ksp = PETSc.KSP().create()
    ksp.setOptionsPrefix("est_")
    ksp.setOperators(A)
    tuner = sorlearn.attach(ksp, learner=LEARNER, omega_min=1.4)
    ksp.setFromOptions()
    for _ in range(6):
        A.shift(0.01)
        b, x = random_rhs(A)
        ksp.solve(b, x)
        assert ksp.getConvergedReason() > 0
    assert used[True] == {1.0}
    assert len(used[False] - {1.0}) > 1
    assert len(tuner.records) == 6
    assert ksp.getTolerances()[0] == RTOL
    ksp.destroy()


@pytest.mark.parametrize("before", [0, 1])
def test_a_solve_inside_a_function_that_is_differenced_holds_omega(before):
    """Another ω changes the last digits of an answer, and differences of answers a lot; also where it began outside."""
    A = laplacian(6)
    prefix = f"function{before}_"
    inside, (x, b) = solver(A, prefix, pc_sorlearn_learner=LEARNER, pc_sorlearn_omega_min=1.4), A.createVecs()
    tuner = inside.getPC().getPythonContext()
    used = set()
    for seed in range(before):
        inside.solve(*random_rhs(A, seed))
        assert tuner.position == "learning"

    def function(snes, x, f):
        inside.solve(x, f)
        used.add(tuner.omega)
        f.axpy(0.1, x)
        f.shift(-1.0)

    PETSc.Options().insertString("-outside_snes_fd -outside_ksp_type preonly -outside_pc_type lu")
    snes = PETSc.SNES().create()
    snes.setOptionsPrefix("outside_")
    snes.setFunction(function, b)
    snes.setFromOptions()
    snes.solve(None, x)
    assert snes.getConvergedReason() > 0
    assert used == {1.0}
    assert "inside the function of a nonlinear solver" in tuner.position
    snes.destroy()
    inside.destroy()


@pytest.mark.parametrize("way", ["C", "Python"])
@pytest.mark.parametrize("learned", [2, 90])
def test_a_test_that_is_replaced_on_a_live_solver_is_noticed(monkeypatch, way, learned):
    """No test at all, and PETSc's own again."""
    monkeypatch.setenv(SWITCH, "1" if way == "C" else "0")
    A = laplacian(8)
    ksp = solver(A, f"live_{way}_{learned}_")
    tuner = ksp.getPC().getPythonContext()
    for seed in range(learned):
        ksp.solve(*random_rhs(A, seed))
    assert tuner.position == "learning"
    set_no_test(ksp)
    for seed in range(3):
        ksp.solve(*random_rhs(A, seed))
        assert tuner.position.startswith("omega held") and tuner.omega == 1.0
    ksp.setConvergenceTest(None)
    for seed in range(3):
        ksp.solve(*random_rhs(A, seed))
    assert tuner.position == "learning"


def test_a_quasi_newton_method_s_solves_hold_omega():
    """It updates what it takes for the inverse of one matrix."""
    A, used = laplacian(6), set()
    x, b = A.createVecs()
    PETSc.Options().insertString("-qn_snes_type qn -qn_snes_qn_scale_type jacobian -qn_ksp_type cg -qn_ksp_rtol 1e-2 "
                                 "-qn_pc_type python -qn_pc_python_type sorlearn.PC -qn_pc_sorlearn_omega_min 1.4 "
                                 f"-qn_pc_sorlearn_learner {LEARNER}")  # fmt: skip

    def function(snes, x, f):
        A.mult(x, f)
        f.axpy(0.1, x)
        f.shift(-1.0)

    snes = PETSc.SNES().create()
    snes.setOptionsPrefix("qn_")
    snes.setFunction(function, b)
    snes.setJacobian(lambda snes, x, J, P: None, A.copy())
    snes.setFromOptions()
    tuner = snes.getKSP().getPC().getPythonContext()
    snes.getKSP().setMonitor(lambda *_: used.add(tuner.omega))
    snes.solve(None, x)
    assert snes.getConvergedReason() > 0 and used == {1.0}
    assert "quasi-Newton" in tuner.position
    snes.destroy()


@pytest.mark.parametrize(("typed", "says"), [
    ("-ksp_norm_type none", "cg does not iterate to a tolerance here; remedy: sorlearn.PC on a solver"),
    ("-ksp_type nash", "solves end at a trust region, which says nothing of omega; remedy: a line search"),
    ("-ksp_diagonal_scale", "-ksp_diagonal_scale forbids repeating a solve; remedy: leave it out"),
    ("-n_x 3", "systems are so small that a Krylov method ends by itself; remedy: none is needed"),
])  # fmt: skip
def test_the_summary_says_where_and_why_omega_is_held(typed, says):
    flags = "-pc_type python -pc_python_type sorlearn.PC -pc_sorlearn_summary -n_x 10 -steps 3"
    out = run(1, sys.executable, ROOT / "demos" / "heat2d.py", *flags.split(), *typed.split()).stdout
    assert f"sorlearn summary of (no prefix): learner auto, omega held at 1: {says}" in out
    assert "saved" not in out
