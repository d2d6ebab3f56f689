"""The audit: measured influence, its significance, and scores of a learned influence."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchrl.envs import EnvBase

from ilvf.analysis.interventions import Interventions, intervene
from ilvf.analysis.scores import auroc, average_precision, calibration_error, off_diagonal
from ilvf.analysis.statistics import (
    discoveries,
    ratio_interval,
    root_ratio,
    t_test,
    unbiased_square,
)
from ilvf.analysis.stepping import State
from ilvf.errors import require

NAN = float("nan")


def audit(
    env: EnvBase, policy: Any, states: State, *, level: float = 0.05, **options: Any
) -> "Audit":
    """Measure the influence of every agent's action on every agent's return.

    Args:
        env: see `intervene`.
        policy: see `intervene`.
        states: see `intervene`.
        level: false discovery rate of the significant pairs, and 1 − confidence of the intervals.
        **options: of `intervene`.

    Returns:
        All matrices `[N, N]`, row = acting agent, column = agent whose return changes.
    """
    require(0 < level < 1, f"level={level} must be in (0, 1)")
    return Audit.of(intervene(env, policy, states, **options), level)


@dataclass(frozen=True)
class Audit:
    """Effect sizes of A-Q influence (eq. 4), their significance, and scores of a learned influence.

    For a state s, a joint action a and an alternative b of agent i, the effect on agent j is

        δ = Q_j(s, b, a_−i) − Q_j(s, a)

    From its R measurements x_r,  u = Σ_{r≠r'} x_r x_r' / (R (R − 1))  is an unbiased estimate of
    δ²: noise does not count as effect. States are the sample of all tests and intervals.

    All matrices are `[N, N]`, row = acting agent i, column = agent j whose return changes.

    Attributes:
        effect: root of the mean of u, in units of the return.
        low: lower end of its t interval over states.
        high: upper end.
        p_value: of a one-sided t test over states that the mean of  u / z  is 0. z is the mean
            square of the differences under the *other* joint actions of the same state. Noisy
            states count no more than quiet ones, and z is independent of u, so that the mean is 0
            without influence, however skewed the differences are.
        significant: bool; the false discovery rate over the N (N − 1) pairs is `level` (Benjamini
            and Hochberg, 1995). The diagonal is tested one by one.
        evidence: mean of u / z in every state, `[K, N, N]`.
        measured: what the audit is computed from.
        level: false discovery rate, and 1 − confidence of the intervals.
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
        """The audit of interventions that have been measured."""
        squares, evidence = _squares(measured)
        mean, half, _ = t_test(squares, level)
        _, _, p = t_test(evidence, level)
        return cls(
            effect=mean.clamp_min(0).sqrt(),
            low=(mean - half).clamp_min(0).sqrt(),
            high=(mean + half).clamp_min(0).sqrt(),
            p_value=p,
            significant=discoveries(p, level),
            evidence=evidence,
            measured=measured,
            level=level,
        )

    @property
    def squares(self) -> Tensor:
        """The mean of u in every state, `[K, N, N]`; its mean over states is `effect`²."""
        return _squares(self.measured)[0]

    def agreement(self, weight: Tensor) -> dict[str, float]:
        """Scores of a learned weight as a predictor of the significant pairs.

        Args:
            weight: `[N, N]` or `[K, N, N]` in [0, 1], row = acting agent.

        Returns:
            `auroc`, `average_precision`, `calibration_error` and `share_of_true_pairs`. The first
            two are NaN if all pairs are significant, or none.
        """
        n = self.effect.shape[-1]
        require(
            weight.shape[-2:] == (n, n),
            f"the weight has shape {tuple(weight.shape)}, need [..., {n}, {n}]",
        )
        mean = weight.to(self.effect).reshape(-1, n, n).mean(0).clamp(0, 1)
        share = float(off_diagonal(self.significant).float().mean())
        scores = {"auroc": NAN, "average_precision": NAN}
        if 0 < share < 1:
            scores["auroc"] = float(auroc(mean, self.significant))
            scores["average_precision"] = float(average_precision(mean, self.significant))
        scores["calibration_error"] = float(calibration_error(mean, self.significant))
        scores["share_of_true_pairs"] = share
        return scores

    def cost(self, influence: Tensor) -> dict[str, float]:
        """How much of the policy gradient an influence Ŵ omits, and how much variance it saves.

        Agent i's gradient with respect to the logits of π_i(· | s) (of continuous actions: of the
        policy over its choices) is

            g_i(b) = π_i(b) (q(b) − Σ_c π_i(c) q(c)),   q(b) = Σ_j Q̄_j(s, b)

        and the part that Ŵ omits is the same with  q(b) = Σ_j (1 − Ŵ_ij) Q̄_j(s, b).

        Args:
            influence: Ŵ `[N, N]` or `[K, N, N]`, row = acting agent.

        Returns:
            `bias`: root of the ratio of the squared norms of the omitted part and of the whole
            gradient, summed over states and agents. The squared norms are unbiased estimates, from
            products of different joint actions. `bias_low`, `bias_high`: its bootstrap interval
            over states.

            `variance`: of the score-function gradient of one joint action,
            (1[a_i = b] − π_i(b)) Σ_j Ŵ_ij (G_j − V_j),  as a fraction of that of Ŵ = 1 (MAPPO).
            G_j are measured returns, V_j their mean under the other joint actions. NaN if no
            return varies.

            `break_even`: samples of each state below which the gradient with Ŵ has a smaller mean
            squared error than that with Ŵ = 1, whose variance is larger and whose bias is 0:
            (variance of Ŵ = 1 − variance of Ŵ) / ‖omitted part‖². Infinite without bias, 0 without
            any saving.
        """
        n = self.effect.shape[-1]
        k = self.evidence.shape[0]
        require(
            influence.shape in ((n, n), (k, n, n)),
            f"Ŵ has shape {tuple(influence.shape)}, need {(n, n)} or {(k, n, n)}",
        )
        kept = influence.to(self.measured.effect).expand(k, n, n)
        everything = torch.ones_like(kept)
        omitted = self._squared_gradient(1 - kept)
        whole = self._squared_gradient(everything)
        low, high = ratio_interval(omitted, whole, self.level)
        local = self._gradient_variance(kept).clamp_min(0)
        team = self._gradient_variance(everything).clamp_min(0)
        saved = float((team - local).clamp_min(0))
        squared_bias = float(omitted.mean().clamp_min(0))
        even = saved / squared_bias if squared_bias > 0 else float("inf")
        return {
            "bias": float(root_ratio(omitted, whole)),
            "bias_low": low,
            "bias_high": high,
            "variance": float(local / team) if team > 0 else NAN,
            "break_even": even if saved > 0 else 0.0,
        }

    def detected(self, states: int, draws: int = 200, seed: int = 0) -> Tensor:
        """Power: how often each pair would be significant in an audit with fewer or more states.

        Args:
            states: states of such an audit, drawn with replacement from those measured here.
            draws: such audits.
            seed: of the drawing.

        Returns:
            Share of the audits in which a pair is significant, `[N, N]`.
        """
        noise = torch.Generator().manual_seed(seed)
        found = torch.zeros_like(self.effect)
        for _ in range(draws):
            chosen = torch.randint(self.evidence.shape[0], (states,), generator=noise)
            _, _, p = t_test(self.evidence[chosen], self.level)
            found += discoveries(p, self.level)
        return found / draws

    # ------------------------------------------------------------------ gradients
    def _squared_gradient(self, weight: Tensor) -> Tensor:
        """Unbiased Σ_i ‖g_i‖² in every state, for Q̄ weighted by `weight` `[K, N, N]`; `[K]`."""
        effect = self.measured.effect.mean(2)  # [K, M, N, A, N]
        pi = self.measured.policy.unsqueeze(1)  # [K, 1, N, A]
        q = torch.einsum("kij,kmiaj->kmia", weight, effect)
        gradient = pi * (q - (pi * q).sum(-1, keepdim=True))  # [K, M, N, A]
        return unbiased_square(gradient, 1).sum((-1, -2))

    def _gradient_variance(self, weight: Tensor) -> Tensor:
        """Variance of the score-function gradient, summed over agents, mean over states; a scalar.

        weight: `[K, N, N]`.
        """
        m = self.measured
        mean = m.returns.mean(2, keepdim=True)  # [K, M, 1, N]
        baseline = (mean.sum(1, keepdim=True) - mean) / (mean.shape[1] - 1)
        advantage = m.returns - baseline  # [K, M, R, N]
        local = torch.einsum("kij,kmrj->kmri", weight, advantage)
        drawn = torch.nn.functional.one_hot(m.action, m.policy.shape[-1])
        score = drawn - m.policy.unsqueeze(1)  # [K, M, N, A]
        second = (score.square().sum(-1).unsqueeze(2) * local.square()).mean((1, 2)).sum(-1)
        return (second - self._squared_gradient(weight)).mean()


def _squares(m: Interventions) -> tuple[Tensor, Tensor]:
    """Means over each state of u and of u / z (see `Audit`), `[K, N, N]` each."""
    counts = m.alternatives.to(m.effect).unsqueeze(-1)  # [K, M, N, A, 1]
    total = counts.sum(3).clamp_min(1)
    square = (unbiased_square(m.effect, 2) * counts).sum(3) / total  # [K, M, N, N]
    noise = (m.effect.square().mean(2) * counts).sum(3) / total
    others = (noise.sum(1, keepdim=True) - noise) / (noise.shape[1] - 1)
    tiny = torch.finfo(others.dtype).tiny
    scaled = torch.where(others > 0, square / others.clamp_min(tiny), 0)
    return square.mean(1), scaled.mean(1)
