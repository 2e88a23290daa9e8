"""Tables of what every ω costs on every instance of a sequence, so that a learner can be judged in milliseconds.

The true residual is tested, and every instance is solved at every ω of a grid.

    OMP_NUM_THREADS=1 python3 benchmarks/tables.py [name ...]      # makes the missing tables
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import applications
import heldout
import numpy as np
import scipy.sparse as sp
import sequences
from sequences import Instance

TABLES = Path(os.environ.get("SORLEARN_TABLES", Path(__file__).parent / ".tables"))
#: ω of a table: even steps in u = log(2/ω − 1), the axis on which iteration counts are smooth.
U = np.linspace(0.5, -4.4, 50)
OMEGAS = 2 / (1 + np.exp(U))
ONE = int(np.abs(U).argmin())  # column of ω = 1
MAX_IT = 10_000


class Sequence(NamedTuple):
    """How to make a sequence and how to solve it."""

    make: Callable[[int], Iterator[Instance]]
    solves: int
    ksp: str = "cg"
    repeats: int = 1  # the table is used this many times over: periodic sequences
    every: int = 1  # only every so many instances are in the table


class Table(NamedTuple):
    """What every ω costs on every instance: arrays of shape (solves, len(OMEGAS)), contexts (solves, 5)."""

    its: np.ndarray  # OMEGAS are even in u = log(2/ω − 1)
    fraction: np.ndarray  # iterations until the tolerance, between the last two residuals
    start: np.ndarray  # log10 of the initial residual
    end: np.ndarray  # log10 of the last
    context: np.ndarray


SEQUENCES = {
    "heat50": Sequence(sequences.heat2d(50), 1000, repeats=5),
    "heat100": Sequence(sequences.heat2d(100), 1000, repeats=5, every=1),
    "heat200": Sequence(sequences.heat2d(200), 1000, repeats=5, every=5),
    "shifts": Sequence(sequences.shifts, 1000, ksp="richardson", repeats=5),
    "constant": Sequence(sequences.constant(), 100),
    "jumps": Sequence(sequences.jumps, 400),
    "jumping3d": Sequence(sequences.jumping3d, 400),
    "gmres": Sequence(sequences.gmres, 400, ksp="gmres"),
    "checkerboard": Sequence(sequences.checkerboard, 400),
    "drift": Sequence(sequences.drift, 1000),
    "blocks8": Sequence(sequences.blocks8, 400),
    "rotated": Sequence(sequences.rotated, 400),
    "elements": Sequence(sequences.elements, 400),
    "solid": Sequence(sequences.solid, 400),
    "newton": Sequence(sequences.newton, 400),
    "wind3d": Sequence(sequences.wind3d, 300, ksp="gmres"),
    "switching": Sequence(sequences.switching, 300),
    "tutorial": Sequence(sequences.tutorial, 10),
    "easy": Sequence(sequences.easy, 300),
    # held out: no constant was tuned on them, and none shall be
    "newton_systems": Sequence(applications.newton_systems(), 300),
    "moving_interface": Sequence(applications.moving_interface(), 300),
    "random_mesh": Sequence(applications.random_mesh, 300),
    "heat3d": Sequence(applications.heat3d(), 300),
    "plate": Sequence(heldout.plate, 300),
    "bursts": Sequence(heldout.bursts, 300),
    "penalty": Sequence(heldout.penalty, 300),
    "graph": Sequence(heldout.graph, 300),
    "swirl": Sequence(heldout.swirl, 300, ksp="bcgs"),
    "reservoir": Sequence(heldout.reservoir, 300),
}


def features(instance: Instance, previous: Instance | None, since: int) -> tuple[float, ...]:
    """The context that a session would give, from all rows: see `sorlearn.learners.auto.Auto`."""
    A = instance.A
    diagonal = A.diagonal()
    rho = 1 - np.asarray(A.sum(axis=1)).ravel() / diagonal
    worst = np.partition(rho, -8)[-8:]
    sample = np.concatenate([worst, rho[:: max(1, len(rho) // 8)][:8]])
    lower, upper = abs(sp.tril(A, -1)).sum(), abs(sp.triu(A, 1)).sum()
    asymmetry = 0.5 * np.log(lower / upper)
    return (max(0.0, rho.max()), sample.mean(), 0.0 if abs(asymmetry) < 1e-12 else asymmetry,
            -np.log10(instance.rtol), float(since))


def make_ksp(sequence: Sequence):
    """The solver of a sequence, true residuals, up to `MAX_IT` iterations; its PC comes from the options."""
    from petsc4py import PETSc

    ksp = PETSc.KSP().create(PETSc.COMM_SELF)
    ksp.setType(sequence.ksp)
    if sequence.ksp in ("gmres", "bcgs"):
        ksp.setPCSide(PETSc.PC.Side.RIGHT)
    ksp.setNormType(PETSc.KSP.NormType.UNPRECONDITIONED)
    ksp.setInitialGuessNonzero(True)
    return ksp


def petsc_matrix(A: sp.csr_matrix):
    from petsc4py import PETSc

    A = A.tocsr()
    return PETSc.Mat().createAIJ(A.shape, csr=(A.indptr, A.indices, A.data), comm=PETSc.COMM_SELF)


def make_table(name: str) -> Table:
    """Solve every instance at every ω of the grid; all at 1e-8 of the true residual unless the instance says so."""
    from petsc4py import PETSc

    sequence = SEQUENCES[name]
    options = PETSc.Options()
    sweep = "pc_sor_forward" if sequence.ksp == "richardson" else "pc_sor_local_symmetric"
    options[sweep] = None
    ksp = make_ksp(sequence)
    pc = ksp.getPC()
    pc.setType("sor")
    if sequence.ksp == "richardson":
        ksp.setMonitor(lambda ksp, its, norm: None)  # without one PETSc runs all iterations untested
    rows, contexts, A, P, old, since = [], [], None, None, None, 0
    for t, instance in zip(range(sequence.solves), sequence.make(0)):
        if t % sequence.every:
            continue
        if old is None or instance.A is not old.A:
            for matrix in (A, P):
                if matrix is not None:
                    matrix.destroy()
            A = petsc_matrix(instance.A)
            P = None if instance.P is None else petsc_matrix(instance.P)
            since = 0
        else:
            since += 1
        contexts.append(features(instance, old, since))
        old = instance
        b = PETSc.Vec().createWithArray(instance.b, comm=PETSc.COMM_SELF)
        x = b.duplicate()
        guess = np.zeros_like(instance.b) if instance.x0 is None else instance.x0
        ksp.setOperators(A, P)
        ksp.setTolerances(rtol=instance.rtol, atol=1e-50, divtol=1e8, max_it=MAX_IT)
        ksp.setConvergenceHistory(MAX_IT + 1, reset=True)
        row = []
        for omega in OMEGAS:
            options["pc_sor_omega"] = omega
            pc.setFromOptions()
            x.setArray(guess)
            ksp.solve(b, x)
            history = ksp.getConvergenceHistory()
            k, target = ksp.its, instance.rtol * np.linalg.norm(instance.b)
            tail = np.log10(np.maximum(history[-2:], 1e-300))
            if ksp.reason < 0:
                k = fraction = MAX_IT
            elif k == 0:
                fraction = 0.0
            else:
                fraction = k - 1 + min(1.0, (tail[0] - np.log10(target)) / (tail[0] - tail[-1]))
            row.append((k, fraction, np.log10(history[0]), tail[-1]))
        rows.append(row)
        b.destroy()
        x.destroy()
    options.delValue(sweep)
    options.delValue("pc_sor_omega")
    its, fraction, start, end = np.moveaxis(np.array(rows), 2, 0)
    return Table(its, fraction, start, end, np.array(contexts))


def load(name: str) -> Table:
    """The table of a sequence, made when it isn't there."""
    path = TABLES / f"{name}.npz"
    if not path.exists():
        TABLES.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        np.savez_compressed(path, *make_table(name))
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)
    with np.load(path) as file:
        return Table(*file.values())


if __name__ == "__main__":
    for chosen in sys.argv[1:] or SEQUENCES:
        table = load(chosen)
        best = table.its.min(axis=1).sum()
        print(f"{chosen:14s} ω=1 {table.its[:, ONE].sum() / best:6.2f}  best fixed "
              f"{table.its.sum(axis=0).min() / best:5.2f} at {OMEGAS[table.its.sum(axis=0).argmin()]:.2f}  "
              f"iterations a solve {best / len(table.its):.1f}", flush=True)
