"""Rollouts from given states with common random numbers, which makes their returns comparable."""

from collections.abc import Iterator
from typing import Any

import torch
from tensordict import TensorDictBase
from torch import Tensor
from torchrl.envs import EnvBase

from ilvf.analysis.stepping import State, draw_actions, log_probabilities, step_env
from ilvf.errors import require
from ilvf.modules.actors.categorical import sample_action

POLICY_SEED_OFFSET = 1_000_003  # keeps the policy's noise apart from the environment's
CLOCK = ("step", "return")  # entries of a state that are set to 0


class PairedRollouts:
    """Returns of (state, first joint action) pairs, with the same noise in every call.

    The pairs are rows. They are played in pieces of the environment's batch size, and a last piece
    that is not full is padded. Piece p always has the same noise of environment and policy.

    Args:
        env: a batch of environments with `set_state`, whose state has its generator as "rng".
        policy: see `intervene`.
        states: of K environments, tensors `[K, ...]`; their clock is set to 0.
        steps: T, length of a return.
        gamma: discount.
        seed: of all noise.
    """

    def __init__(
        self, env: EnvBase, policy: Any, states: State, steps: int, gamma: float, seed: int
    ):
        self.env = env
        self.policy = policy
        self.steps = steps
        self.gamma = gamma
        self.seed = seed
        self.states = {
            name: torch.zeros_like(value) if name in CLOCK else value
            for name, value in states.items()
            if name != "rng"
        }
        sizes = {name: value.shape[0] for name, value in self.states.items()}
        require(bool(sizes), "no states to start from; visited_states(env, policy) collects some")
        self.count = next(iter(sizes.values()))
        agree = all(size == self.count for size in sizes.values())
        require(agree, f"states disagree on their number: {sizes}")

    def policy_at_states(self) -> Tensor:
        """π_i(a | s) in all states, `[K, N, A]`."""
        all_states = torch.arange(self.count)
        probabilities = []
        for td, kept, _ in self._pieces(all_states):
            probabilities.append(log_probabilities(self.policy, td)[:kept].exp())
        return torch.cat(probabilities)

    def first_actions(self, pi: Tensor, actions: int) -> Tensor:
        """M joint actions for each state, drawn from `pi` `[K, N, A]`; `[K·M, N]`."""
        noise = torch.Generator(pi.device).manual_seed(self.seed)
        return sample_action(pi.log().repeat_interleave(actions, 0), noise)

    def draws_at_states(self, number: int) -> Tensor:
        """C independent actions of every agent in all states, `[K, N, C, A]`."""
        noise = torch.Generator(self.env.device).manual_seed(self.seed)
        found = []
        for td, kept, _ in self._pieces(torch.arange(self.count)):
            draws = [draw_actions(self.policy, td, noise) for _ in range(number)]
            found.append(torch.stack(draws, 2)[:kept])
        return torch.cat(found)

    def returns(self, state: Tensor, first: Tensor) -> Tensor:
        """Discounted returns Σ_t γ^t r_t of every agent, `[rows, N]`.

        Args:
            state: index of each row's state, `[rows]`.
            first: its first joint action, `[rows, N]`, or `[rows, N, A]`.
        """
        out = []
        begin = 0
        for td, kept, piece in self._pieces(state):
            actions = first[begin : begin + kept]
            missing = self.env.batch_size[0] - kept
            padding = actions[-1:].expand(missing, *actions.shape[1:])
            out.append(self._play(td, torch.cat([actions, padding]), piece)[:kept])
            begin += kept
        return torch.cat(out)

    def require_repeatable(self, state: Tensor, first: Tensor, returns: Tensor) -> None:
        """Raise unless the first piece, played again, gives the same returns."""
        size = self.env.batch_size[0]
        again = self.returns(state[:size], first[:size])
        require(
            torch.equal(again, returns[:size]),
            f"{type(self.env).__name__} does not repeat itself from the same state: everything it "
            "draws must come from a generator that set_state restores as 'rng'",
        )

    def _pieces(self, state: Tensor) -> Iterator[tuple[TensorDictBase, int, int]]:
        """Reset the environment to the rows' states, piece by piece.

        Yields:
            The tensordict after the reset, the rows that are not padding, the piece's number.
        """
        size = self.env.batch_size[0]
        for piece, rows in enumerate(state.split(size)):
            padded = torch.cat([rows, rows[-1:].expand(size - len(rows))])
            noise = torch.Generator(self.env.device).manual_seed(self.seed + 1 + piece)
            chosen = {k: v[padded.to(v.device)] for k, v in self.states.items()}
            self.env.set_state({**chosen, "rng": noise.get_state()})
            yield self.env.reset(), len(rows), piece

    def _play(self, td: TensorDictBase, action: Tensor, piece: int) -> Tensor:
        """Returns `[B, N]` from the present states with the first joint actions `[B, N(, A)]`."""
        seed = self.seed + POLICY_SEED_OFFSET + piece
        noise = torch.Generator(self.env.device).manual_seed(seed)
        total = torch.zeros(action.shape[:2], device=self.env.device)
        going = torch.ones_like(total[:, :1])  # 0 after termination
        cut = torch.zeros_like(going, dtype=torch.bool)  # truncated before the last step
        for t in range(self.steps):
            reward, td = step_env(self.env, td, action)
            total += self.gamma**t * reward * going
            going = going * ~td["terminated"]
            if t + 1 < self.steps:
                cut |= td.get("truncated", td["done"]) & (going > 0)
                action = draw_actions(self.policy, td, noise)
        require(
            not cut.any(),
            f"episodes are cut by their clock before {self.steps} steps: give a smaller steps=, "
            "or keep the clock in the state as 'step', which is set to 0",
        )
        return total
