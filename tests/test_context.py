"""What a few rows tell of a matrix."""

from __future__ import annotations

import numpy as np
import pytest
from petsc4py import PETSc
from systems import laplacian

from sorlearn.petsc import context
from sorlearn.petsc.context import Features


def look(A):
    """ρ max, ρ mean, skew as they reach the learner of a run on one process."""
    features = Features()
    return features.context(features.look(A), 1e-8).matrix[:3]


def random_symmetric(n, seed):
    rng = np.random.default_rng(seed)
    A = PETSc.Mat().createAIJ((n, n), nnz=n, comm=PETSc.COMM_SELF)
    for i, j in rng.integers(n, size=(6 * n, 2)).tolist():
        if i != j:
            value = -float(rng.random())
            A.setValue(i, j, value)
            A.setValue(j, i, value)
    for i in range(n):
        A.setValue(i, i, 12.0 + float(rng.random()))
    A.assemble()
    return A


@pytest.mark.parametrize("seed", range(5))
def test_a_symmetric_matrix_has_no_skew(seed):
    """Whichever rows are looked at: those of the Laplacian's last lines have more entries below the diagonal."""
    assert look(random_symmetric(200, seed))[2] == pytest.approx(0.0, abs=1e-12)
    assert look(laplacian(24, -0.1 * seed, comm=PETSc.COMM_SELF))[2] == 0.0


@pytest.mark.parametrize("wind", [-0.5, 0.3])
def test_skew_of_convection_is_that_of_all_rows(wind):
    n = 400
    A = PETSc.Mat().createAIJ((n, n), nnz=3, comm=PETSc.COMM_SELF)
    for i in range(n):
        A.setValue(i, i, 2.0)
        for j, value in ((i - 1, -1.0 - wind), (i + 1, -1.0 + wind)):
            if 0 <= j < n:
                A.setValue(i, j, value)
    A.assemble()
    assert look(A)[2] == pytest.approx(0.5 * np.log((1 + wind) / (1 - wind)), rel=1e-12)


def test_solvers_of_one_matrix_look_at_it_whole_but_once(monkeypatch):
    whole, original = [], context._Sample.__init__

    def counted(self, *arguments):
        whole.append(self)
        original(self, *arguments)

    monkeypatch.setattr(context._Sample, "__init__", counted)
    A, one, other = random_symmetric(200, 0), Features(), Features()
    assert one.look(A) == other.look(A) and len(whole) == 1
    A.shift(1.0)
    assert one.look(A) == other.look(A) and one.look(A)[0] == Features().look(A)[0] and len(whole) == 2
    A.shift(1.0)
    assert Features().look(A)[0] != one._here[0] and len(whole) == 3


@pytest.mark.parametrize(
    "size, option, there", [(1, False, False), (2, False, True), (5, False, True), (2, True, False)]
)
def test_inodes_are_what_petsc_sweeps_by(size, option, there):
    n = 30
    A = PETSc.Mat().create(PETSc.COMM_SELF)
    A.setOptionsPrefix("context_")
    PETSc.Options("context_")["mat_no_inode"] = option
    A.setSizes(n * size)
    A.setType("aij")
    A.setPreallocationNNZ(3 * size)
    for row in range(n * size):
        node = row // size
        for column in range(max(node - 1, 0) * size, min(node + 2, n) * size):
            A.setValue(row, column, 10.0 * size if row == column else -1.0)
    A.assemble()
    features = Features()
    assert features.look(A)[4] == there and features.inodes is there


@pytest.mark.parametrize("values", ["random", "alike", "few alike"])
@pytest.mark.parametrize("n", [2, 3, 12])
def test_the_rows_looked_at_are_the_worst_and_some_between(n, values):
    A, rng = laplacian(n), np.random.default_rng(n)
    for row in range(n * n):
        scale = {"random": rng.random(), "alike": 0.0, "few alike": float(rng.integers(3))}[values]
        A.setValue(row, row, 5.0 + scale)
    A.assemble()
    share = np.array([A.getRow(row)[1].sum() / A.getValue(row, row) for row in range(n * n)])
    worst = np.sort(share)[: context.WORST]
    features = Features()
    features.look(A)
    chosen = features._sample.chosen
    assert list(np.sort(share[chosen])[: len(worst)]) == list(worst)
    assert {0, n * n - 1} <= set(chosen.tolist()) and len(chosen) <= context.WORST + context.SPREAD


def test_a_glimpse_takes_no_pattern_for_known():
    """What is seen of a matrix before, by a glimpse and after it, with another pattern in between."""
    full = laplacian(12)
    fewer = PETSc.Mat().createAIJ(full.getSizes(), nnz=1, comm=full.comm)
    for row in range(*fewer.getOwnershipRange()):
        fewer.setValue(row, row, 4.0)
    fewer.assemble()
    features = Features()
    first = features.look(full)
    assert features.glimpse(full)[-1] == 1.0 and features.look(full) == first
    features.glimpse(fewer)
    assert features.nonzeros == fewer.getLocalSize()[0]
    assert features.look(fewer)[0] == 0.0 and features.look(full) == first
