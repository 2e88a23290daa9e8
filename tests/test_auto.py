"""What only `auto` promises, on small synthetic costs: near the best with theory, not misled without it."""

import json

import numpy as np
import pytest

from sorlearn.learners import NO_CONTEXT, Context, MatrixFeatures, Space
from sorlearn.learners.auto import Auto
from sorlearn.learners.auto.learner import FIRST, REACH
from sorlearn.learners.tsallis_inf import TsallisINF
from sorlearn.tuning.baseline import Baseline

SPACE = Space(omega_min=0.75, omega_max=1.976, least=0.0)
RHO = 1 - 10 ** np.random.default_rng(0).uniform(-2.5, -0.3, 400)  # 400 matrices, easy and stiff


def make(seed=1):
    return Auto(space=SPACE, seed=seed)


def features(rho):
    return Context(MatrixFeatures(float(rho), float(rho), 0.0, 8.0, 0.0))


def krylov(omega, rho):
    """Iterations per digit of SSOR-CG, with its minimum where Young has it."""
    u, v = np.log(2 / omega - 1), 0.5 * np.log(1 - rho**2)
    s = np.sqrt(0.03 + np.exp(-v) * np.cosh(u - v) + 1)
    return 1 / np.log10((s + 1) / (s - 1))


def play(learner, rounds, cost, context, baseline=None):
    """Costs of `rounds` solves; `cost(t, omega)`, `context(t)`; with a baseline as a session has it."""
    spent = []
    for t in range(rounds):
        due = baseline is not None and baseline.due()
        choice = learner.safe(context(t)) if due else learner.choose(context(t))
        assert SPACE.omega_min <= choice.omega <= SPACE.omega_max
        spent.append(cost(t, choice.omega))
        if baseline:
            ratio = learner.at_safe(choice, spent[-1]) / spent[-1]
            baseline.enter(spent[-1], safe=choice.omega == SPACE.omega, ratio=ratio)
        learner.update(choice, spent[-1])
    return np.array(spent)


def grid_costs(rho):
    """Costs of the instances at every ω of a fine grid."""
    return np.array([krylov(make().omegas, r) for r in rho])


def test_starts_at_the_safe_omega():
    assert make().choose(features(0.9)).omega == 1.0


@pytest.mark.parametrize("seed", range(5))
def test_only_the_first_choice_goes_far_beyond_what_has_been_tried(seed):
    learner, rng, beyond = make(seed), np.random.default_rng(seed), []
    for _ in range(40):
        low, high = learner.low, learner.high
        choice = learner.choose(features(0.999))
        beyond.append(max(low - choice.index, choice.index - high, 0))
        learner.update(choice, krylov(choice.omega, 0.999) * np.exp(rng.standard_normal()))
    far = [steps for steps in beyond if steps]
    assert REACH < far[0] <= FIRST and max(far[1:], default=0) <= REACH


def test_near_the_best_with_a_true_context():
    spent = play(make(), 400, lambda t, omega: krylov(omega, RHO[t]), lambda t: features(RHO[t]))
    assert spent.sum() < 1.02 * grid_costs(RHO).min(axis=1).sum()


def test_not_misled_by_a_shuffled_context():
    other = np.random.default_rng(1).permutation(RHO)
    spent = play(make(), 400, lambda t, omega: krylov(omega, RHO[t]), lambda t: features(other[t]))
    assert spent[200:].sum() < 1.15 * grid_costs(RHO[200:]).sum(axis=0).min()


def test_a_context_may_explain_the_level_alone():
    """Costs that ρ explains, but whose minimum stays where it is: as good as the best fixed ω."""
    level = 1 / np.sqrt(1 - RHO**2)
    spent = play(make(), 400, lambda t, omega: level[t] * krylov(omega, 0.95), lambda t: features(RHO[t]))
    assert spent[100:].sum() < 1.012 * (level[100:, None] * grid_costs([0.95])).sum(axis=0).min()


def test_knows_what_a_trial_would_have_cost_at_the_safe_omega():
    """Where instances are dearer than foreseen, too, and not what was foreseen where it was ω that was dear."""
    learner, rho = make(), lambda t: RHO[t]
    play(learner, 300, lambda t, omega: krylov(omega, rho(t)), lambda t: features(rho(t)), Baseline())
    choice = learner.choose(features(0.95))
    loss, safe = krylov(choice.omega, 0.95), krylov(1.0, 0.95)
    assert choice.omega > 1.3
    assert learner.at_safe(choice, loss) == pytest.approx(safe, rel=0.25)
    assert learner.at_safe(choice, 1.2 * loss) == pytest.approx(1.2 * safe, rel=0.25)
    assert learner.at_safe(choice, 100 * loss) < 4 * safe
    assert learner.at_safe(learner.safe(features(0.95)), 100 * safe) == pytest.approx(safe, rel=0.25)


@pytest.mark.parametrize("context", [NO_CONTEXT, features(0.9)], ids=["none", "constant"])
def test_follows_jumps_that_no_context_shows(context):
    rho = np.repeat([0.5, 0.99, 0.5, 0.99], 100)
    spent = play(make(), 400, lambda t, omega: krylov(omega, rho[t]), lambda t: context)
    assert spent.sum() < 1.05 * grid_costs(rho).sum(axis=0).min()


@pytest.mark.parametrize("sign", [1, -1])
def test_learns_what_a_users_number_means(sign):
    number = sign * np.log(1 - RHO)
    spent = play(make(), 400, lambda t, omega: krylov(omega, RHO[t]), lambda t: Context(user=(float(number[t]),)))
    assert spent[100:].sum() < 1.05 * grid_costs(RHO[100:]).min(axis=1).sum()


def test_not_misled_by_an_idle_users_number():
    idle = np.random.default_rng(2).standard_normal(400)
    spent = play(make(), 400, lambda t, omega: krylov(omega, RHO[t]), lambda t: Context(user=(float(idle[t]),)))
    assert spent[100:].sum() < 1.15 * grid_costs(RHO[100:]).sum(axis=0).min()


def test_learns_which_of_several_numbers_matter():
    """ρ is hidden in the sum of two, beside one that means nothing; each alone says little."""
    rng = np.random.default_rng(4)
    part, idle = rng.normal(0.0, 3.0, 400), rng.standard_normal(400)
    numbers = np.column_stack([part, np.log(1 - RHO) - part, idle])

    def spent(columns):
        told = [Context(user=tuple(row)) for row in numbers[:, columns].tolist()]
        return play(make(), 400, lambda t, omega: krylov(omega, RHO[t]), told.__getitem__)[100:].sum()

    best = grid_costs(RHO[100:]).min(axis=1).sum()
    assert spent([0, 1, 2]) < 1.04 * best
    assert spent([0]) > 1.08 * best


@pytest.mark.parametrize("numbers", [(float("nan"), 1.0), (1.0, float("inf")), tuple(range(12)), (2.0, 2.0)])
def test_numbers_may_be_anything(numbers):
    learner = make()
    for t in range(30):
        told = Context(user=numbers if t % 3 else (1.0, 5.0, float(t)))
        learner.update(learner.choose(told), 10.0)
    assert np.isfinite(learner.omegas[learner.best]).all() and np.isfinite(learner.map.index.w).all()


def adversaries():
    rng = np.random.default_rng(3)
    places, logs = [0.7, 1.0, 1.1, 1.5, 1.6, 1.9], np.log([60, 36, 35, 3171, 10000, 22])
    random = rng.lognormal(3, 1, 60)
    return {
        "one is best": lambda t, omega: 20 * (1 + 4 * abs(omega - 1)),
        "spikes": lambda t, omega: float(np.exp(np.interp(omega, places, logs))),
        "random": lambda t, omega: 20.0 if omega == 1 else float(random[int(30 * omega)]),
        "dearer from the second solve on": lambda t, omega: 10.0 if omega == 1 else 21.0,
    }


@pytest.mark.parametrize("name", adversaries())
def test_with_a_baseline_debt_against_the_safe_omega_is_paid_back(name):
    """Costs made to mislead, and nobody to cut trials off: whatever the first trials cost is earned again."""
    cost = adversaries()[name]
    spent = play(make(), 1000, cost, lambda t: NO_CONTEXT, Baseline())
    safe = np.array([cost(t, 1.0) for t in range(1000)])
    assert spent[100:].sum() < 1.05 * safe[100:].sum()
    if name != "spikes":  # one trial there costs hundreds of safe solves: only the guarded solver can help
        assert (spent.cumsum() / safe.cumsum())[99:].max() < 1.1


def test_state_continues_bit_for_bit():
    learner, copy = make(), make(seed=9)
    cost, context = (lambda t, omega: krylov(omega, RHO[t])), (lambda t: features(RHO[t]))
    play(learner, 150, cost, context)
    play(copy, 30, cost, lambda t: NO_CONTEXT)
    copy.restore(json.loads(json.dumps(learner.state(), default=lambda value: value.tolist())))
    assert np.array_equal(play(learner, 100, cost, context), play(copy, 100, cost, context))


def test_deterministic():
    runs = [play(make(), 200, lambda t, omega: krylov(omega, RHO[t]), lambda t: features(RHO[t])) for _ in range(2)]
    assert np.array_equal(*runs)


def test_a_harder_system_is_foreseen_after_the_first_solve():
    learner = make()
    assert learner.harder(features(0.9)) == 1.0  # nothing is known
    learner.update(learner.safe(features(0.5)), 10.0)
    learner.choose(features(0.999))
    assert learner.harder(features(0.999)) > 1.2 > 1.0 >= learner.harder(features(0.3))


def test_what_another_omega_would_cost_more():
    learner = Auto(seed=0)
    for _ in range(60):
        choice = learner.choose()
        learner.update(choice, 10.0 + 40.0 * (choice.omega - 1.6) ** 2)
    choice = learner.choose()
    assert learner.excess(choice.omega, choice) == 0.0
    near, far, beyond = (learner.excess(omega, choice) for omega in (1.001 * choice.omega, 1.2, 1.99))
    assert 0.0 == near < 0.1 < far and beyond > 0.0
    assert TsallisINF(seed=0).excess(1.2, choice) == np.inf
