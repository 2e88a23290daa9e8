"""Sweeps: what `-pc_sor_*` say is what reaches PETSc, against triangular solves written out."""

from __future__ import annotations

import numpy as np
import pytest

from sorlearn.errors import MatrixError

KINDS = ["symmetric", "backward", "forward", "local_symmetric", "local_backward", "local_forward"]


def sweeps(**given):
    from petsc4py import PETSc

    from sorlearn.petsc.sor import Sweeps

    database = PETSc.Options("s_")
    for name, value in given.items():
        database["pc_sor_" + name] = value
    return Sweeps(database)


def operands(dense, b):
    """The matrix, and vectors for what is swept and for the result."""
    from petsc4py import PETSc

    n = len(b)
    A = PETSc.Mat().createAIJ((n, n), csr=csr(dense), comm=PETSc.COMM_SELF)
    x, y = A.createVecs()
    x.setArray(b)
    return A, x, y


def swept(made, dense, b, omega):
    """What these sweeps make of b, starting from 0."""
    A, x, y = operands(dense, b)
    made.apply(A, x, y, omega)
    return y.getArray().copy()


def csr(dense):
    rows = [np.flatnonzero(row) for row in dense]
    starts = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    columns = np.concatenate(rows)
    return starts.astype("i4"), columns.astype("i4"), dense[dense != 0.0]


def written_out(kind, dense, b, omega, times):
    """The same by solves with (D/ω + L) and (D/ω + U)."""
    D = np.diag(np.diag(dense)) / omega
    steps = {"forward": [np.tril(dense, -1)], "backward": [np.triu(dense, 1)]}
    triangles = steps.get(kind.removeprefix("local_"), steps["forward"] + steps["backward"])
    x = np.zeros(len(b))
    for _ in range(times):
        for triangle in triangles:
            x = x + np.linalg.solve(D + triangle, b - dense @ x)
    return x


@pytest.fixture
def system():
    rng = np.random.default_rng(3)
    dense = rng.uniform(-1.0, 0.0, (7, 7)) + np.diag(rng.uniform(6.0, 9.0, 7))
    return dense, rng.standard_normal(7)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("its", "lits"), [(1, 1), (2, 1), (1, 3), (2, 2)])
def test_each_kind_and_number_of_sweeps(system, kind, its, lits):
    made = sweeps(**{kind: "", "its": its, "lits": lits})
    expected = written_out(kind, *system, 1.3, its * lits)
    assert swept(made, *system, 1.3) == pytest.approx(expected, rel=1e-12)
    assert str(made) == f"type = {kind}, iterations = {its}, local iterations = {lits}"


def test_the_default_is_one_local_symmetric_sweep():
    made = sweeps()
    assert (made.kind, made.its, made.lits, made.shift) == ("local_symmetric", 1, 1, 0.0)


def test_a_switch_that_is_off_chooses_nothing():
    assert sweeps(forward="false").kind == "local_symmetric"


@pytest.mark.parametrize("shift", [2.0, 0.25, -0.5])
def test_a_shift_is_added_to_the_diagonal(system, shift):
    dense, b = system
    expected = swept(sweeps(forward=""), dense + shift * np.eye(7), b, 1.3)
    assert swept(sweeps(forward="", diagonal_shift=shift), dense, b, 1.3) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("symmetric", [True, False, None])
def test_transposes_are_for_symmetric_sweeps_of_matrices_known_to_be_symmetric(system, kind, symmetric):
    dense, b = system
    made, A, x, y = sweeps(**{kind: ""}), *operands(0.5 * (dense + dense.T), b)
    if symmetric is not None:
        A.setOption(A.Option.SYMMETRIC, symmetric)
    if symmetric and kind.endswith("symmetric"):
        made.apply_transpose(A, x, y, 1.3)
        assert y.array == pytest.approx(swept(made, 0.5 * (dense + dense.T), b, 1.3), rel=1e-14)
    else:
        with pytest.raises(MatrixError, match="MAT_SYMMETRIC.*-pc_sor_local_symmetric"):
            made.apply_transpose(A, x, y, 1.3)
