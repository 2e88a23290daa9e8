"""What is known about SOR and SSOR before anything is solved: optima, rates and bounds on iteration counts.

Everywhere A = L + D + Lᵀ is symmetric positive definite with strictly lower part L and diagonal D, and

    C_ω = I − A (D/ω + L)⁻¹

takes the residual of one SOR sweep to that of the next.  These functions are for studying problems, not for running
beside a large solve: small matrices are made dense; large ones, sparse and with more than `LARGE` unknowns, go through
Lanczos' and Arnoldi's methods and a factorisation.

References
----------
.. [1] D. M. Young, *Iterative Solution of Large Linear Systems*, 1971.
.. [2] W. Hackbusch, *Iterative Solution of Large Sparse Systems of Equations*, 2nd ed., 2016.
.. [3] O. Axelsson, *Iterative Solution Methods*, 1994.
.. [4] M. Khodak, E. Chow, M.-F. Balcan, A. Talwalkar, *Learning to relax*, ICLR 2024.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import sparse
from scipy.linalg import eigh, solve_triangular
from scipy.sparse.linalg import LinearOperator, eigs, eigsh, splu

#: Unknowns up to which sparse matrices are made dense.
LARGE = 500


def _dense(A: Any) -> np.ndarray:
    return A.toarray() if sparse.issparse(A) else np.asarray(A, dtype=float)


def _large(A: Any) -> bool:
    return sparse.issparse(A) and A.shape[0] > LARGE


def _largest(A: Any, **keywords: Any) -> float:
    """The algebraically largest eigenvalue of a symmetric matrix or operator, by Lanczos' method."""
    return float(eigsh(A, k=1, which="LA", return_eigenvectors=False, **keywords)[0])


def jacobi_radius(A: Any) -> float:
    """Spectral radius β of Jacobi's iteration matrix I − D⁻¹A.

    Parameters
    ----------
    A : array or sparse matrix, shape (n, n)
        Symmetric with a positive diagonal.
    """
    d = 1.0 / np.sqrt(A.diagonal())
    if _large(A):
        J = sparse.identity(len(d)) - sparse.diags(d) @ A @ sparse.diags(d)
        return max(_largest(J), _largest(-J))
    A = _dense(A)
    return float(np.abs(1.0 - np.linalg.eigvalsh(A * np.outer(d, d))).max())


def young_omega(beta: Any) -> Any:
    """The asymptotically optimal ω* of a consistently ordered matrix, 1 + (β/(1 + √(1 − β²)))² [1]_.

    Parameters
    ----------
    beta : float or array
        Jacobi's spectral radius, in [0, 1).
    """
    return 1.0 + (beta / (1.0 + np.sqrt(1.0 - np.square(beta)))) ** 2


def young_radius(omega: Any, beta: Any) -> Any:
    """ρ(C_ω) of a consistently ordered matrix with Jacobi radius `beta`: Young's formula [1]_.

    √ρ is the larger root of λ − ωβ√λ + ω − 1 up to ω*; from there on ρ = ω − 1.

    Parameters
    ----------
    omega, beta : float or array
        In (0, 2) and [0, 1); broadcast against each other.
    """
    omega = np.asarray(omega, dtype=float)
    discriminant = np.maximum(np.square(omega * beta) - 4.0 * (omega - 1.0), 0.0)
    before = np.square(0.5 * (omega * beta + np.sqrt(discriminant)))
    return np.where(omega < young_omega(beta), before, omega - 1.0)[()]


def iteration_matrix(A: Any, omega: float) -> np.ndarray:
    """C_ω = I − A (D/ω + L)⁻¹, shape (n, n).

    Parameters
    ----------
    A : array or sparse matrix, shape (n, n)
    omega : float
        In (0, 2).
    """
    A = _dense(A)
    M = np.tril(A, -1) + np.diag(A.diagonal() / omega)
    return np.eye(len(A)) - solve_triangular(M, A.T, lower=True, trans="T").T


def iteration_operator(A: Any, omega: float) -> LinearOperator:
    """C_ω of a sparse matrix, and its transpose, as an operator.

    Parameters
    ----------
    A : sparse matrix, shape (n, n)
    omega : float
        In (0, 2).
    """
    M = sparse.tril(A, -1) + sparse.diags(A.diagonal() / omega)
    solve = splu(M.tocsc(), permc_spec="NATURAL", diag_pivot_thresh=0.0).solve
    return LinearOperator(
        A.shape, dtype=float, matvec=lambda r: r - A @ solve(r), rmatvec=lambda r: r - solve(A.T @ r, "T")
    )


def spectral_radius(C: Any) -> float:
    """ρ(C), the largest modulus of an eigenvalue of C.

    Parameters
    ----------
    C : array or LinearOperator, shape (n, n)
        `iteration_matrix`; or `iteration_operator`, for which Arnoldi's method needs that few eigenvalues are as large:
        not from ω* on, where all have the modulus ω − 1.
    """
    if isinstance(C, LinearOperator):
        return float(np.abs(eigs(C, k=2, ncv=40, return_eigenvectors=False)).max())
    return float(np.abs(np.linalg.eigvals(C)).max())


def asymptotic_iterations(rho: Any, eps: float) -> Any:
    """The iteration count log ε / log ρ that the spectral radius alone suggests.

    Parameters
    ----------
    rho : float or array
        ρ(C_ω), in (0, 1).
    eps : float
        Relative tolerance on the residual, in (0, 1).
    """
    return np.log(eps) / np.log(rho)


def _power_norm(C: Any, k: int) -> float:
    """‖Cᵏ‖₂."""
    if not isinstance(C, LinearOperator):
        return float(np.linalg.norm(np.linalg.matrix_power(C, k), 2))

    def normal(x: np.ndarray) -> np.ndarray:
        for apply in (C.matvec, C.rmatvec):
            for _ in range(k):
                x = apply(x)
        return x

    return float(np.sqrt(_largest(LinearOperator(C.shape, dtype=float, matvec=normal), tol=1e-6)))


def tau(C: Any, k: int, rho: float | None = None) -> float:
    """The smallest τ ≥ 0 with ‖Cᵏ‖₂^(1/k) ≤ ρ + τ (1 − ρ), Assumption 2.1 of [4]_.

    How far from asymptotic the convergence still is after k iterations: 0 for a normal C, 1 where ‖Cᵏ‖ = 1.

    Parameters
    ----------
    C : array or LinearOperator, shape (n, n)
        `iteration_matrix` or `iteration_operator` with ρ(C) < 1.
    k : int
        The last iteration whose residual wasn't small enough: one less than the iteration count; for 0 τ is 0.
    rho : float, optional
        ρ(C) where it is known, for instance by `young_radius`.
    """
    if k == 0:
        return 0.0
    rho = spectral_radius(C) if rho is None else rho
    growth = _power_norm(C, k) ** (1.0 / k)
    return max(0.0, float((growth - rho) / (1.0 - rho)))


def near_asymptotic_iterations(rho: Any, tau: Any, eps: float) -> Any:
    """U(ω) = 1 + log ε / log(ρ + τ (1 − ρ)), the upper bound that the learners of [4]_ compete with.

    Parameters
    ----------
    rho, tau : float or array
        ρ(C_ω) and :func:`tau` at the iteration reached; broadcast against each other.
    eps : float
        Relative tolerance on the residual, in (0, 1).
    """
    return 1.0 + np.log(eps) / np.log(rho + tau * (1.0 - rho))


class Splitting(NamedTuple):
    """The two numbers of a matrix that the energy norm of SOR and the condition number of SSOR depend on.

    Attributes
    ----------
    mu : float
        λ_max(D A⁻¹); 1/γ in [2]_.
    delta : float
        λ_max((L D⁻¹ Lᵀ − D/4) A⁻¹); Γ/4 − 1/2 in [2]_.
    """

    mu: float
    delta: float


def splitting(A: Any) -> Splitting:
    """`Splitting` of A by two generalised eigenvalue problems.

    Parameters
    ----------
    A : array or sparse matrix, shape (n, n)
        Symmetric positive definite.
    """
    if _large(A):
        B, E = sparse.diags(A.diagonal()), sparse.tril(A, -1)
        F = E @ sparse.diags(1.0 / A.diagonal()) @ E.T - B / 4.0
        inverse = {"M": A, "Minv": LinearOperator(A.shape, dtype=float, matvec=splu(A.tocsc()).solve)}
        return Splitting(_largest(B, **inverse), _largest(F, **inverse))
    A = _dense(A)
    D, L = A.diagonal(), np.tril(A, -1)
    last = [len(A) - 1] * 2
    mu = eigh(np.diag(D), A, eigvals_only=True, subset_by_index=last)[0]
    delta = eigh(L / D @ L.T - np.diag(D / 4.0), A, eigvals_only=True, subset_by_index=last)[0]
    return Splitting(float(mu), float(delta))


def condition(A: Any) -> float:
    """κ_A, the condition number of A.

    Parameters
    ----------
    A : array or sparse matrix, shape (n, n)
        Symmetric positive definite.
    """
    if _large(A):
        inverse = LinearOperator(A.shape, dtype=float, matvec=splu(A.tocsc()).solve)
        return _largest(A) * _largest(inverse)
    return float(np.linalg.cond(_dense(A)))


def ssor_condition(omega: Any, mu: float, delta: float) -> Any:
    """κ(ω) = (1 + μ (2 − ω)²/(4ω) + δω) / (2 − ω), a bound on SSOR's condition number (Thm 7.17 of [3]_).

    Parameters
    ----------
    omega : float or array
        In (0, 2).
    mu, delta : float
        See `Splitting`.
    """
    return (1.0 + mu * (2.0 - omega) ** 2 / (4.0 * omega) + delta * omega) / (2.0 - omega)


def ssor_omega(mu: float, delta: float) -> float:
    """The minimiser 2/(1 + 2 √((½ + δ)/μ)) of `ssor_condition`.

    With Ω = 1/ω − ½ the bound is (μΩ² + Ω + ½ + δ)/(2Ω), smallest where μΩ² = ½ + δ.
    """
    return 2.0 / (1.0 + 2.0 * float(np.sqrt((0.5 + delta) / mu)))


def energy_norm(omega: Any, mu: float, delta: float) -> Any:
    """Bound √(1 − 1/κ(ω)) on the contraction of one SOR sweep in the norm √(eᵀAe) (Cor. 3.45 of [2]_).

    Hackbusch writes it √(1 − 2Ω/(Ω²/γ + Ω + Γ/4)) with Ω = 1/ω − ½; that fraction is SSOR's 1/κ(ω).

    Parameters
    ----------
    omega : float or array
        In (0, 2).
    mu, delta : float
        See `Splitting`.
    """
    return np.sqrt(1.0 - 1.0 / ssor_condition(omega, mu, delta))


def energy_iterations(norm: Any, condition: float, eps: float) -> Any:
    """Bound 1 + log(ε/√κ_A) / log q on SOR's iterations from the energy norm q of a sweep.

    The residual's 2-norm is at most √κ_A times what the energy norm promises.

    Parameters
    ----------
    norm : float or array
        q in (0, 1), such as `energy_norm`.
    condition : float
        κ_A, the condition number of A.
    eps : float
        Relative tolerance on the residual, in (0, 1).
    """
    return 1.0 + np.log(eps / np.sqrt(condition)) / np.log(norm)


def cg_iterations(ssor: Any, condition: float, eps: float) -> Any:
    """Bound on the iterations of CG with SSOR: Chebyshev's polynomial on [1/κ(ω), 1] (Axelsson [3]_).

    k ≤ 1 + log(√κ_A/ε + √(κ_A/ε² − 1)) / (−log(1 − 2/(1 + √κ(ω)))), the residual measured in the 2-norm.

    Parameters
    ----------
    ssor : float or array
        κ(ω) > 1, such as `ssor_condition`.
    condition : float
        κ_A, the condition number of A.
    eps : float
        Relative tolerance on the residual, in (0, 1).
    """
    return 1.0 + np.arccosh(np.sqrt(condition) / eps) / -np.log1p(-2.0 / (1.0 + np.sqrt(ssor)))
