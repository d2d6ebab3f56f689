"""The audit: which influences are real, whether the learned ones agree, and what the difference costs."""

from dataclasses import dataclass
from typing import Any

import torch
from scipy import stats
from torch import Tensor
from torchrl.envs import EnvBase

from ilvf.analysis.interventions import Interventions, State, intervene
from ilvf.analysis.scores import auroc, average_precision, calibration_error, off_diagonal
from ilvf.errors import require


def audit(
    env: EnvBase, policy: Any, states: State, *, level: float = 0.05, **options: Any
) -> "Audit":
    """Measured influence of every agent's action on every agent's return, over `states`.

    Args:
        env, policy, states, **options: see `intervene`.
        level: false discovery rate among the pairs that are called significant, and 1 − level of the intervals.

    Returns:
        Audit: all matrices `[N, N]`, row = acting agent, column = agent whose return it moves.
    """
    require(0 < level < 1, f"level={level} must be in (0, 1)")
    return Audit.of(intervene(env, policy, states, **options), level)


@dataclass(frozen=True)
class Audit:
    """Effect sizes of A-Q influence (eq. 4), their significance, and what they say of a learned influence.

    For a state s, joint action a and alternative b,  δ = Q_j(s, b, a_−i) − Q_j(s, a).  Of its R measurements x_r,
    u = Σ_{r≠r'} x_r x_r' / (R (R − 1))  is an unbiased estimate of δ², whose noise averages out and does not count as
    effect; states are the sample.

    effect: root of the mean of u, in units of the return; `low`, `high`: its t interval over states.
    p_value: one-sided t test over states that the mean of  u / z  is 0, where z is the mean square of the differences
        under the other joint actions of the same state. It makes states with a lot of noise count no more than quiet
        ones, and is independent of u, so that without influence the mean is 0 however skewed the differences are.
    significant: bool; false discovery rate controlled at `level` over the N (N − 1) pairs (Benjamini, Hochberg 1995).
        The diagonal is what the same test says of it.
    evidence `[K, N, N]`: the means of u / z in every state.
    """

    effect: Tensor
    low: Tensor
    high: Tensor
    p_value: Tensor
    significant: Tensor
    evidence: Tensor
    measured: Interventions
    level: float

    @classmethod
    def of(cls, measured: Interventions, level: float = 0.05) -> "Audit":
        squares, evidence = _squares(measured)
        mean, half, _ = _t_test(squares, level)
        p = _t_test(evidence, level)[2]
        effect, low, high = (x.clamp_min(0).sqrt() for x in (mean, mean - half, mean + half))
        return cls(effect, low, high, p, _discoveries(p, level), evidence, measured, level)

    def agreement(self, weight: Tensor) -> dict[str, float]:
        """How well weights `[N, N]` or `[K, N, N]` in [0, 1] (row = acting agent) find the significant pairs.

        AUROC and average precision are NaN where all pairs are significant, or none.
        """
        n = self.effect.shape[-1]
        require(
            weight.shape[-2:] == (n, n),
            f"the weight has shape {tuple(weight.shape)}, need [..., {n}, {n}]",
        )
        mean = weight.reshape(-1, n, n).mean(0).clamp(0, 1)
        share = float(off_diagonal(self.significant).float().mean())
        ranked = 0 < share < 1
        return {
            "auroc": float(auroc(mean, self.significant)) if ranked else float("nan"),
            "average_precision": float(average_precision(mean, self.significant))
            if ranked
            else float("nan"),
            "calibration_error": float(calibration_error(mean, self.significant)),
            "share_of_true_pairs": share,
        }

    def cost(self, influence: Tensor) -> dict[str, float]:
        """What an influence Ŵ `[N, N]` or `[K, N, N]` throws away of the policy gradient, and what variance it saves.

        With respect to the logits of π_i(· | s), agent i's gradient and what Ŵ leaves out of it are

            g_i(b) = π_i(b) (q(b) − Σ_c π_i(c) q(c)),   q(b) = Σ_j Q̄_j(s, b)   and   Σ_j (1 − Ŵ_ij) Q̄_j(s, b)

        `bias`: root of the ratio of their squared norms, summed over states and agents, with its bootstrap interval
        over states (`bias_low`, `bias_high`). Norms are unbiased estimates, from products of different joint actions.

        `variance`: of the score-function gradient of one joint action,  (1[a_i = b] − π_i(b)) Σ_j Ŵ_ij (G_j − V_j),
        as a fraction of that of Ŵ = 1 (MAPPO); G_j are measured returns, V_j their mean under the other joint actions.
        NaN if no return varies.
        """
        n, k = self.effect.shape[-1], self.evidence.shape[0]
        require(
            influence.shape in ((n, n), (k, n, n)),
            f"Ŵ has shape {tuple(influence.shape)}, need {(n, n)} or {(k, n, n)}",
        )
        kept = influence.to(self.measured.effect).expand(k, n, n)
        lost, whole = self._gradient_square(1 - kept), self._gradient_square(torch.ones_like(kept))
        low, high = _ratio_interval(lost, whole, self.level)
        own, all_of_it = (self._variance(w).clamp_min(0) for w in (kept, torch.ones_like(kept)))
        variance = float(own / all_of_it) if all_of_it > 0 else float("nan")
        return {
            "bias": _root_ratio(lost, whole),
            "bias_low": low,
            "bias_high": high,
            "variance": variance,
        }

    def detected(self, states: int, draws: int = 200, seed: int = 0) -> Tensor:
        """Power at the effects found here: the share of audits with so many states, drawn from these with
        replacement, in which a pair is significant."""
        noise, found = torch.Generator().manual_seed(seed), torch.zeros_like(self.effect)
        for _ in range(draws):
            chosen = torch.randint(self.evidence.shape[0], (states,), generator=noise)
            found += _discoveries(_t_test(self.evidence[chosen], self.level)[2], self.level)
        return found / draws

    # ------------------------------------------------------------------ gradients, [K]
    def _gradient_square(self, weight: Tensor) -> Tensor:
        """Unbiased Σ_i ‖g_i‖² of every state, for advantages weighted by `weight` `[K, N, N]`."""
        effect, pi = self.measured.effect.mean(2), self.measured.policy
        q = torch.einsum("kij,kmiaj->kmia", weight, effect)
        gradient = pi.unsqueeze(1) * (
            q - (pi.unsqueeze(1) * q).sum(-1, keepdim=True)
        )  # [K, M, N, A]
        return _unbiased_square(gradient, 1).sum((-1, -2))

    def _variance(self, weight: Tensor) -> Tensor:
        m = self.measured
        own = m.returns.mean(2, keepdim=True)  # [K, M, 1, N]
        others = (own.sum(1, keepdim=True) - own) / (own.shape[1] - 1)
        advantage = m.returns - others
        local = torch.einsum("kij,kmrj->kmri", weight, advantage)
        score = torch.nn.functional.one_hot(m.action, m.policy.shape[-1]) - m.policy.unsqueeze(
            1
        )  # [K, M, N, A]
        second = (score.square().sum(-1).unsqueeze(2) * local.square()).mean((1, 2)).sum(-1)
        return (second - self._gradient_square(weight)).mean()


def _squares(m: Interventions) -> tuple[Tensor, Tensor]:
    """(δ², δ² over the mean square under the other joint actions) of every pair, means over a state, `[K, N, N]`."""
    counts = m.alternatives.to(m.effect).unsqueeze(-1)  # [K, M, N, A, 1]
    total = counts.sum(3).clamp_min(1)
    square = (_unbiased_square(m.effect, 2) * counts).sum(3) / total  # [K, M, N, N]
    noise = (m.effect.square().mean(2) * counts).sum(3) / total
    others = (noise.sum(1, keepdim=True) - noise) / (noise.shape[1] - 1)
    scaled = torch.where(others > 0, square / others.clamp_min(torch.finfo(others.dtype).tiny), 0)
    return square.mean(1), scaled.mean(1)


def _unbiased_square(x: Tensor, axis: int) -> Tensor:
    """Σ_{r≠r'} x_r x_r' / (R (R − 1)): the mean of x, squared, without the square of its noise."""
    r = x.shape[axis]
    return (x.sum(axis).square() - x.square().sum(axis)) / (r * (r - 1))


def _t_test(squares: Tensor, level: float) -> tuple[Tensor, Tensor, Tensor]:
    """(mean, half width of its interval, one-sided p) over the first axis."""
    k = squares.shape[0]
    require(k >= 2, "the audit needs at least two states")
    mean, error = squares.double().mean(0), squares.double().std(0) / k**0.5
    t = torch.where(
        error > 0, mean / error.clamp_min(1e-300), torch.where(mean > 0, torch.inf, -torch.inf)
    )
    p = torch.from_numpy(stats.t.sf(t.numpy(), k - 1))
    return mean, float(stats.t.ppf(1 - level / 2, k - 1)) * error, p


def _discoveries(p: Tensor, level: float) -> Tensor:
    """Benjamini and Hochberg's procedure over the off-diagonal pairs; the diagonal by its own p."""
    found = p <= level
    pairs = ~torch.eye(len(p), dtype=torch.bool)
    if pairs.any():
        found[pairs] = torch.from_numpy(stats.false_discovery_control(p[pairs].numpy()) <= level)
    return found


def _root_ratio(part: Tensor, whole: Tensor, axis: int | None = None) -> Any:
    """√(Σ part / Σ whole), 0 where noise makes the part negative."""
    p, w = (x.sum() if axis is None else x.sum(axis) for x in (part, whole))
    ratio = (p.clamp_min(0) / w.clamp_min(1e-30)).sqrt()
    return float(ratio) if axis is None else ratio


def _ratio_interval(
    part: Tensor, whole: Tensor, level: float, draws: int = 1000
) -> tuple[float, float]:
    """Percentile bootstrap over states."""
    chosen = torch.randint(
        len(part), (draws, len(part)), generator=torch.Generator().manual_seed(0)
    )
    ratios = _root_ratio(part.cpu()[chosen], whole.cpu()[chosen], 1).double()
    low, high = torch.quantile(
        ratios, torch.tensor([level / 2, 1 - level / 2], dtype=torch.float64)
    ).tolist()
    return low, high
