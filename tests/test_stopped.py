"""After an error in learning: ω is the safe one, answers are native's, and every solve counts."""

from __future__ import annotations

import json
import os

import pytest
from systems import laplacian, native, random_rhs, solver

N = 16
#: Of the solve before which the context fails.
AT = 6


def stopped(A, prefix, solves=30, **options):
    """A solver whose learning has stopped while another ω than the safe one was on trial; the solves' numbers."""
    ranged = {"pc_sorlearn_context_min": 0.0, "pc_sorlearn_context_max": 2.0}
    ksp, calls = solver(A, prefix, ksp_rtol=1e-6, **ranged, **options), []

    def context():
        calls.append(None)
        if len(calls) == AT:
            raise LookupError("no context here")
        return 1.0

    tuner, found = ksp.getPC().getPythonContext(), []
    tuner.context = context
    for seed in range(solves):
        b, x = random_rhs(A, seed)
        ksp.solve(b, x)
        found.append((tuner.omega, ksp.getConvergedReason(), ksp.getIterationNumber(), x.getArray().tobytes()))
    return ksp, found


@pytest.mark.both_ways
@pytest.mark.parallel(1, 2)
@pytest.mark.parametrize("learner", ["auto", "chebcb"])
@pytest.mark.parametrize("omega", [1.0, 1.3])
def test_solves_are_natives_at_the_safe_omega(learner, omega, capfd):
    A = laplacian(N, 0.1)
    prefix = f"stopped_{learner}_{omega}_{os.environ.get('SORLEARN_FAST', 'C')}_"
    _, found = stopped(A, prefix, ksp_type="gmres", pc_sorlearn_learner=learner, pc_sorlearn_omega=omega)
    plain = native(A, f"native_{prefix}", ksp_type="gmres", ksp_rtol=1e-6, pc_sor_omega=omega)
    assert len({tried for tried, *_ in found[:AT]}) > 1
    for seed, (tried, *rest) in enumerate(found):
        b, x = random_rhs(A, seed)
        plain.solve(b, x)
        alike = [plain.getConvergedReason(), plain.getIterationNumber(), x.getArray().tobytes()]
        assert seed < AT or tried == omega and rest == alike
    said = f"omega stands still at {omega:g} for the rest of the run"
    assert sum(A.comm.tompi4py().allgather(capfd.readouterr().err.count(said))) in (1, A.comm.size)


@pytest.mark.parametrize("anew", [False, True])
def test_in_eisenstats_form_answers_are_still_judged(anew):
    """In a solver that is made anew, too."""
    A = laplacian(N, -0.01)
    ksp, found = stopped(A, f"form_{anew}_", pc_sorlearn_pc_type="eisenstat", pc_sorlearn_learner="chebcb",
                         ksp_norm_type="natural")  # fmt: skip
    if anew:
        ksp.reset()
        ksp.setOperators(A)
    r = A.createVecLeft()
    for seed in range(len(found)):
        b, x = random_rhs(A, seed)
        ksp.solve(b, x)
        assert ksp.getPC().getPythonContext()._tuned.decision.check == 1.0
        A.mult(x, r)
        assert (r - b).norm() <= 1.5e-6 * b.norm()


def test_every_solve_counts_and_the_view_says_so(tmp_path, capfd):
    journal = tmp_path / "run.jsonl"
    ksp, found = stopped(laplacian(N, -1.0), "counted_", pc_sorlearn_journal=str(journal), pc_sorlearn_summary=1)
    context = ksp.getPC().getPythonContext()
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [line["iterations"] for line in lines if "iterations" in line] == [its for _, _, its, _ in found]
    assert context.position == "omega stands still, as learning has stopped"
    tally = context._tuned.session.review.tally
    assert (tally.solves, tally.stopped) == (len(found), len(found) - AT + 1)
    ksp.view()
    assert "omega stands still, as learning has stopped" in capfd.readouterr().out
