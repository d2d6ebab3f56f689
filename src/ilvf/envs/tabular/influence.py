"""Exact influence of actions and states in tabular games. Axes as in `game`.

Influence of actions: row = acting agent, column = agent whose return changes. Influence of states:
row = agent whose value or policy changes, column = agent whose state changes it. "eq." and "Def."
are those of the paper.
"""

import torch
from torch import Tensor

from ilvf.envs.tabular.game import place_values
from ilvf.envs.tabular.values import GameValues

TOL = 1e-9  # larger differences are not zero; the rounding errors of zeros are below 1e-12


class GameInfluence(GameValues):
    """`GameValues` with its influence sets."""

    # ------------------------------------------------------------------ influence of actions
    def action_spread(self) -> Tensor:
        """max |Q_j(s, a_i, a_{−i}) − Q_j(s, a'_i, a_{−i})| over all actions, `[G, S, N, N]`."""
        q = self.action_values().unflatten(2, self.actions)  # [G, S, A_1, ..., A_N, N]
        rows = []
        for axis in range(2, 2 + self.n_agents):
            spread = q.amax(axis, True) - q.amin(axis, True)
            rows.append(spread.flatten(2, -2).amax(2))
        return torch.stack(rows, 2)

    def averaged_spread(self) -> Tensor:
        """max |Q̄_j(s, a_i) − Q̄_j(s, a'_i)|, `[G, S, N, N]`.

        Q̄_j(s, a_i) = E_{a_{−i} ~ π_{−i}} Q_j(s, a).
        """
        q = self.action_values()
        rows = []
        for i in range(self.n_agents):
            averaged = self.average_over_others(q, i)  # [G, S, A_i, N]
            rows.append(averaged.amax(2) - averaged.amin(2))
        return torch.stack(rows, 2)

    def influence(self, tol: float = TOL) -> Tensor:
        """A-Q influence (Def. 1): a_i changes Q_j, or i = j. bool `[G, S, N, N]`.

        Row i is N_i^+(π, s).
        """
        return (self.action_spread() > tol) | self._diagonal()

    def averaged_influence(self, tol: float = TOL) -> Tensor:
        """As `influence`, for Q̄_j(s, a_i), which is all that enters agent i's policy gradient."""
        return (self.averaged_spread() > tol) | self._diagonal()

    def _diagonal(self) -> Tensor:
        return torch.eye(self.n_agents, dtype=torch.bool)

    # ------------------------------------------------------------------ influence of states
    def state_spread(self) -> Tensor:
        """Largest change of V_i(s) or Q_i(s, a) when s_j alone changes, `[G, S, N, N]`."""
        values = torch.cat([self.values().unsqueeze(2), self.action_values()], 2)
        x = values.unflatten(1, self.states)  # [G, S_1, ..., S_N, 1 + A, N]
        columns = []
        for axis in range(1, self.n_agents + 1):
            change = torch.maximum(x.amax(axis, True) - x, x - x.amin(axis, True))
            columns.append(change.flatten(1, self.n_agents).amax(2))
        return torch.stack(columns, -1)

    def state_value_influence(self, tol: float = TOL) -> Tensor:
        """S-V influence (Def. 3): s_j changes V_i or Q_i. bool `[G, S, N, N]`."""
        return self.state_spread() > tol

    def policy_rank(self, tol: float = TOL) -> Tensor:
        """dim Π_i^j(π, s), `[G, S, N, N]`: rank of the matrix in eq. 12.

        It is the number of directions in which s_j changes π_i.
        """
        pi = self.policy()
        columns = []
        for j in range(self.n_agents):
            change = pi.unsqueeze(3) - pi[:, :, self._states_with(j)]  # [G, N, S, S_j, Amax]
            columns.append(torch.linalg.matrix_rank(change, atol=tol, rtol=0.0).mT)
        return torch.stack(columns, -1)

    def state_policy_influence(self, tol: float = TOL) -> Tensor:
        """S-P influence (Def. 4): s_j changes π_i in all |A_i| − 1 directions.

        bool `[G, S, N, N]`.
        """
        return self.policy_rank(tol) == torch.tensor(self.actions).unsqueeze(1) - 1

    def _states_with(self, j: int) -> Tensor:
        """Joint states with s_j replaced by each of its values, `[S, S_j]`."""
        place = place_values(self.states)[j]
        joint = torch.arange(len(self.local_states)).unsqueeze(1)
        change = torch.arange(self.states[j]) - self.local_states[:, j, None]
        return joint + change * place
