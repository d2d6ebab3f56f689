"""Exact values of tabular games. Axes as in `game`."""

import torch
from torch import Tensor

from ilvf.envs.tabular.game import Game


class GameValues(Game):
    """A `Game` with its exact values, advantages and state visitation."""

    def values(self) -> Tensor:
        """V_i(s) from (I − γ P_π) V = r_π, `[G, S, N]`."""
        pi = self.joint_policy()
        reward = (pi.unsqueeze(-1) * self.reward).sum(2)
        return torch.linalg.solve(self._bellman_matrix(pi), reward)

    def action_values(self) -> Tensor:
        """Q_i(s, a) = r_i(s, a) + γ Σ_s' P(s' | s, a) V_i(s'), `[G, S, A, N]`."""
        future = torch.einsum("gsat,gtn->gsan", self.transition, self.values())
        return self.reward + self.gamma * future

    def advantages(self) -> Tensor:
        """A_i(s, a) = Q_i(s, a) − V_i(s), `[G, S, A, N]`."""
        return self.action_values() - self.values().unsqueeze(2)

    def visitation(self) -> Tensor:
        """d(s) = Σ_t γ^t P(s_t = s), `[G, S]`: d = start + γ P_πᵀ d; sums to 1/(1 − γ)."""
        return torch.linalg.solve(self._bellman_matrix(self.joint_policy()).mT, self.start)

    def objective(self) -> Tensor:
        """J = Σ_i Σ_s start(s) V_i(s), `[G]`."""
        return torch.einsum("gs,gsn->g", self.start, self.values())

    def average_over_others(self, x: Tensor, i: int) -> Tensor:
        """E_{a_{−i} ~ π_{−i}} x(s, a), as a function of a_i.

        Args:
            x: `[G, S, A, K]`.
            i: agent.

        Returns:
            `[G, S, A_i, K]`.
        """
        zeros = torch.zeros(*x.shape[:2], self.actions[i], x.shape[-1], dtype=x.dtype)
        weighted = self.joint_policy(without=i).unsqueeze(-1) * x
        return zeros.index_add(2, self.local_actions[:, i], weighted)

    def _bellman_matrix(self, pi: Tensor) -> Tensor:
        """I − γ P_π, `[G, S, S]`, from the joint policy `[G, S, A]`."""
        chain = torch.einsum("gsa,gsat->gst", pi, self.transition)
        return torch.eye(chain.shape[-1], dtype=torch.float64) - self.gamma * chain
