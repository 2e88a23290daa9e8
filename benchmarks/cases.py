"""What learners are judged by: sequences from tables, with a context, and the highest ratio of iterations wanted."""

from __future__ import annotations

from functools import partial
from time import perf_counter
from typing import NamedTuple

import numpy as np
import tables
from tables import ONE, Table, U

from sorlearn.learners import NO_CONTEXT, Context, Learner, MatrixFeatures, Space
from sorlearn.tuning.baseline import Baseline


class Case(NamedTuple):
    """A row of the suite: `bars` are (solves, highest ratio wanted); `against` is the best ω or the best fixed ω."""

    table: str
    bars: tuple[tuple[int, float], ...]
    against: str = "best"
    #: Or: none, constant, shuffled, mixed (instances shuffled as well), idle (a user's number that means nothing),
    #: diffusion (the heat problem's coefficient, up to a factor, as a user's number, as in the paper's experiment).
    context: str = "matrix"


CASES = {
    "heat2d n_x=50": Case("heat50", ((1000, 1.01), (5000, 1.01))),
    "heat2d n_x=100": Case("heat100", ((1000, 1.01), (5000, 1.01))),
    "heat2d n_x=200": Case("heat200", ((200, 1.01), (1000, 1.01))),
    "n_x=50, told diffusion": Case("heat50", ((5000, 1.05),), context="diffusion"),
    "n_x=100, told diffusion": Case("heat100", ((5000, 1.05),), context="diffusion"),
    "shifts, SOR": Case("shifts", ((1000, 1.035), (5000, 1.015))),
    "constant matrix": Case("constant", ((20, 1.07), (100, 1.015))),
    "jumps": Case("jumps", ((400, 1.02),)),
    "3-D coefficients": Case("jumping3d", ((400, 1.015),)),
    "GMRES": Case("gmres", ((400, 1.03),)),
    "checkerboard": Case("checkerboard", ((400, 1.01),), "fixed"),
    "shuffled heat2d": Case("heat50", ((1000, 1.03),), "fixed", "shuffled"),
    "shuffled GMRES": Case("gmres", ((400, 1.03),), "fixed", "shuffled"),
    "shuffled jumps": Case("jumps", ((400, 1.03),), "fixed", "shuffled"),
    "shuffled shifts": Case("shifts", ((1000, 1.03),), "fixed", "shuffled"),
    "mixed heat2d": Case("heat50", ((1000, 1.03),), "fixed", "mixed"),
    "idle number, GMRES": Case("gmres", ((400, 1.03),), "fixed", "idle"),
    "drift unseen": Case("drift", ((1000, 1.00),), "fixed", "none"),
    "drift, constant features": Case("drift", ((1000, 1.00),), "fixed", "constant"),
    "eight blocks": Case("blocks8", ((400, 1.02),)),
    "rotated anisotropy": Case("rotated", ((400, 1.02),)),
    "finite elements": Case("elements", ((400, 1.02),)),
    "elasticity": Case("solid", ((400, 1.02),)),
    "two solves a step": Case("newton", ((400, 1.02),)),
    "mass matrices": Case("easy", ((300, 1.02),)),
    "convection in 3-D": Case("wind3d", ((300, 1.02),)),
    "switching reaction": Case("switching", ((300, 1.02),), "fixed"),
}
#: No constant was tuned on these, and none shall be.
HELD_OUT = {
    "Newton systems": Case("newton_systems", ((300, 1.05),)),
    "moving interface": Case("moving_interface", ((300, 1.05),)),
    "random mesh": Case("random_mesh", ((300, 1.05),)),
    "heat in a cube": Case("heat3d", ((300, 1.05),)),
    "plate": Case("plate", ((300, 1.05),)),
    "bursts of reaction": Case("bursts", ((300, 1.05),)),
    "divergence penalty": Case("penalty", ((300, 1.05),)),
    "failing network": Case("graph", ((300, 1.05),)),
    "swirl, BiCGStab": Case("swirl", ((300, 1.05),)),
    "reservoir": Case("reservoir", ((300, 1.05),)),
    "shuffled bursts": Case("bursts", ((300, 1.03),), "fixed", "shuffled"),
    "shuffled plate": Case("plate", ((300, 1.03),), "fixed", "shuffled"),
}



class Suite(NamedTuple):
    """A case made ready: iterations and costs (solves, ω), contexts."""

    its: np.ndarray
    work: np.ndarray
    contexts: list[Context]


def prepare(case: Case) -> Suite:
    table = tables.load(case.table)
    rng = np.random.default_rng(7)
    if case.context == "mixed":
        order = rng.permutation(len(table.its))
        table = Table(*(array[order] for array in table))
    context = table.context
    if case.context in ("mixed", "shuffled"):
        context = context[rng.permutation(len(context))]
    if case.context == "constant":
        context = np.tile(context[0], (len(context), 1))
    repeats = -(-case.bars[-1][0] // len(table.its))
    if case.context == "idle":
        context = rng.standard_normal((len(context), 1))
    if case.context == "diffusion":
        context = context[:, :1] / (1.0 - context[:, :1])
    tell = {"none": lambda row: NO_CONTEXT, "idle": lambda row: Context(user=tuple(row))}
    tell["diffusion"] = tell["idle"]
    contexts = [tell.get(case.context, lambda row: Context(MatrixFeatures(*row)))(row) for row in context.tolist()]
    work = (table.its + 1) / np.maximum(table.start - table.end, 0.5)
    return Suite(np.tile(table.its, (repeats, 1)), np.tile(work, (repeats, 1)), contexts * repeats)


def play(cls: type[Learner], suite: Suite, seed: int, times: list[float]) -> np.ndarray:
    """Iterations of each solve when the learner and its baseline choose; appends the seconds that it took a solve."""
    numbers = [context.number or 0.0 for context in suite.contexts]
    low, high = cls.default_range
    space = Space(
        omega_min=low, omega_max=high, context_min=min(numbers), context_max=max(numbers) + 1e-9, least=0.0
    )
    learner, baseline, spent = cls(space=space, seed=seed), Baseline(), []
    for t, context in enumerate(suite.contexts):
        start = perf_counter()
        if baseline.due():  # from here on as a session does it
            asked, omega = None if baseline.tiny else learner.safe(context), space.omega
        else:
            asked = learner.choose(context)
            omega = asked.omega
        decided = perf_counter()
        place = (U[0] - np.log(2 / omega - 1)) / (U[0] - U[1])
        j = min(max(int(place), 0), len(U) - 2)
        f = place - j
        its = (1 - f) * suite.its[t, j] + f * suite.its[t, j + 1]
        loss = float((1 - f) * suite.work[t, j] + f * suite.work[t, j + 1])
        limit = baseline.limit(partial(learner.harder, context))
        if limit and omega != space.omega and its > limit:  # the safe ω goes on
            its = limit + suite.its[t, ONE]
            loss = float(suite.work[t, ONE] * (its + 1) / (suite.its[t, ONE] + 1))
        spent.append(its)
        told = perf_counter()
        expected = None if asked is None else learner.at_safe(asked, loss)
        ratio = None if expected is None else expected / loss
        baseline.enter(its + 1, safe=omega == space.omega, ratio=ratio, limit=limit)
        if asked is not None and not baseline.tiny:
            learner.update(asked, loss)
        times.append(decided - start + perf_counter() - told)
    return np.array(spent)
