"""Small cooperative games given by tables, and everything about them computed exactly, in float64.

Axes: `G` games side by side, `S` joint states and `A` joint actions (row-major products of the local ones), `N` agents,
`Amax` actions of the widest agent. Agents may differ in their numbers of local states and actions.

Action influence has the library's orientation: row = acting agent, column = agent whose return it moves. State
influence and the rank of a policy's answers run the other way: row = agent whose value or policy moves, column = agent
whose state moves it. "eq." and "Def." are those of the paper.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ilvf.errors import require

if TYPE_CHECKING:
    from ilvf.envs.tabular.env import TabularActor

TOL = 1e-9  # what rounding leaves of an exact zero is below 1e-12 here


def digits(sizes: Sequence[int]) -> Tensor:
    """Local indices of every joint index, `[prod(sizes), len(sizes)]` int64, row-major."""
    return torch.cartesian_prod(*(torch.arange(k) for k in sizes)).reshape(-1, len(sizes))


def place_values(sizes: Sequence[int]) -> Tensor:
    """Row-major weights `[len(sizes)]`: joint index = Σ_i local_i · place_i."""
    return torch.tensor([math.prod(sizes[i + 1 :]) for i in range(len(sizes))])


@dataclass(frozen=True, eq=False)
class TabularGame:
    """`G` Markov games with N agents, per-agent rewards and a factorised softmax policy on chosen observations.

    Args:
        states, actions: numbers of local states and actions of each agent; S and A are their products.
        transition: P(s' | s, a), `[G, S, A, S]`.
        reward: r_i(s, a), `[G, S, A, N]`.
        start: distribution of the first joint state, `[G, S]`.
        observation_graph: bool `[N, N]` or `[G, N, N]`, True at [i, j] where agent i's policy sees s_j; diagonal True.
        logits: θ, `[G, N, S, Amax]`. Joint states that look the same to agent i share the row of the first of them
            (unseen local states 0), and only that row counts; so do only the first A_i columns.
        gamma: discount, in [0, 1).
    """

    states: tuple[int, ...]
    actions: tuple[int, ...]
    transition: Tensor
    reward: Tensor
    start: Tensor
    observation_graph: Tensor
    logits: Tensor
    gamma: float = 0.9

    def __post_init__(self) -> None:
        n, g = self.n_agents, len(self)
        s, a = math.prod(self.states), math.prod(self.actions)
        require(
            len(self.states) == n >= 1,
            f"states={self.states} and actions={self.actions} need one number per agent",
        )
        object.__setattr__(self, "observation_graph", self.observation_graph.expand(g, n, n))
        shapes = {"transition": (g, s, a, s), "reward": (g, s, a, n), "start": (g, s)}
        for name, shape in {**shapes, "logits": (g, n, s, max(self.actions))}.items():
            self._check(name, shape)
        for name in ("transition", "start"):
            p = getattr(self, name)
            worst = (p.sum(-1) - 1).abs().max().item()
            require(
                p.min().item() >= 0 and worst < 1e-9,
                f"{name} holds no probabilities (smallest {p.min().item():.3g}, sums off by {worst:.3g}); "
                "its last axis must be non-negative and sum to 1",
            )
        seen = self.observation_graph
        own = seen.dtype == torch.bool and bool(seen.diagonal(dim1=1, dim2=2).all())
        require(
            own,
            "observation_graph must be boolean with a True diagonal: every policy sees its own state",
        )
        require(
            0 <= self.gamma < 1, f"gamma={self.gamma} must be in [0, 1) for the values to exist"
        )

    def _check(self, name: str, shape: tuple[int, ...]) -> None:
        x = getattr(self, name)
        require(
            tuple(x.shape) == shape,
            f"{name} has shape {tuple(x.shape)}, these states and actions need {shape}",
        )
        require(
            x.dtype == torch.float64,
            f"{name} is {x.dtype}, exact games need torch.float64; call .double()",
        )
        require(
            bool(torch.isfinite(x).all()),
            f"{name} has entries that are NaN or infinite; all must be finite",
        )

    def __len__(self) -> int:
        return self.start.shape[0]

    def __getitem__(self, index: int | slice) -> "TabularGame":
        """One game (still with a leading axis of 1) or a slice of them."""
        if isinstance(index, int) and not -len(self) <= index < len(self):
            raise IndexError(f"there are {len(self)} games")
        pick = slice(index, index + 1 or None) if isinstance(index, int) else index
        tables: dict[str, Any] = {
            f.name: getattr(self, f.name)[pick]
            for f in fields(self)
            if isinstance(getattr(self, f.name), Tensor)
        }
        return replace(self, **tables)

    @property
    def n_agents(self) -> int:
        return len(self.actions)

    # ------------------------------------------------------------------ indices
    @cached_property
    def local_states(self) -> Tensor:
        """s_i of every joint state, `[S, N]`."""
        return digits(self.states)

    @cached_property
    def local_actions(self) -> Tensor:
        """a_i of every joint action, `[A, N]`."""
        return digits(self.actions)

    @cached_property
    def look(self) -> Tensor:
        """The row of θ that agent i uses in joint state s: s with all that i does not see set to 0, `[G, N, S]`."""
        places = self.local_states * place_values(self.states)  # [S, N]
        return torch.einsum("gij,sj->gis", self.observation_graph.long(), places)

    @cached_property
    def _eye(self) -> Tensor:
        return torch.eye(self.n_agents, dtype=torch.bool)

    def _with_state(self, j: int) -> Tensor:
        """Joint states with s_j replaced by each of its values, `[S, S_j]`."""
        here, place = self.local_states[:, j, None], place_values(self.states)[j]
        return (
            torch.arange(len(self.local_states)).unsqueeze(1)
            + (torch.arange(self.states[j]) - here) * place
        )

    # ------------------------------------------------------------------ policy
    def log_policy(self) -> Tensor:
        """log π_i(a_i | o_i(s)), `[G, N, S, Amax]`; −∞ where agent i has no such action."""
        theta = self.logits.gather(2, self.look.unsqueeze(-1).expand_as(self.logits))
        possible = torch.arange(theta.shape[-1]) < torch.tensor(self.actions).unsqueeze(
            -1
        )  # [N, Amax]
        return theta.masked_fill(~possible.unsqueeze(1), -math.inf).log_softmax(-1)

    def policy(self) -> Tensor:
        """π_i(a_i | o_i(s)), `[G, N, S, Amax]`."""
        return self.log_policy().exp()

    def joint_policy(self, without: int | None = None) -> Tensor:
        """π(a | s) = Π_k π_k(a_k | o_k), `[G, S, A]`; `without=i` leaves π_i out: π_{−i}."""
        pi = self.policy()
        factors = [
            pi[:, k, :, self.local_actions[:, k]] for k in range(self.n_agents) if k != without
        ]
        ones = torch.ones(len(self), *self.transition.shape[1:3], dtype=torch.float64)
        return torch.stack([ones, *factors]).prod(0)

    # ------------------------------------------------------------------ values
    def _resolvent(self) -> tuple[Tensor, Tensor]:
        """(I − γ P_π `[G, S, S]`, r_π `[G, S, N]`)."""
        pi = self.joint_policy()
        chain = torch.einsum("gsa,gsat->gst", pi, self.transition)
        return torch.eye(chain.shape[-1], dtype=torch.float64) - self.gamma * chain, (
            pi.unsqueeze(-1) * self.reward
        ).sum(2)

    def values(self) -> Tensor:
        """V_i(s) from (I − γ P_π) V = r_π, `[G, S, N]`."""
        return torch.linalg.solve(*self._resolvent())

    def action_values(self) -> Tensor:
        """Q_i(s, a) = r_i(s, a) + γ Σ_s' P(s' | s, a) V_i(s'), `[G, S, A, N]`."""
        return self.reward + self.gamma * torch.einsum(
            "gsat,gtn->gsan", self.transition, self.values()
        )

    def advantages(self) -> Tensor:
        """A_i(s, a) = Q_i(s, a) − V_i(s), `[G, S, A, N]`."""
        return self.action_values() - self.values().unsqueeze(2)

    def visitation(self) -> Tensor:
        """d(s) = Σ_t γ^t P(s_t = s), `[G, S]`: d = start + γ P_πᵀ d; sums to 1/(1 − γ)."""
        return torch.linalg.solve(self._resolvent()[0].mT, self.start)

    def objective(self) -> Tensor:
        """J = Σ_i Σ_s start(s) V_i(s), `[G]`."""
        return torch.einsum("gs,gsn->g", self.start, self.values())

    # ------------------------------------------------------------------ gradients
    def policy_gradient(self) -> Tensor:
        """∂J/∂θ by differentiating the solve for V, `[G, N, S, Amax]`: no policy-gradient theorem is used."""
        theta = self.logits.detach().clone().requires_grad_()
        return torch.autograd.grad(replace(self, logits=theta).objective().sum(), theta)[0]

    def local_policy_gradient(self, influence: Tensor) -> Tensor:
        """Σ_s d(s) Σ_a ∇_i π_i(a_i | o_i) π_{−i} Σ_j W_ij(s) Q_j(s, a) for all i, `[G, N, S, Amax]` (Theorem 1).

        influence `[N, N]`, `[S, N, N]` or `[G, S, N, N]`, bool or numbers; ones give the global gradient.
        """
        pi, d, credit = (
            self.policy(),
            self.visitation(),
            self._credit(influence, self.action_values()),
        )
        gradient = torch.zeros_like(self.logits)
        for i, k in enumerate(self.actions):
            own, q = (
                pi[:, i, :, :k],
                self._given_own(credit[..., i : i + 1], i).squeeze(-1),
            )  # [G, S, A_i]
            row = (
                d.unsqueeze(-1) * own * (q - (own * q).sum(-1, keepdim=True))
            )  # softmax derivative
            gradient[:, i, :, :k] = torch.zeros_like(row).scatter_add(
                1, self.look[:, i, :, None].expand_as(row), row
            )
        return gradient

    def gradient_variance(self, influence: Tensor) -> Tensor:
        """Trace of the covariance of agent i's one-sample policy gradient, `[G, N]`.

        g = ∇_i log π_i(a_i | o_i) Σ_j W_ij(s) A_j(s, a) with s ~ (1 − γ) d, a ~ π, and E‖g‖² − ‖E g‖² by enumeration.
        """
        pi, credit = self.policy(), self._credit(influence, self.advantages())
        score = (
            1 - 2 * pi + pi.square().sum(-1, keepdim=True)
        )  # ‖∇_i log π_i(a_i | o_i)‖², [G, N, S, Amax]
        weight = (
            (1 - self.gamma) * self.visitation().unsqueeze(-1) * self.joint_policy()
        )  # [G, S, A]
        second = [
            (weight * score[:, i, :, self.local_actions[:, i]] * credit[..., i].square()).sum(
                (1, 2)
            )
            for i in range(self.n_agents)
        ]
        mean = (1 - self.gamma) * self.local_policy_gradient(influence)
        return torch.stack(second, -1) - mean.square().sum((2, 3))

    def _credit(self, influence: Tensor, x: Tensor) -> Tensor:
        """Σ_j W_ij(s) x_j(s, a), `[G, S, A, N]`."""
        n, s = self.n_agents, len(self.local_states)
        shape, fit = tuple(influence.shape), ((n, n), (s, n, n), (len(self), s, n, n))
        require(
            shape in fit,
            f"influence has shape {shape}, this game needs one of {', '.join(map(str, fit))}",
        )
        return torch.einsum("gsij,gsaj->gsai", influence.double().expand(fit[-1]), x)

    def _given_own(self, x: Tensor, i: int) -> Tensor:
        """E_{a_{−i} ~ π_{−i}} x(s, a) as a function of a_i: `[G, S, A, K]` → `[G, S, A_i, K]`."""
        out = torch.zeros(*x.shape[:2], self.actions[i], x.shape[-1], dtype=x.dtype)
        return out.index_add(
            2, self.local_actions[:, i], self.joint_policy(without=i).unsqueeze(-1) * x
        )

    # ------------------------------------------------------------------ who moves whose return
    def action_spread(self) -> Tensor:
        """max |Q_j(s, a_i, a_{−i}) − Q_j(s, a'_i, a_{−i})| over all actions, `[G, S, N, N]`, row i acts."""
        q = self.action_values().unflatten(2, self.actions)
        rows = [
            (q.amax(2 + i, True) - q.amin(2 + i, True)).flatten(2, -2).amax(2)
            for i in range(self.n_agents)
        ]
        return torch.stack(rows, 2)

    def averaged_spread(self) -> Tensor:
        """max |Q̄_j(s, a_i) − Q̄_j(s, a'_i)| with Q̄_j(s, a_i) = E_{a_{−i} ~ π} Q_j(s, a), `[G, S, N, N]`, row i acts."""
        averaged = [
            self._given_own(self.action_values(), i) for i in range(self.n_agents)
        ]  # [G, S, A_i, N] each
        return torch.stack([q.amax(2) - q.amin(2) for q in averaged], 2)

    def influence(self, tol: float = TOL) -> Tensor:
        """Row i is N_i^+(π, s): whose Q moves with a_i (A-Q influence, Def. 1), and i itself. bool `[G, S, N, N]`."""
        return (self.action_spread() > tol) | self._eye

    def averaged_influence(self, tol: float = TOL) -> Tensor:
        """As `influence`, for the policy-averaged Q̄_j(s, a_i): all that agent i's gradient can feel."""
        return (self.averaged_spread() > tol) | self._eye

    # ------------------------------------------------------------------ whose state moves whose value and policy
    def state_spread(self) -> Tensor:
        """How far V_i(s) or Q_i(s, a) moves when s_j alone changes, `[G, S, N, N]`, row i = value, column j = state."""
        x = torch.cat([self.values().unsqueeze(2), self.action_values()], 2).unflatten(
            1, self.states
        )
        columns = []
        for j in range(1, self.n_agents + 1):
            far = torch.maximum(x.amax(j, True) - x, x - x.amin(j, True))
            columns.append(far.flatten(1, self.n_agents).amax(2))
        return torch.stack(columns, -1)

    def state_value_influence(self, tol: float = TOL) -> Tensor:
        """S-V influence (Def. 3), bool `[G, S, N, N]`: True at [i, j] where s_j moves V_i or Q_i."""
        return self.state_spread() > tol

    def policy_rank(self, tol: float = TOL) -> Tensor:
        """dim Π_i^j(π, s), the rank of eq. 12's matrix, `[G, S, N, N]`: directions in which s_j turns π_i (row i)."""
        pi = self.policy()
        columns = []
        for j in range(self.n_agents):
            change = pi.unsqueeze(3) - pi[:, :, self._with_state(j)]  # [G, N, S, S_j, Amax]
            columns.append(torch.linalg.matrix_rank(change, atol=tol, rtol=0.0).mT)
        return torch.stack(columns, -1)

    def state_policy_influence(self, tol: float = TOL) -> Tensor:
        """S-P influence (Def. 4), bool `[G, S, N, N]`: s_j turns π_i in all |A_i| − 1 directions there are (row i)."""
        return self.policy_rank(tol) == torch.tensor(self.actions).unsqueeze(1) - 1

    def actor(self) -> "TabularActor":
        """The policy of a single game as a module that acts in `Tabular`."""
        from ilvf.envs.tabular.env import TabularActor

        return TabularActor(self)
