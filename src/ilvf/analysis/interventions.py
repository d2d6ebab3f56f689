"""Influence by experiment: change one agent's first action, keep all noise, compare the returns.

Axes: K states, M joint first actions per state, R futures per joint action, N agents, A choices
(see `FirstActions`): the actions of `Choices`, or some of a `Box` or of `MultiChoices`.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchrl.envs import EnvBase
from tqdm import tqdm

from ilvf.analysis.first_actions import Alternatives, first_actions
from ilvf.analysis.paired_rollouts import PairedRollouts
from ilvf.analysis.stepping import State, episode_steps, require_memoryless, require_states
from ilvf.errors import require

DISCOUNT = 0.99  # of the returns that are compared, unless another one is given


@dataclass(frozen=True)
class Interventions:
    """Returns under every single-agent change of the first action, on the CPU.

    Attributes:
        effect: `[K, M, R, N, A, N]`. `effect[k, m, r, i, b, j]` is the return of agent j if agent
            i plays choice b, minus its return under the joint action that was drawn. It is 0 for
            the action that was drawn, and for impossible actions.
        returns: `[K, M, R, N]`, under the joint action that was drawn.
        action: `[K, M, N]`, the joint action that was drawn, as choices.
        policy: `[K, N, A]`, the probability of every choice in state k: π_i(a | s_k), or equal ones
            of draws.
        choices: `[K, N, A, numbers of an action]`, the actions of a `Box` or of `MultiChoices`;
            None of `Choices`.
    """

    effect: Tensor
    returns: Tensor
    action: Tensor
    policy: Tensor
    choices: Tensor | None = None

    @property
    def alternatives(self) -> Tensor:
        """Possible actions other than the one that was drawn, bool `[K, M, N, A]`."""
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
    gamma: float = DISCOUNT,
    tolerance: float = 1e-5,
    alternatives: Alternatives = "policy",
    choices: int = 5,
    seed: int = 0,
    progress: bool = True,
) -> Interventions:
    """Measure how each agent's first action changes each agent's discounted return.

    For each of K states, M joint actions are drawn from the policy, and R futures for each. Every
    future is played 1 + N (A − 1) times: once as drawn, and once for each other action of each
    agent. All of these have the same noise of environment and policy (common random numbers), so
    the return of an agent that the change does not reach is the same to the last bit.

    A policy over a `Box` or `MultiChoices` is replaced, in the first step only, by one that chooses
    among A actions with equal probabilities (`alternatives`). Two draws of `MultiChoices` can be
    the same action; their difference is 0.

    Args:
        env: a batch of environments with `set_state` and `get_state`, whose state has its
            generator as "rng"; what it draws must not depend on the actions. The K·M·R rows are
            played in pieces of its batch size.
        policy: a module with `log_probs(*inputs)` and `in_keys` (`CategoricalActor`), or with a
            `get_dist` that returns a Categorical, or a `StochasticActor`.
        states: of K environments, see `visited_states`. Their clock, the entry `step`, is set to
            0, so that a whole episode follows.
        actions: M, at least 2.
        repeats: R, at least 2.
        steps: length of a return; None is the environment's `horizon`. Rewards after `terminated`
            do not count.
        gamma: discount of the returns.
        tolerance: smaller differences count as rounding errors and are set to 0.
        alternatives: `policy` draws A actions of a `Box` or of `MultiChoices` from the policy in
            each state, `box` spreads them evenly over the box.
        choices: A of a `Box` or of `MultiChoices`, at least 2.
        seed: of all noise.
        progress: show a progress bar.

    Raises:
        UsageError: too few actions or repeats, a policy without probabilities, an environment that
            has no states, is truncated before `steps`, or does not repeat itself.
    """
    require_states(env)
    require_memoryless(policy)
    steps = episode_steps(env, steps)
    require(
        actions >= 2 and repeats >= 2, f"actions={actions} and repeats={repeats} must be at least 2"
    )
    rollouts = PairedRollouts(env, policy, states, steps, gamma, seed)
    options = first_actions(rollouts, alternatives, choices)
    pi = options.probability  # [K, N, A]
    k, n, a = pi.shape
    first = rollouts.first_actions(pi, actions).repeat_interleave(repeats, 0)  # [K·M·R, N]
    state = torch.arange(k).repeat_interleave(actions * repeats)  # [K·M·R]
    possible = (pi > 0)[state]  # [K·M·R, N, A]
    drawn_actions = options.of(state, first)
    returns = rollouts.returns(state, drawn_actions)
    rollouts.require_repeatable(state, drawn_actions, returns)
    rows = torch.arange(len(state))
    effect = torch.zeros(len(state), n, a, n, device=pi.device)
    changes = [(i, shift) for i in range(n) for shift in range(1, a)]
    for i, shift in tqdm(changes, "interventions", leave=False, disable=not progress):
        drawn = first[:, i]
        other = (drawn + shift) % a
        allowed = possible[:, i].gather(-1, other.unsqueeze(-1)).squeeze(-1)
        changed = first.clone()
        changed[:, i] = torch.where(allowed, other, drawn)
        difference = rollouts.returns(state, options.of(state, changed)) - returns
        effect[rows, i, other] = difference.where(difference.abs() > tolerance, 0)
    shape = (k, actions, repeats)
    return Interventions(
        effect=effect.reshape(*shape, n, a, n).cpu(),
        returns=returns.reshape(*shape, n).cpu(),
        action=first.reshape(*shape, n)[:, :, 0].cpu(),
        policy=pi.cpu(),
        choices=None if options.action is None else options.action.cpu(),
    )
