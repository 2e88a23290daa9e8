"""The default learner: theory with one unknown where theory holds, a regression where it doesn't."""

from __future__ import annotations

from math import cosh, exp, isfinite, log, sqrt

import numpy as np

from .base import NO_CONTEXT, Choice, Context, Learner, Space

STEP = 0.1  # of the grid of u
EPSILON = np.exp(np.linspace(-7.0, -0.5, 8))  # how far 1 − ρ² may be from what the minimiser obeys, one a member
FLAT = -1.2  # minimiser of the member that heeds the context for the level alone
BLIND = np.array([0.0, -0.7, -1.4, -2.1])  # minimisers of the members that ignore the context
FLAT_LOGWEIGHT, BLIND_LOGWEIGHT = -2.0, -3.0  # theory explains most matrices: the others start with less weight
OFFSET, SLOPE = np.repeat([-0.8, -1.8], 4), np.tile([-1.0, -0.5, 0.5, 1.0], 2)  # minimisers over a user's context
V_MIN, V_MAX, V_STEP = -4.4, 0.5, 0.05  # tabulated minimisers
GAP_SLOTS = 226  # slots of log(1 − ρ²), 25 to a unit, from e⁻⁹ to 1
LEVEL, SHAPE = 4, 3  # features of the level of the cost, and curves of its shape
MEAN = np.array([0.0, 0, 0, 0, 1, 0, 0])
VARIANCE = np.array([1.0, 1, 0.5, 0.5, 0.3, 0.3, 0.5]) ** 2
NOISE, LEAST_NOISE = 0.01, 0.0015  # variance of a log cost: first guess, and what counting in integers leaves
FORGET = 0.995  # of the evidence for members, a solve
OUTLIER = 3.0  # standard deviations beyond which a surprise counts no more
DRIFT = 5e-4  # of the coefficients' prior variance, a solve
REVERT = 0.05  # of the way back to the prior, every eighth solve: shapes that blind members learned
BELOW, ABOVE, MOST = 0.4, 1.0, 3.0  # log of a first cost against theory: standard deviations; most that it can count
OPTIMISM = 0.4  # standard deviations of the members' disagreement that a choice hopes for
TIE = 0.002  # relative costs this close are one and the same
REACH = 18  # steps that a choice may go beyond what has been tried
ALARM, CALM = 3.0, 8  # standard deviations that call for a safe solve at once, if so many solves went without one
DEAR = 4.0  # a cost this many times the prediction is a risk, remembered for all ω from there on
TOLL = 0.2  # evidence that members pay for a context that moves or a cost that drifts, lest they explain noise by it
ALLOWED, LEAST_ALLOWED = 0.1, 0.03  # share of the safe ω's total that may be lost after 20 solves, and in the end
EVEN = 0.01  # share of the safe ω's total by which the account may be overdrawn before ties go to the safe ω
OVERDUE = 10**9  # solves since the last safe one: more than any
AUDIT = 0.0015  # share of the total that safe solves in good times may cost
FOLLOWED = 0.5  # change of u up to which a moving ρ is followed without a choice
STILL = 0.01  # square of what a context may move by (in x) and still be the same
SETTLED, SPARE = 100, 4  # rounds after which what was foreseen is learned from only one time in so many


class Auto(Learner):
    """Chooses u = log(2/ω − 1), the axis on which log cost is smooth, from a bank of regressions.

    A member k believes that the cost is least at v_k and learns the rest by Bayesian linear regression (a Kalman
    filter with drift) of log cost on features of the level, z, and curves of the shape in δ = u − v_k::

        log cost = w·(z, c(δ) − min c, tanh δ, √(δ² + 0.01) − 0.1) + noise
        c(δ) = −log log((s + 1)/(s − 1)),   s² = 0.03 + e^(−v) cosh δ

    c is the iteration count of CG under SSOR (Axelsson 1994, theorem 7.17).  For eight members the minimiser is
    Young's, with one unknown each: v = ½ log(1 − (ρ/ρ̄)² + ε_k), where ρ is the context's signed dominance
    1 − row sum/diagonal, divided by cosh(skew), and ρ̄ the largest so far or 1.  One more leaves its
    minimiser where it is; four others know no context at all.  The first nine differ in nothing but the minimiser, so
    that their likelihoods, slowly forgotten, judge just that.  The choice is the least of mean − 0.4 standard
    deviations of the members' predictions.

    The safe ω comes first; what it costs is weighed against theory, for where it is cheap there is little to gain.
    After that choices go only `REACH` steps beyond what has been tried, keep away from where costs were far above the
    prediction, and are interrupted by solves at the safe ω: rarely while it is predicted dearer, once after an
    unforeseen cost above its own, at every solve while the account says that the total is too far above its own.

    Memory and time a solve are constant.  There is no regret statement: the design is empirical, its constants are
    tuned on the sequences of ``benchmarks/learning.py``, which measures it.

    Loss range: positive.  Context: ρ, its mean and the skew of the matrix; one number of the user's, to which the
    minimiser may then be linear; or nothing.

    Examples
    --------
    >>> learner = Auto(seed=3)
    >>> for _ in range(30):
    ...     choice = learner.choose()
    ...     learner.update(choice, 3.0 + 40.0 * (choice.omega - 1.6) ** 2)
    >>> print(f"{choice.omega:.2f}")
    1.69
    """

    name = "auto"
    loss_range = "positive"
    default_range = (0.75, 1.976)
    reads_matrix = True
    repeatable = True
    _remembered = (
        "weights", "P", "logw", "noise", "top", "low", "high", "risk", "spent", "base", "since", "seen", "told",
        "scale", "x", "user_mean", "user_var", "mu", "mean", "best", "places", "place", "predicted", "trend",
    )  # fmt: skip

    def __init__(self, *, space: Space = Space(), seed: int = 0):
        super().__init__(space=space, seed=seed)
        safe, least, most = _u(space.omega), _u(space.omega_max), _u(space.omega_min)
        below, above = max(int((safe - least) / STEP + 1e-9), 0), max(int((most - safe) / STEP + 1e-9), 0)
        self.safe = below
        self.u = safe + STEP * np.arange(-below, above + 1)
        self.omegas = 2.0 / (1.0 + np.exp(self.u))
        self.omegas[self.safe] = space.omega
        v = np.arange(V_MIN, V_MAX + 1e-9, V_STEP)
        self.curves = _curves(self.u[None, :] - v[:, None], v[:, None])
        gaps = np.exp(np.arange(GAP_SLOTS) / 25.0 - 9.0)
        others = np.tile([FLAT, *BLIND], (GAP_SLOTS, 1))
        self.by_gap = _place(np.hstack([0.5 * np.log(gaps[:, None] + EPSILON), others]))
        self.theory, self.members = len(EPSILON), self.by_gap.shape[1]
        self.aware = self.theory + 1
        self.weights = np.tile(MEAN, (self.members, 1))
        self.P = np.tile(np.diag(VARIANCE), (self.members, 1, 1))
        self.logw = np.array([0.0] * self.theory + [FLAT_LOGWEIGHT] + [BLIND_LOGWEIGHT] * len(BLIND))
        self.noise = np.full(2, NOISE)
        self.top, self.x, self.scale = 1.0, 0.0, 0.0
        self.trend = 0.0  # mean surprise of the last ten solves or so, in standard deviations
        self.user_mean, self.user_var = 0.0, 0.0
        self.low = self.high = self.safe
        self.risk = np.zeros(len(self.u))
        self.spent = self.base = self.seen = self.told = 0.0
        self.since = 0
        self.features = np.zeros((self.members, LEVEL + SHAPE))
        self.features[:, 0] = 1.0
        self.mu = np.zeros((self.members, len(self.u)))
        self.mean = np.zeros(len(self.u))
        self.best = np.zeros(len(self.u), dtype=bool)  # the choices that are as good as the best
        self.predicted = False  # whether the three above are up to date
        self.context = NO_CONTEXT
        self.moved = 0.0
        self.places, self.place = self.by_gap[0], -1

    # -- choosing

    def _choose(self, context: Context) -> Choice:
        self._read(context)
        if self.rounds == 0 or self._safe_is_due():
            return Choice(self.space.omega, self.safe, 1.0, self.rounds > 0, context)
        if self.best[self.safe] and self.spent > (1.0 + EVEN) * self.base:
            return Choice(self.space.omega, self.safe, 1.0, False, context)
        ties = self.best.nonzero()[0]
        i = int(ties[int(self.rng.random() * len(ties))])
        return Choice(float(self.omegas[i]), i, 1.0 / len(ties), False, context)

    def _predict(self) -> None:
        """Means of the members, and the choices that are as good as the best."""
        mu = np.matmul(self.weights[:, None, LEVEL:], self.curves[self.places])[:, 0]
        mu += np.einsum("ij,ij->i", self.weights[:, :LEVEL], self.features[:, :LEVEL])[:, None]
        p = np.exp(self.logw)
        p /= p.sum()
        self.mu, self.mean = mu, p @ mu
        spread = mu - self.mean
        spread *= spread
        score = p @ spread
        np.sqrt(score, out=score)
        score *= -OPTIMISM
        score += self.mean
        np.exp(score, out=score)
        score += self.risk / max(self.rounds, 1)
        first, last = max(self.low - REACH, 0), self.high + REACH + 1
        np.less_equal(score, score[first:last].min() * (1.0 + TIE), out=self.best)
        self.best[:first] = self.best[last:] = False
        self.predicted = True

    def _safe_is_due(self) -> bool:
        """Whether the account calls for a solve at the safe ω."""
        lost = self.spent - self.base
        if lost > self.base * max(ALLOWED * sqrt(20.0 / self.rounds), LEAST_ALLOWED):
            return True
        return self.since > 16.0 + max(self.base / self.spent - 1.0, 0.0) / AUDIT

    def follow(self, omega: float, context: Context, rho: float) -> float | None:
        """ω moved as far as the heaviest member's minimiser; None past `FOLLOWED`, or to where none was tried."""
        if context.matrix is None:
            return None
        scale = 1.0 / (cosh(min(abs(context.matrix.skew), 20.0)) * self.top)
        old, new = (1.0 - (max(value, 0.0) * scale) ** 2 for value in (context.matrix.rho, rho))
        if min(old, new) < 0.0:
            return None
        h = int(self.logw.argmax())
        shift = 0.5 * log((new + EPSILON[h]) / (old + EPSILON[h])) if h < self.theory else 0.0
        u = min(_u(omega) + shift, float(self.u[self.high]))  # less ω than has been tried gains little
        return 2.0 / (1.0 + exp(u)) if abs(shift) <= FOLLOWED and u >= self.u[self.low] else None

    # -- learning

    def _update(self, choice: Choice, loss: float) -> None:
        if choice.context != self.context:
            self._read(choice.context)
        user = choice.context.user
        if user and isfinite(user[0]):
            self._note_user(user[0])
        i, y = choice.index, log(max(loss + self.space.least, 1e-300))
        self._account(i, loss)
        surprise = y - float(self.mean[i])
        self.trend += 0.1 * (max(-4.0, min(4.0, surprise / sqrt(self.noise[0]))) - self.trend)
        if self._alarming(i, y, surprise):
            self.since = OVERDUE
        new = i < self.low or i > self.high
        if self.rounds > SETTLED and self.rounds % SPARE and not new and surprise * surprise < self.noise[0]:
            return
        self.low, self.high = min(self.low, i), max(self.high, i)
        self._regress(i, y, loss)
        self.predicted = False

    def _alarming(self, i: int, y: float, surprise: float) -> bool:
        """Whether a cost so far above its prediction, and the safe ω's, calls for a safe solve now; not in wealth."""
        if i == self.safe or self.since <= CALM or 2.0 * self.spent <= self.base:
            return False
        return surprise > ALARM * sqrt(self.noise[0]) and y > float(self.mean[self.safe])

    def _account(self, i: int, loss: float) -> None:
        """What was spent, and what the safe ω would have cost.

        That is as predicted while the context stands still, else its share of this loss as predicted; scaled by how
        the last solves at the safe ω compared with their predictions.
        """
        self.spent += loss
        safe, here = float(self.mean[self.safe]), float(self.mean[i])
        if i == self.safe:
            self.since = 0
            self.base += loss
            if self.rounds > 1:
                self.seen = 0.9 * self.seen + loss
                self.told = 0.9 * self.told + exp(min(safe, 50.0))
        else:
            self.since += 1
            known = min(self.seen / self.told, 1.5) if self.told else 1.0
            still = self.moved < STILL
            self.base += known * (exp(min(safe, 50.0)) if still else loss * exp(min(safe - here, 3.0)))
        over = loss - DEAR * exp(min(here, 50.0))
        if over > 0.0 and self.rounds > 1:
            first, last = (0, i + 3) if i <= self.safe else (i - 2, len(self.u))
            self.risk[max(first, 0) : last] += over

    def _regress(self, i: int, y: float, loss: float) -> None:
        """One step of every member's filter, and of their weights."""
        x, aware = self.features, self.aware
        x[:, LEVEL:] = self.curves[self.places, :, i]
        r = y - self.mu[:, i]
        if self.rounds == 1:
            self.weights[:, 0] += r
            r[:] = 0.0
            self.logw -= self._implausible(y)
        Px = np.matmul(self.P, x[:, :, None])[:, :, 0]
        q = np.einsum("ij,ij->i", Px, x)
        self.scale += (loss - self.scale) * max(0.01, 1.0 / self.rounds)
        d = q.copy()
        d[:aware] += self.noise[0]
        d[aware:] += self.noise[1] / min(max(loss / self.scale, 0.1), 10.0)  # a mean of costs, not of their logs
        z2 = r * r / d
        self._follow_noise(0, slice(0, aware), r, q, d, z2)
        self._follow_noise(1, slice(aware, self.members), r, q, d, z2)
        self.logw *= FORGET
        self.logw -= 0.25 * (np.minimum(z2, 16.0) + np.log(d))
        self.logw[:aware] -= TOLL * min(1.0, 4.0 * self.moved + self.trend**2)
        self.logw -= self.logw.max()
        np.maximum(self.logw, -20.0, out=self.logw)
        bound = OUTLIER * np.sqrt(d)
        gain = Px / d[:, None]
        self.weights += gain * np.maximum(np.minimum(r, bound), -bound)[:, None]
        self.P -= gain[:, :, None] * Px[:, None, :]
        if self.rounds % 8 == 0:
            variances = np.einsum("kii->ki", self.P)
            variances += np.where(variances < VARIANCE, 8 * DRIFT * VARIANCE, 0.0)
            shapes = self.weights[aware:, LEVEL:]
            shapes += REVERT * (MEAN[LEVEL:] - shapes)

    def _implausible(self, y: float) -> np.ndarray:
        """What a first log cost at the safe ω says against every member.

        Right on model problems, where costs are iterations per digit; too low on rough coefficients, hence the sides.
        """
        v = V_MIN + V_STEP * self.places
        s = _root_of_condition(self.u[self.safe] - v, v)
        r = y + np.log(np.log10((s + 1.0) / (s - 1.0)))
        return np.minimum(0.5 * (r / np.where(r < 0.0, BELOW, ABOVE)) ** 2, MOST)

    def _follow_noise(self, family: int, which: slice, r: np.ndarray, q: np.ndarray, d: np.ndarray, z2: np.ndarray):
        """Noise as the heaviest member of a family sees it; where even that is surprised, shapes are reopened.

        When it rises, blind members took the costs so far too seriously, and go back towards the prior.
        """
        h = which.start + int(self.logw[which].argmax())
        old = noise = float(self.noise[family])
        g = noise / float(d[h])
        step = max(0.05, 1.0 / (self.rounds + 2))
        noise += step * (min(float(r[h]) ** 2, 16.0 * float(d[h])) * g * g + float(q[h]) * g - noise)
        self.noise[family] = max(noise, LEAST_NOISE)
        if family == 1 and noise > old:
            shapes, rise = self.weights[which, LEVEL:], 1.0 - old / noise
            shapes += rise * (MEAN[LEVEL:] - shapes)
            variances = np.einsum("kii->ki", self.P)[which, LEVEL:]
            variances += rise * np.maximum(VARIANCE[LEVEL:] - variances, 0.0)
        if z2[h] > 16.0 and self.rounds > 3:
            self.P[which, range(LEVEL, LEVEL + SHAPE), range(LEVEL, LEVEL + SHAPE)] += 0.1 * VARIANCE[LEVEL:]

    # -- context

    def _read(self, context: Context) -> None:
        """Features of the level, and the curves of the members that heed the context; then predict."""
        self.context = context
        z, matrix = self.features[: self.aware], context.matrix
        if context.user and isfinite(context.user[0]):
            x = self._standardised(context.user[0])
            z[:, 1], z[:, 2], z[:, 3] = x, x * x - 1.0, 0.0
            self._look_up(np.append(_place(OFFSET + SLOPE * x), self.places[self.theory :]), -1)
        elif matrix is not None and isfinite(matrix.rho + matrix.rho_mean + matrix.skew):
            shrink = cosh(min(abs(matrix.skew), 20.0))
            rho, mean = max(matrix.rho, 0.0) / shrink, matrix.rho_mean / shrink
            if rho > self.top:
                self.top = rho
            gap = 1.0 - (rho / self.top) ** 2
            x = 0.5 * log(gap + 0.02) + 1.0
            z[:, 1], z[:, 2] = x, x * x - 1.0
            z[:, 3] = 0.5 * log(1.05 - min(mean / self.top, 1.0)) + 1.0 - x
            place = max(0, int(25.0 * log(gap + 1e-9) + 225.5))
            if place != self.place:
                self._look_up(self.by_gap[place], place)
        else:
            x = 0.0
            z[:, 1:LEVEL] = 0.0
            if self.place != GAP_SLOTS:
                self._look_up(self.by_gap[0], GAP_SLOTS)
        self.moved, self.x = (x - self.x) ** 2, x
        if not self.predicted:
            self._predict()

    def _look_up(self, places: np.ndarray, place: int) -> None:
        self.places, self.place, self.predicted = places, place, False

    def _standardised(self, value: float) -> float:
        """A user's number, less the mean so far, over the standard deviation so far, within ±2."""
        if self.user_var <= 0.0:
            return 0.0
        return min(max((value - self.user_mean) / sqrt(self.user_var), -2.0), 2.0)

    def _note_user(self, value: float) -> None:
        step = max(0.01, 1.0 / self.rounds)
        self.user_mean += step * (value - self.user_mean)
        self.user_var += step * ((value - self.user_mean) ** 2 - self.user_var)


def _u(omega: float) -> float:
    return log(2.0 / omega - 1.0)


def _place(v: np.ndarray) -> np.ndarray:
    """Index of the nearest tabulated minimiser."""
    return np.rint((np.clip(v, V_MIN, V_MAX) - V_MIN) / V_STEP).astype(int)


def _root_of_condition(delta: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(1.0001, 0.03 + np.exp(-v) * np.cosh(delta)))


def _curves(delta: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The three curves of the shape, shape (len(v), SHAPE, len(u))."""
    s = _root_of_condition(delta, v)
    c = -np.log(np.log((s + 1.0) / (s - 1.0)))
    return np.stack([c - c.min(axis=1, keepdims=True), np.tanh(delta), np.sqrt(delta**2 + 0.01) - 0.1], axis=1)
