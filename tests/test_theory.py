"""The formulas against brute force: real sweeps and real CG on the 5-point Laplacian."""

import numpy as np
import pytest
from scipy import sparse

from sorlearn import theory

EPS = 1e-8
OMEGAS = np.array([0.6, 1.0, 1.2, 1.4, 1.55, 1.7, 1.9])


def laplacian(shift=0.0, n=10):
    """delsq(numgrid('S', n + 2)) + shift·I."""
    T = sparse.diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(n, n))
    return (sparse.kronsum(T, T) + shift * sparse.identity(n * n)).tocsr()


def right_hand_sides(count, n=100):
    return np.random.default_rng(7).standard_normal((count, n))


def sor(A, b, omega):
    """Sweeps from zero until the residual is below EPS·‖b‖, unknown by unknown as in a textbook."""
    A, x, k = A.toarray(), np.zeros(len(b)), 0
    while np.linalg.norm(b - A @ x) >= EPS * np.linalg.norm(b):
        for i in range(len(b)):
            x[i] += omega * (b[i] - A[i] @ x) / A[i, i]
        k += 1
    return k


def ssor_inverse(A, omega):
    """M⁻¹ of SSOR, dense."""
    D, L = np.diag(A.diagonal() / omega), np.tril(A.toarray(), -1)
    return np.linalg.inv((D + L) @ np.linalg.inv(D) @ (D + L.T) / (2 - omega))


def ssor_cg(A, b, omega):
    """Iterations of preconditioned CG from zero."""
    Minv, r, k = ssor_inverse(A, omega), b.copy(), 0
    z = p = Minv @ r
    while np.linalg.norm(r) >= EPS * np.linalg.norm(b):
        rho, q = r @ z, A @ p
        r = r - rho / (p @ q) * q
        z = Minv @ r
        p = z + (r @ z) / rho * p
        k += 1
    return k


@pytest.mark.parametrize("shift", [-0.15, 0.0, 0.45])
def test_jacobi_radius_is_that_of_the_known_eigenvalues(shift):
    lowest = 4 - 4 * np.cos(np.pi / 11) + shift
    assert theory.jacobi_radius(laplacian(shift)) == pytest.approx(1 - lowest / (4 + shift))


def test_youngs_radius_is_the_computed_one():
    A = laplacian()
    computed = [theory.spectral_radius(theory.iteration_matrix(A, omega)) for omega in OMEGAS]
    # Close to ω* the eigenvalues are defective, hence the tolerance.
    assert theory.young_radius(OMEGAS, theory.jacobi_radius(A)) == pytest.approx(computed, rel=1e-4)


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.9, 0.999])
def test_youngs_omega_minimises_youngs_radius(beta):
    omegas = np.linspace(1, 1.999, 20000)
    best = omegas[theory.young_radius(omegas, beta).argmin()]
    assert theory.young_omega(beta) == pytest.approx(best, abs=1e-4)


def test_iteration_matrix_maps_a_sweeps_residual_to_the_next():
    A, b, omega = laplacian(), right_hand_sides(1)[0], 1.3
    M = np.tril(A.toarray(), -1) + np.diag(A.diagonal() / omega)
    x = np.linalg.solve(M, b)
    assert theory.iteration_matrix(A, omega) @ b == pytest.approx(b - A @ x)


def test_asymptotic_estimate_is_exact_for_the_dominant_eigenvector():
    A = laplacian()
    values, vectors = np.linalg.eig(theory.iteration_matrix(A, 1.0))
    b = vectors[:, np.abs(values).argmax()].real
    estimate = theory.asymptotic_iterations(np.abs(values).max(), EPS)
    assert sor(A, b, 1.0) == np.ceil(estimate)


@pytest.mark.parametrize("omega", OMEGAS)
def test_bounds_hold_for_sor(omega):
    A = laplacian()
    C, norm = theory.iteration_matrix(A, omega), theory.energy_norm(omega, *theory.splitting(A))
    rho = theory.spectral_radius(C)
    for b in right_hand_sides(2):
        k = sor(A, b, omega)
        tau = theory.tau(C, k - 1)
        assert 0 <= tau < 1
        assert k <= theory.near_asymptotic_iterations(rho, tau, EPS)
        assert k <= theory.energy_iterations(norm, theory.condition(A), EPS)


def test_near_asymptotic_bound_is_tight_for_the_worst_right_hand_side():
    A, omega = laplacian(), 1.7
    C, k = theory.iteration_matrix(A, omega), 60
    b = np.linalg.svd(np.linalg.matrix_power(C, k))[2][0]
    eps = np.linalg.norm(np.linalg.matrix_power(C, k) @ b)
    bound = theory.near_asymptotic_iterations(theory.spectral_radius(C), theory.tau(C, k), eps)
    assert bound == pytest.approx(k + 1)


def test_tau_of_a_normal_matrix_is_zero():
    assert theory.tau(np.diag([0.9, -0.5, 0.1]), 7) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("omega", OMEGAS)
def test_energy_norm_bounds_the_contraction(omega):
    A = laplacian()
    root = np.linalg.cholesky(A.toarray())
    # The error's energy norm is the residual's 2-norm after multiplication by the inverse root.
    similar = np.linalg.solve(root, theory.iteration_matrix(A, omega) @ root)
    contraction = np.linalg.norm(similar, 2)
    bound = theory.energy_norm(omega, *theory.splitting(A))
    assert contraction <= bound < 1
    assert 1 - contraction < 4 * (1 - bound)


@pytest.mark.parametrize("omega", OMEGAS)
def test_ssor_condition_bounds_the_condition_number(omega):
    A = laplacian()
    eigenvalues = np.linalg.eigvals(ssor_inverse(A, omega) @ A.toarray()).real
    bound = theory.ssor_condition(omega, *theory.splitting(A))
    assert eigenvalues.max() <= 1 + 1e-9
    assert eigenvalues.max() / eigenvalues.min() <= bound < 2 * eigenvalues.max() / eigenvalues.min()


@pytest.mark.parametrize("omega", OMEGAS)
def test_cg_bound_holds(omega):
    A = laplacian()
    ssor = theory.ssor_condition(omega, *theory.splitting(A))
    bound = theory.cg_iterations(ssor, theory.condition(A), EPS)
    counts = [ssor_cg(A, b, omega) for b in right_hand_sides(3)]
    assert bound / 3 < max(counts) <= bound


@pytest.mark.parametrize("shift", [-0.15, 0.0, 2.0])
def test_ssor_omega_minimises_the_bound(shift):
    splitting = theory.splitting(laplacian(shift))
    omegas = np.linspace(0.5, 1.99, 20000)
    best = omegas[theory.ssor_condition(omegas, *splitting).argmin()]
    assert theory.ssor_omega(*splitting) == pytest.approx(best, abs=1e-4)


def test_delta_of_the_laplacian_is_at_most_zero():
    """The textbooks' remark: for the 5-point Laplacian δ ≤ 0, so that κ is of order 1/h."""
    assert -0.5 < theory.splitting(laplacian(n=20)).delta <= 0


@pytest.mark.parametrize("n", [10, 30])
def test_radius_and_best_omega_of_the_model_problem_have_closed_forms(n):
    h = 1 / (n + 1)
    beta = theory.jacobi_radius(laplacian(n=n))
    assert beta == pytest.approx(np.cos(np.pi * h), rel=1e-9)
    assert theory.young_omega(beta) == pytest.approx(2 / (1 + np.sin(np.pi * h)), rel=1e-6)


@pytest.fixture
def large(monkeypatch):
    """Function: f → f(A) by dense algebra, f(A) as of a large matrix."""
    A = laplacian(0.1, n=12)

    def both(function):
        dense = function(A)
        monkeypatch.setattr(theory, "LARGE", 10)
        return dense, function(A)

    return both


@pytest.mark.parametrize("name", ["jacobi_radius", "splitting", "condition"])
def test_large_matrices_have_the_same_numbers(large, name):
    dense, sparse_ = large(getattr(theory, name))
    assert sparse_ == pytest.approx(dense, rel=1e-6)


def test_iteration_operator_is_the_matrix_and_its_transpose():
    A, x = laplacian(), right_hand_sides(1)[0]
    C, operator = theory.iteration_matrix(A, 1.4), theory.iteration_operator(A, 1.4)
    assert operator @ x == pytest.approx(C @ x)
    assert operator.rmatvec(x) == pytest.approx(C.T @ x)


def test_arnoldi_and_lanczos_give_radius_and_tau():
    A, k = laplacian(), 30
    C, operator = theory.iteration_matrix(A, 1.3), theory.iteration_operator(A, 1.3)
    assert theory.spectral_radius(operator) == pytest.approx(theory.spectral_radius(C), rel=1e-6)
    assert theory.tau(operator, k) == pytest.approx(theory.tau(C, k), rel=1e-4)
    young = theory.young_radius(1.3, theory.jacobi_radius(A))
    assert theory.tau(C, k, young) == pytest.approx(theory.tau(C, k), rel=1e-6)
