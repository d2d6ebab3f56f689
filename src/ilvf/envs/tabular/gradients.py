"""Exact policy gradients of tabular games, and their variance. Axes as in `game`."""

from dataclasses import replace

import torch
from torch import Tensor

from ilvf.envs.tabular.values import GameValues
from ilvf.errors import require


class GameGradients(GameValues):
    """`GameValues` with its policy gradients.

    An `influence` is `[N, N]`, `[S, N, N]` or `[G, S, N, N]`, bool or numbers, row = acting agent,
    column = agent whose return counts.
    """

    def policy_gradient(self) -> Tensor:
        """∂J/∂θ, `[G, N, S, Amax]`, by differentiating the linear solve for V.

        It uses no policy gradient theorem.
        """
        theta = self.logits.detach().clone().requires_grad_()
        return torch.autograd.grad(replace(self, logits=theta).objective().sum(), theta)[0]

    def local_policy_gradient(self, influence: Tensor) -> Tensor:
        """The local policy gradient of Theorem 1, for all agents i:

            Σ_s d(s) Σ_a ∇_i π_i(a_i | o_i) π_{−i} Σ_j W_ij(s) Q_j(s, a)

        Args:
            influence: W; ones give the gradient of J.

        Returns:
            `[G, N, S, Amax]`.

        Raises:
            UsageError: influence has another shape.
        """
        pi = self.policy()
        visits = self.visitation().unsqueeze(-1)  # [G, S, 1]
        credit = self._credit(influence, self.action_values())
        gradient = torch.zeros_like(self.logits)
        for i, n_actions in enumerate(self.actions):
            own = pi[:, i, :, :n_actions]  # [G, S, A_i]
            q = self.average_over_others(credit[..., i : i + 1], i).squeeze(-1)
            by_state = visits * own * (q - (own * q).sum(-1, keepdim=True))  # softmax derivative
            row = self.observed_states[:, i, :, None].expand_as(by_state)
            by_row = torch.zeros_like(by_state).scatter_add(1, row, by_state)
            gradient[:, i, :, :n_actions] = by_row
        return gradient

    def gradient_variance(self, influence: Tensor) -> Tensor:
        """Trace of the covariance of each agent's one-sample policy gradient

            g = ∇_i log π_i(a_i | o_i) Σ_j W_ij(s) A_j(s, a),   s ~ (1 − γ) d,  a ~ π

        as E‖g‖² − ‖E g‖², by enumeration of all s and a.

        Args:
            influence: W.

        Returns:
            `[G, N]`.

        Raises:
            UsageError: influence has another shape.
        """
        pi = self.policy()
        credit = self._credit(influence, self.advantages())
        score = 1 - 2 * pi + pi.square().sum(-1, keepdim=True)  # ‖∇_i log π_i‖², [G, N, S, Amax]
        visits = (1 - self.gamma) * self.visitation().unsqueeze(-1)
        weight = visits * self.joint_policy()  # [G, S, A]
        second_moments = []
        for i in range(self.n_agents):
            own_score = score[:, i, :, self.local_actions[:, i]]  # [G, S, A]
            second_moments.append((weight * own_score * credit[..., i].square()).sum((1, 2)))
        mean = (1 - self.gamma) * self.local_policy_gradient(influence)
        return torch.stack(second_moments, -1) - mean.square().sum((2, 3))

    def _credit(self, influence: Tensor, x: Tensor) -> Tensor:
        """Σ_j W_ij(s) x_j(s, a), `[G, S, A, N]`."""
        n = self.n_agents
        s = len(self.local_states)
        full = (len(self), s, n, n)
        allowed = ((n, n), (s, n, n), full)
        shape = tuple(influence.shape)
        require(
            shape in allowed,
            f"influence has shape {shape}, this game needs one of {', '.join(map(str, allowed))}",
        )
        return torch.einsum("gsij,gsaj->gsai", influence.double().expand(full), x)
