"""`CategoricalActor`: N categorical policies as one module."""

from collections.abc import Sequence
from typing import Any

import torch
from tensordict import TensorDictBase
from tensordict.utils import NestedKey
from torch import Tensor
from torch.nn import functional as F

from ilvf.modules.actions import choices_of, entries_of
from ilvf.modules.actors.network import StochasticActor, deterministic_mode
from ilvf.modules.attention import gumbel_like
from ilvf.modules.checks import need


class CategoricalActor(StochasticActor):
    """Categorical policies of all agents:  π_i(a | o_i) = softmax f_i(LN(o_i)).

    With `recurrent`, f_i reads the agent's hidden state too, see `NetworkActor`.

    Reads `(group, "observation")` `[*B, N, Do]` and, with `masked=True`, `(group, "action_mask")`
    `[*B, N, A]`. Writes `(group, "action")` `[*B, N]` and `(group, "action_log_prob")` `[*B, N]`.
    Samples, or takes the most likely actions in a `deterministic_mode`.

    Args:
        n_agents, observation_dim, n_actions: N, Do, A.
        **options: see `NetworkActor`.
    """

    written = ("action", "action_log_prob")

    def __init__(self, n_agents: int, observation_dim: int, n_actions: int, **options: Any):
        actions = choices_of(n_actions, type(self).__name__)
        super().__init__(n_agents, observation_dim, actions, **options)

    def log_probs(
        self,
        observation: Tensor,
        mask: Tensor | None = None,
        hidden: Tensor | None = None,
        done: Tensor | None = None,
    ) -> Tensor:
        """log π_i(a | o_i) of every action, `[*B, N, A]`, with the arguments of `outputs`."""
        return log_softmax(self.outputs(observation, mask, hidden, done))

    def log_probs_of(self, tensordict: TensorDictBase) -> Tensor:
        """`log_probs` of a tensordict's steps, each with its own hidden state."""
        return self.log_probs(**self.inputs(tensordict))

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        log_probs = log_softmax(self.act(tensordict)).contiguous()
        return choose(tensordict, log_probs, self.out_keys, greedy=deterministic_mode())

    def evaluate(self, tensordict: TensorDictBase) -> tuple[Tensor, Tensor]:
        """See `StochasticActor.evaluate`."""
        log_probs = self.log_probs(**self.sequences(tensordict))
        chosen = select_action(log_probs, need(tensordict, self.out_keys[0]))
        return chosen, entropy_of(log_probs)

    def draw(self, tensordict: TensorDictBase, noise: torch.Generator) -> Tensor:
        """See `StochasticActor.draw`."""
        return sample_action(self.log_probs_of(tensordict), noise)

    def vectors(self, tensordict: TensorDictBase) -> Tensor:
        """Samples, one-hot `[*B, N, A]`."""
        log_probs = self.log_probs_of(tensordict)
        return F.one_hot(sample_action(log_probs), log_probs.shape[-1])

    def relaxed(
        self, tensordict: TensorDictBase, temperature: float
    ) -> tuple[Tensor, Tensor | None]:
        """Samples with a gradient `[*B, N, A]`, see `straight_through`, and entropy `[*B, N]`."""
        log_probs = self.log_probs_of(tensordict)
        entropy = entropy_of(log_probs)
        return straight_through(log_probs, temperature), entropy


# ---------------------------------------------------------------------- formulas
def log_softmax(outputs: Tensor) -> Tensor:
    """log softmax over the last axis of `[*B, N, A]`.

    Rows are last in its memory: a CPU sums slowly over few numbers that are next to each other. The
    largest of them it finds slowly if they are not, so `contiguous` comes before `argmax`.
    """
    rows = outputs.reshape(-1, *outputs.shape[-2:]).permute(1, 2, 0)
    return rows.log_softmax(1).permute(2, 0, 1).reshape(outputs.shape)


def entropy_of(log_probs: Tensor) -> Tensor:
    """Entropy `[*B]` of categorical distributions `[*B, A]`."""
    return -(log_probs.exp() * log_probs).sum(-1)


def select_action(outputs: Tensor, action: Tensor) -> Tensor:
    """The entries of `outputs` `[*B, N, A]` at the actions `[*B, N]`: `[*B, N]`."""
    return entries_of(outputs, action).squeeze(-1)


def sample_action(log_probs: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Samples `[*B, N]` of categorical distributions `[*B, N, A]`, by the Gumbel-max trick.

    The same noise gives the same action wherever the probabilities are the same.
    """
    return (log_probs.contiguous() + gumbel_like(log_probs, generator)).argmax(-1)


def straight_through(log_probs: Tensor, temperature: float) -> Tensor:
    """One-hot samples of softmax(log_probs) with the gradient of their Gumbel-softmax relaxation.

        z = log_probs + g,    g ~ Gumbel,    p = softmax(z / temperature)
        sample = one_hot(argmax z) + p − [p],    [·] detached

    Args:
        log_probs: `[*B, A]`.
        temperature: of the relaxation; a lower one makes the gradient less biased and noisier.

    Returns:
        `[*B, A]` (Jang et al., 2017).
    """
    z = log_probs.contiguous() + gumbel_like(log_probs)
    soft = (z / temperature).softmax(-1)
    hard = F.one_hot(z.argmax(-1), z.shape[-1]).to(soft.dtype)
    return hard + (soft - soft.detach())


def choose(
    td: TensorDictBase, log_probs: Tensor, keys: Sequence[NestedKey], *, greedy: bool = False
) -> TensorDictBase:
    """Write one action per agent and its log-probability, `[*B, N]` each.

    Args:
        td: where to write.
        log_probs: of every action, `[*B, N, A]`.
        keys: of the action and of its log-probability.
        greedy: take the most likely action instead of sampling.
    """
    action = log_probs.argmax(-1) if greedy else sample_action(log_probs)
    td.set(keys[0], action)
    return td.set(keys[1], select_action(log_probs, action))
