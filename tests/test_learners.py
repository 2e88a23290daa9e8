"""One table of learners drives the contract; what only one of them promises comes after."""

import doctest
import json
import pickle
from importlib import import_module
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq, lsq_linear

from sorlearn.errors import OptionError, StateError
from sorlearn.learners import LEARNERS, NO_CONTEXT, Context, Space, learner_class
from sorlearn.learners.chebcb import boxed_minimiser
from sorlearn.learners.thompson import lowest_probability
from sorlearn.learners.tsallis_inf import TsallisINF, tsallis_weights
from sorlearn.theory import iteration_matrix

NAMES = [name for name in LEARNERS if find_spec(f"sorlearn.learners.{name}")]
CONTEXTUAL = [name for name in NAMES if learner_class(name).needs_context_range]
every_learner = pytest.mark.parametrize("name", NAMES)


def space(name, **changes):
    """A space that every learner accepts, with the range of ω that this one has by default."""
    low, high = learner_class(name).default_range
    given = dict(omega_min=low, omega_max=high, context_min=0.0, context_max=1.0)
    return Space(**{**given, **changes})


def user(number):
    """A context of one number of the user's."""
    return Context(user=(number,))


def make(name, seed=3, **changes):
    return learner_class(name)(space=space(name, **changes), seed=seed)


def smooth_loss(omega, c, noise=0.0):
    """Iterations with their least, 10, at ω = 1.4 + 0.3 c."""
    return 10.0 + 150.0 * (omega - 1.4 - 0.3 * c) ** 2 * (1.0 + 0.2 * noise) + noise


def play(learner, rounds, seed=11, context=True, loss=smooth_loss):
    """Losses and choices of `rounds` solves on noisy costs that depend on the context."""
    rng = np.random.default_rng(seed)
    losses, choices = [], []
    for _ in range(rounds):
        c, noise = rng.random(2).tolist()
        choices.append(learner.choose(user(c) if context else NO_CONTEXT))
        losses.append(loss(choices[-1].omega, c, noise))
        learner.update(choices[-1], losses[-1])
    return np.array(losses), choices


def through_json(state):
    """What becomes of a state in a file of JSON."""
    return json.loads(json.dumps(state, default=np.ndarray.tolist, allow_nan=False))


# The contract


@every_learner
def test_same_seed_same_choices(name):
    assert play(make(name), 200)[1] == play(make(name), 200)[1]


@pytest.mark.parametrize("name", [n for n in NAMES if n not in ("fixed", "auto")])
def test_another_seed_other_choices(name):
    assert play(make(name), 200)[1] != play(make(name, seed=4), 200)[1]


@every_learner
@pytest.mark.parametrize("rounds", [0, 1, 7, 400])
def test_restored_learner_continues_bit_for_bit(name, rounds):
    first, second = make(name), make(name, seed=99)
    play(first, rounds)
    second.restore(through_json(first.state()))
    assert play(first, 150, seed=12)[1] == play(second, 150, seed=12)[1]


@every_learner
def test_state_does_not_change_with_the_learner(name):
    learner = make(name)
    play(learner, 50)
    state = learner.state()
    before = json.dumps(through_json(state))
    play(learner, 50)
    assert json.dumps(through_json(state)) == before


@every_learner
def test_damaged_state_changes_nothing(name):
    learner = make(name)
    play(learner, 50)
    before = through_json(learner.state())
    for wrong in ({**before, "learner": "another"}, {**before, "rng": {}}, {"learner": name}):
        with pytest.raises(StateError):
            learner.restore(wrong)
    assert through_json(learner.state()) == before


@every_learner
@pytest.mark.parametrize("low, high", [(1.0, 1.95), (0.5, 1.2), (1.5, 1.5)])
def test_omega_stays_in_range(name, low, high):
    learner = make(name, omega=low, omega_min=low, omega_max=high)
    omegas = [choice.omega for choice in play(learner, 300)[1]]
    assert low <= min(omegas) and max(omegas) <= high


@every_learner
def test_choices_are_plain_numbers(name):
    for choice in play(make(name), 100)[1]:
        assert [type(x) for x in choice[:4]] == [float, int, float, bool]
        assert 0 < choice.propensity <= 1 and len(choice.context.user) == 1


@every_learner
def test_memory_is_constant(name):
    learner = make(name)
    sizes = []
    for rounds in (100, 1900):
        play(learner, rounds)
        sizes.append(len(pickle.dumps(learner.__dict__)))
    assert abs(sizes[1] - sizes[0]) <= 64


@pytest.mark.parametrize("name", [n for n in NAMES if n != "fixed"])
def test_learns(name):
    """Late solves cost less than half as much over the best ω as a random ω would."""
    learner = make(name)
    grid = np.linspace(learner.space.omega_min, learner.space.omega_max, 40)
    random_excess = np.mean([smooth_loss(omega, 0.5, 0.5) for omega in grid]) - 10.5
    losses, _ = play(learner, 3000, loss=lambda omega, c, noise: smooth_loss(omega, 0.5, noise))
    assert losses[-1000:].mean() - 10.5 < 0.5 * random_excess


@pytest.mark.parametrize("name", [n for n in NAMES if n != "fixed"])
def test_finds_the_best_omega_after_a_failed_start(name):
    """A disaster a hundred times an ordinary loss, met early, doesn't spoil the rest."""
    learner = make(name)
    losses, _ = play(learner, 3000, loss=lambda omega, c, noise: 3000.0 if omega > 1.9 else smooth_loss(omega, c))
    assert losses[-1000:].mean() < 40


@every_learner
def test_contexts_may_be_missing_or_far_outside(name):
    learner = make(name)
    for context in [NO_CONTEXT, *map(user, (0.5, -1e9, 1e9, float("nan"), float("inf")))] * 20:
        choice = learner.choose(context)
        assert np.isfinite(choice.omega) and 0 < choice.propensity <= 1
        learner.update(choice, 12.0)


@every_learner
@pytest.mark.parametrize("loss", [1.0, 1.0 + 1e-12, 7.0, 1e6])
@pytest.mark.parametrize("arms", [1, 2, 20])
def test_constant_losses(name, loss, arms):
    learner = make(name, num_omegas=arms)
    _, choices = play(learner, 150, loss=lambda *_: loss)
    assert all(np.isfinite(choice.omega) and 0 < choice.propensity <= 1 for choice in choices)
    through_json(learner.state())


@every_learner
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(
    losses=st.lists(st.one_of(st.floats(1.0, 1e6), st.sampled_from([1.0, 2.0, 1e6])), min_size=1, max_size=60),
    contexts=st.lists(st.floats(-0.5, 1.5), min_size=1, max_size=5),
    arms=st.integers(1, 8),
)
def test_any_losses(name, losses, contexts, arms):
    learner = make(name, num_omegas=arms)
    for t, loss in enumerate(losses):
        choice = learner.choose(user(contexts[t % len(contexts)]))
        assert learner.space.omega_min <= choice.omega <= learner.space.omega_max
        assert 0 < choice.propensity <= 1
        learner.update(choice, loss)
    through_json(learner.state())


@every_learner
def test_propensity_is_the_frequency(name):
    """The same learned state, drawn from again and again."""
    learner = make(name)
    play(learner, 60)
    choices = [learner.choose(user(0.3)) for _ in range(4000)]
    for index in {choice.index for choice in choices}:
        told = [choice.propensity for choice in choices if choice.index == index]
        assert max(told) == min(told)
        assert len(told) / 4000 == pytest.approx(told[0], abs=0.04)


@every_learner
def test_learns_from_a_safe_solve_or_says_that_it_cannot(name):
    """A choice that somebody else has made."""
    learner = make(name)
    play(learner, 20)
    choice = learner.safe(user(0.3))
    if choice is not None:
        assert choice.omega == learner.space.omega and choice.context == user(0.3)
        learner.update(choice, 12.0)
        assert learner.rounds == 21


@every_learner
def test_an_opinion_of_the_safe_omega_changes_nothing(name):
    learner, other = make(name), make(name)
    for t in range(60):
        choice, same = learner.choose(user(t % 7 / 7)), other.choose(user(t % 7 / 7))
        opinion = learner.at_safe(choice, 10.0 + t % 3)
        assert opinion is None or 0.0 < opinion < np.inf
        assert choice == same
        learner.update(choice, 10.0 + t % 3)
        other.update(same, 10.0 + t % 3)


@every_learner
def test_doctests(name):
    result = doctest.testmod(import_module(learner_class(name).__module__))
    assert result.failed == 0
    assert result.attempted > 0


@pytest.mark.parametrize("name", CONTEXTUAL)
@pytest.mark.parametrize("low, high", [(None, 1.0), (0.0, None), (1.0, 1.0), (0.0, float("inf"))])
def test_missing_context_range_is_named(name, low, high):
    with pytest.raises(OptionError, match=f"{name}.*context_min.*context_max"):
        make(name, context_min=low, context_max=high)


# Tsallis-INF


@pytest.mark.parametrize("d", [1, 2, 20, 500])
@pytest.mark.parametrize("spread", [0.0, 1e-9, 1.0, 1e4, 1e12])
@pytest.mark.parametrize("start", [1.0, 3.0, 1e3])
def test_newton_finds_the_root(d, spread, start):
    losses, eta = 1e3 + spread * np.random.default_rng(d).random(d), 0.3
    p, _ = tsallis_weights(losses, eta, start)
    # The paper's equation, in its own unknown x measured from the least loss.
    gaps = losses - losses.min()
    x = brentq(lambda x: np.sum(4 / (eta * (gaps - x)) ** 2) - 1, -2 * np.sqrt(d) / eta - 1, -1.999 / eta)
    assert p == pytest.approx(4 / (eta * (gaps - x)) ** 2, rel=1e-6)
    assert p.sum() == pytest.approx(1, abs=1e-12)


def test_tsallis_probabilities_are_algorithm_1():
    """Round by round against the cumulative losses of the whole history."""
    learner, history = TsallisINF(seed=5), []
    for t in range(1, 200):
        choice = learner.choose()
        if history:
            scale = np.mean([loss - 1 for _, loss in history])
            K = np.zeros(20)
            for past, loss in history:
                K[past.index] += (loss - 1) / past.propensity / scale
            p, _ = tsallis_weights(K, 2 / np.sqrt(t), 1.0)
            assert choice.propensity == pytest.approx(p[choice.index], rel=1e-6)
        history.append((choice, smooth_loss(choice.omega, 0.0)))
        learner.update(*history[-1])


def test_bins_of_the_context():
    learner = make("tsallis_inf_cb", context_bins=5)
    played = [*map(user, (-3.0, 0.0, 0.19, 0.21, 0.99, 1.0, 8.0)), NO_CONTEXT]
    for context in played:
        learner.update(learner.choose(context), 5.0)
    assert learner.played.tolist() == [3, 1, 1, 0, 3]


def test_bins_learn_apart():
    learner = make("tsallis_inf_cb")
    for _ in range(50):
        learner.update(learner.choose(user(0.1)), 30.0)
    assert learner.choose(user(0.9)).propensity == pytest.approx(1 / 20)


# Thompson sampling


@pytest.mark.parametrize("narrowest", [1.0, 0.1, 0.01])
def test_lowest_probability(narrowest):
    rng = np.random.default_rng(0)
    mean, deviation = rng.normal(size=6), rng.uniform(0.3, 1.5, 6)
    deviation[mean.argmin()] *= narrowest
    lowest = (mean + deviation * rng.standard_normal((200_000, 6))).argmin(axis=1)
    for index in range(6):
        assert lowest_probability(index, mean, deviation) == pytest.approx(np.mean(lowest == index), abs=5e-3)


# ChebCB


class DirectChebCB:
    """Algorithm 3 as the paper states it: costs divided by the scale, every arm refitted to the whole history."""

    def __init__(self, arms, features=6):
        self.d, self.m, self.history = arms, features, []

    def features(self, c):
        return np.polynomial.chebyshev.chebvander([2 * c - 1], self.m - 1)[0]

    def rescale(self):
        costs = [cost for *_, cost in self.history]
        self.K, self.width = max(costs), max(costs) - min(costs)
        N = 2 + 4 * self.width / self.K * (1 + np.log(self.m))
        self.scale = self.K * N
        box = 2 * self.width / (self.scale * np.maximum(np.arange(self.m), 1.0))
        box[0] = 1 / N
        return box + 1e-12

    def fit(self, arm, box):
        mine = [(self.features(c), cost) for i, c, _, cost in self.history if i == arm]
        if not mine:
            return np.zeros(self.m), 0.0
        F, y = np.array([f for f, _ in mine]), np.array([cost for _, cost in mine]) / self.scale
        ridge = np.sqrt(1e-3) * np.eye(self.m)
        A, b = np.vstack([F, ridge]), np.concatenate([y, np.zeros(self.m)])
        theta = lsq_linear(A / self.scale, b / self.scale, (-box, box), "bvls", tol=1e-15, max_iter=500).x
        return theta, np.sum((F @ theta - y) ** 2)

    def predictions(self, c):
        """ŷ in the units of the paper and the probabilities of every arm."""
        if not self.history:
            return np.zeros(self.d), np.full(self.d, 1 / self.d)
        box, t = self.rescale(), len(self.history) + 1
        fits = [self.fit(arm, box) for arm in range(self.d)]
        y = np.array([theta @ self.features(c) for theta, _ in fits])
        errors = sum(((predicted - cost) / self.scale) ** 2 for *_, predicted, cost in self.history)
        R = max(0, errors - sum(residual for _, residual in fits))
        alpha = (np.pi + 2 / np.pi * np.log(2 * self.m + 1)) / (2 * self.scale * (self.m + 1)) * self.width
        eta = 2 * t * np.sqrt(self.d * t / (R + 2 * alpha**2 * t))
        p = 1 / (self.d + eta * (y - y.min()))
        p[y.argmin()] += 1 - p.sum()
        return y * self.scale, p


@pytest.mark.parametrize("noise, rim", [(0.0, 0), (40.0, 20), (400.0, 20)])
def test_chebcb_is_the_direct_refit(noise, rim):
    """At every round, while new extremes of the loss change the scale, the box and with it the constrained fits."""
    arms = 4
    learner, direct = make("chebcb", num_omegas=arms), DirectChebCB(arms)
    rng, scales, constrained = np.random.default_rng(2), set(), 0
    for t in range(150):
        c = float(rng.random())
        y, p = direct.predictions(c)
        assert learner.phi @ learner._features(user(c)) == pytest.approx(y, rel=1e-6, abs=1e-6 * max(1, y.max()))
        assert learner.probabilities(user(c)) == pytest.approx(p, abs=1e-6)
        choice = learner.choose(user(c))
        loss = smooth_loss(choice.omega, c) + noise * rng.random() * (1 + t / 50)
        learner.update(choice, loss)
        direct.history.append((choice.index, c, y[choice.index], loss - 1))
        scales.add((learner.highest, learner.lowest))
        constrained += learner.at_rim.any()
    assert len(scales) > 2
    assert constrained >= rim


def test_boxed_minimiser_at_singular_corners():
    H = np.diag([1.0, 1e-3, 4e-3])
    assert boxed_minimiser(H, np.array([5.0, 0.0, 1.0]), np.array([3.0, 0.0, 0.0])) == pytest.approx([3, 0, 0])
    assert boxed_minimiser(H, np.array([2.0, -1.0, 0.0]), np.array([3.0, 2.0, 1.0])) == pytest.approx([2, -2, 0])


def test_chebcb_refits_nothing_when_fits_are_inside(monkeypatch):
    """Late in a run a solve doesn't call the constrained solver, however long the history."""
    learner = make("chebcb")
    play(learner, 1000)
    monkeypatch.setattr("sorlearn.learners.chebcb.boxed_minimiser", None)
    play(learner, 300, loss=lambda omega, c, noise: smooth_loss(omega, c))


def test_chebcb_follows_the_context():
    totals = {name: play(make(name), 3000)[0].sum() for name in ("tsallis_inf", "chebcb")}
    assert totals["chebcb"] < 0.9 * totals["tsallis_inf"]


# The paper's contextual experiment


@pytest.fixture(scope="module")
def iterations():
    """Iterations of SOR on the 5-point Laplacian (n = 100), shape (25 shifts in [−.15, .45], 20 ω, 8 vectors b)."""
    T = 2 * np.eye(10) - np.eye(10, k=1) - np.eye(10, k=-1)
    A, I100 = np.kron(T, np.eye(10)) + np.kron(np.eye(10), T), np.eye(100)
    b = np.random.default_rng(0).standard_normal((100, 8))

    def count(C):
        k, r = np.ones(8), C @ b
        while (left := np.linalg.norm(r, axis=0) >= 1e-8 * np.linalg.norm(b, axis=0)).any():
            k, r = k + left, C @ r
        return k

    return np.array(
        [[count(iteration_matrix(A + c * I100, w)) for w in Space().grid()] for c in np.linspace(-0.15, 0.45, 25)]
    )


def total(learner, iterations, solves=5000):
    rng = np.random.default_rng(1)
    cells = np.rint(24 * rng.beta(0.5, 1.5, solves)).astype(int)
    spent = 0.0
    for cell, vector in zip(cells.tolist(), rng.integers(8, size=solves).tolist()):
        choice = learner.choose(user(-0.15 + 0.025 * cell))
        k = float(iterations[cell, choice.index, vector])
        learner.update(choice, k)
        spent += k
    return spent


def test_paper_experiment_5(iterations):
    """Contexts pay: the order of the paper's figure, and ChebCB within a quarter of instance-optimal."""
    paper = dict(context_min=-0.15, context_max=0.65)
    chebcb, cb, tsallis = (
        total(make(name, **paper), iterations) for name in ("chebcb", "tsallis_inf_cb", "tsallis_inf")
    )
    rng = np.random.default_rng(1)
    cells = np.rint(24 * rng.beta(0.5, 1.5, 5000)).astype(int)
    optimal = iterations[cells].min(axis=1)[np.arange(5000), rng.integers(8, size=5000)].sum()
    assert chebcb < 0.9 * cb < 0.9 * 0.95 * tsallis
    assert optimal < chebcb < 1.25 * optimal
