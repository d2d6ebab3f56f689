"""Influence by experiment: change one agent's first action and nothing else, and see whose return moves.

Axes: K states, M joint first actions per state, R futures per joint action, N agents, A actions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase
from torchrl.envs.utils import step_mdp
from tqdm import tqdm

from ilvf.errors import UsageError, require
from ilvf.modules.attention import gumbel_like

FUTURES = 1_000_003  # between the seeds of an environment's noise and of the policy's
State = Mapping[str, Tensor]  # what `env.get_state()` gives: tensors [B, ...], and "rng"


@dataclass(frozen=True)
class Interventions:
    """Everything that was measured, on the CPU.

    effect `[K, M, R, N, A, N]`: return of the last agent when the other one plays that action, minus its return when
    all play the joint action that was drawn; 0 for the action that was drawn, and for actions that were impossible.
    returns `[K, M, R, N]`: of the joint action that was drawn.
    action `[K, M, N]`: that joint action. policy `[K, N, A]`: π_i(a | s_k).
    """

    effect: Tensor
    returns: Tensor
    action: Tensor
    policy: Tensor

    @property
    def alternatives(self) -> Tensor:
        """bool `[K, M, N, A]`: possible actions other than the one that was drawn."""
        drawn = torch.nn.functional.one_hot(self.action, self.policy.shape[-1]).bool()
        return ~drawn & (self.policy > 0).unsqueeze(1)


@torch.no_grad()
def intervene(
    env: EnvBase,
    policy: Any,
    states: State,
    *,
    actions: int = 4,
    repeats: int = 8,
    steps: int | None = None,
    gamma: float = 0.99,
    tolerance: float = 1e-5,
    seed: int = 0,
    progress: bool = True,
) -> Interventions:
    """Discounted returns under every single-agent change of the first action, with common random numbers.

    For each of K states, M joint actions are drawn from the policy and R futures for each. Every future is played
    1 + N (A − 1) times: as drawn, and with one agent's first action replaced. The noise of policy and environment is
    drawn per environment, agent and step, and is the same in all of these, so that an agent out of reach has the same
    return to the last bit.

    Args:
        env: any batch of environments with `set_state` and `get_state` whose state holds its generator as "rng"; the
            K·M·R rows are played in pieces of its batch size. What it draws must not depend on the actions.
        policy: a module with `log_probs(*inputs)` and `in_keys` (`CategoricalActor`), or any with `get_dist` that gives
            a Categorical.
        states: of K environments, see `visited_states`. Their clock, the entry `step`, is set to 0, so that a whole
            episode is before them.
        actions, repeats: M ≥ 2 and R ≥ 2.
        steps: length of a return; by default the environment's `horizon`. Nothing counts after `terminated`.
        gamma: discount.
        tolerance: smaller differences count as zero (rounding).
    """
    _require_states(env)
    steps = _steps(env, steps)
    require(
        actions >= 2 and repeats >= 2, f"actions={actions} and repeats={repeats} must be at least 2"
    )
    lab = _Laboratory(env, policy, states, steps, gamma, seed)
    pi = lab.policy_at_states()
    first = lab.first_actions(pi, actions).repeat_interleave(repeats, 0)  # [K·M·R, N]
    k, (n, a) = pi.shape[0], pi.shape[1:]
    row = torch.arange(k).repeat_interleave(actions * repeats)
    possible = (pi > 0)[row]  # [K·M·R, N, A]
    effect = torch.zeros(len(row), n, a, n, device=pi.device)
    returns = lab.returns(row, first)
    lab.require_common_noise(row, first, returns)
    changes = [(i, shift) for i in range(n) for shift in range(1, a)]
    for i, shift in tqdm(changes, "interventions", leave=False, disable=not progress):
        changed, other = first.clone(), (first[:, i] + shift) % a
        allowed = possible[:, i].gather(-1, other.unsqueeze(-1)).squeeze(-1)
        changed[:, i] = torch.where(allowed, other, first[:, i])
        moved = lab.returns(row, changed) - returns
        moved = moved.where(moved.abs() > tolerance, 0)
        effect[torch.arange(len(row)), i, other] = moved
    shape = (k, actions, repeats)
    drawn = first.reshape(*shape, n)[:, :, 0]
    parts = (effect.reshape(*shape, n, a, n), returns.reshape(*shape, n), drawn, pi)
    return Interventions(*(x.cpu() for x in parts))


@torch.no_grad()
def visited_states(env: EnvBase, policy: Any, *, steps: int | None = None, seed: int = 0) -> State:
    """One state per environment of `env`, drawn uniformly from the steps of its first episode under `policy`.

    steps: longest episode; by default the environment's `horizon`.
    """
    _require_states(env)
    steps = _steps(env, steps)
    noise = torch.Generator(env.device).manual_seed(seed)
    td, kept = env.reset(), dict[str, Tensor]()
    going = torch.ones(env.batch_size, dtype=torch.bool, device=env.device)
    for t in range(steps):
        u = torch.rand(env.batch_size, generator=noise, device=env.device)
        here = going & (
            u * (t + 1) < 1
        )  # the t-th state replaces the one kept so far with probability 1/(t + 1)
        for key, value in env.get_state().items():
            if key != "rng":
                kept[key] = torch.where(
                    here.view(-1, *[1] * (value.ndim - 1)), value, kept.get(key, value)
                )
        td = _step(env, td, _sample(_log_probs(policy, td), noise))[1]
        going &= ~td["done"].squeeze(-1)
    return kept


@torch.no_grad()
def states_at(
    env: EnvBase, policy: Any, steps: Sequence[int], *, seed: int = 0
) -> dict[int, State]:
    """The states after each of `steps` steps from the start under `policy`, of those environments of `env` whose first
    episode still goes on."""
    noise = torch.Generator(env.device).manual_seed(seed)
    td, kept = env.reset(), dict[int, State]()
    going = torch.ones(env.batch_size, dtype=torch.bool, device=env.device)
    for t in range(max(steps) + 1):
        if t in steps:
            require(
                bool(going.any()),
                f"no episode lasts to step {t}; take an earlier moment, or more episodes",
            )
            kept[t] = {k: v[going] for k, v in env.get_state().items() if k != "rng"}
        out, td = env.step_and_maybe_reset(
            td.set(("agents", "action"), _sample(_log_probs(policy, td), noise))
        )
        going &= ~out["next", "done"].squeeze(-1)
    return kept


class _Laboratory:
    """Plays rows of (state, first action) to their returns, each piece with its own noise, the same at every call."""

    def __init__(
        self, env: EnvBase, policy: Any, states: State, steps: int, gamma: float, seed: int
    ):
        self.env, self.policy, self.steps, self.gamma, self.seed = env, policy, steps, gamma, seed
        clock = {"step", "return"}
        self.states = {
            k: torch.zeros_like(v) if k in clock else v for k, v in states.items() if k != "rng"
        }
        sizes = {k: v.shape[0] for k, v in self.states.items()}
        require(bool(sizes), "no states to start from; visited_states(env, policy) collects some")
        self.count = next(iter(sizes.values()))
        require(
            all(v == self.count for v in sizes.values()),
            f"states disagree on their number: {sizes}",
        )

    def policy_at_states(self) -> Tensor:
        """π_i(a | s) of all states, `[K, N, A]`."""
        everything = torch.arange(self.count)
        pieces = [
            _log_probs(self.policy, td)[:kept].exp() for td, kept, _ in self._pieces(everything)
        ]
        return torch.cat(pieces)

    def first_actions(self, pi: Tensor, actions: int) -> Tensor:
        """M joint actions for each state, `[K·M, N]`."""
        noise = torch.Generator(pi.device).manual_seed(self.seed)
        return _sample(pi.log().repeat_interleave(actions, 0), noise)

    def returns(self, row: Tensor, first: Tensor) -> Tensor:
        """Σ_t γ^t r_t of every agent, `[rows, N]`, from the states `row` and the joint actions `first`."""
        out, done = [], 0
        for td, kept, piece in self._pieces(row):
            mine = first[done : done + kept]
            padded = torch.cat([mine, mine[-1:].expand(self.env.batch_size[0] - kept, -1)])
            out.append(self._play(td, padded, piece)[:kept])
            done += kept
        return torch.cat(out)

    def _pieces(self, row: Tensor) -> Iterator[tuple[TensorDictBase, int, int]]:
        """(reset tensordict, rows that count, number of the piece): the rows in pieces of the environment's batch."""
        size = self.env.batch_size[0]
        for piece, rows in enumerate(row.split(size)):
            padded = torch.cat([rows, rows[-1:].expand(size - len(rows))])
            rng = torch.Generator(self.env.device).manual_seed(self.seed + 1 + piece).get_state()
            self.env.set_state(
                {**{k: v[padded.to(v.device)] for k, v in self.states.items()}, "rng": rng}
            )
            yield self.env.reset(), len(rows), piece

    def _play(self, td: TensorDictBase, action: Tensor, piece: int) -> Tensor:
        noise = torch.Generator(self.env.device).manual_seed(self.seed + FUTURES + piece)
        total, going = (
            torch.zeros(action.shape, device=self.env.device),
            torch.ones_like(action[:, :1]),
        )
        cut = torch.zeros_like(going, dtype=torch.bool)
        for t in range(self.steps):
            reward, td = _step(self.env, td, action)
            total += self.gamma**t * reward * going
            going = going * ~td["terminated"]
            if t + 1 < self.steps:
                cut |= td.get("truncated", td["done"]) & (going > 0)
                action = _sample(_log_probs(self.policy, td), noise)
        require(
            not cut.any(),
            f"episodes are cut by their clock before {self.steps} steps: give a smaller steps=, or keep the clock "
            "in the state as 'step', which is set to 0",
        )
        return total

    def require_common_noise(self, row: Tensor, first: Tensor, returns: Tensor) -> None:
        """The same rows played twice must give the same returns."""
        piece = slice(0, self.env.batch_size[0])
        require(
            torch.equal(self.returns(row[piece], first[piece]), returns[piece]),
            f"{type(self.env).__name__} does not repeat itself from the same state: everything it draws must come from "
            "a generator that set_state restores as 'rng'",
        )


def _require_states(env: EnvBase) -> None:
    both = hasattr(env, "get_state") and hasattr(
        env, "set_state"
    )  # TorchRL gives every environment the second
    require(
        both,
        f"{type(env).__name__} has no get_state and set_state; the audit starts from given states",
    )


def _steps(env: EnvBase, steps: int | None) -> int:
    steps = int(getattr(env, "horizon", 0)) if steps is None else steps
    require(
        steps >= 1,
        f"steps={steps}: {type(env).__name__} has no horizon, say how long a return or an episode is",
    )
    return steps


def _step(env: EnvBase, td: TensorDictBase, action: Tensor) -> tuple[Tensor, TensorDictBase]:
    """(reward `[B, N]`, what follows)."""
    out = env.step(td.set(("agents", "action"), action))
    return out["next", "agents", "reward"].squeeze(-1), step_mdp(out)


def _sample(log_probs: Tensor, noise: torch.Generator) -> Tensor:
    """One action per agent, by the Gumbel-max trick: the same noise gives the same action where nothing has changed."""
    return (log_probs + gumbel_like(log_probs, noise)).argmax(-1)


def _log_probs(policy: Any, td: TensorDictBase) -> Tensor:
    """log π_i(a | o_i) `[B, N, A]`."""
    if hasattr(policy, "log_probs"):
        return policy.log_probs(*(td.get(k) for k in policy.in_keys))
    logits = getattr(policy.get_dist(td), "logits", None) if hasattr(policy, "get_dist") else None
    if logits is None:
        raise UsageError(
            f"the audit needs a policy over discrete actions, found {type(policy).__name__}"
        )
    return logits.log_softmax(-1)
