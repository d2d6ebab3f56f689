"""`Choices`: one of A actions per agent."""

from numbers import Integral

import torch
from torch import Tensor
from torch.nn import functional as F
from torchrl.data import Categorical
from torchrl.data.tensor_specs import TensorSpec

from ilvf.errors import require
from ilvf.modules.actions.base import Actions
from ilvf.modules.checks import require_mask, require_tensor
from ilvf.options.arguments import found_words, require_sizes


class Choices(Actions):
    """One of `number` actions per agent; an action is an index, its vector is one-hot."""

    def __init__(self, number: int):
        super().__init__()
        require_sizes("Choices", number=number)
        self.width = int(number)
        self.event = ()
        self.arguments = {"n_actions": self.width}

    def __str__(self) -> str:
        return f"{self.width} actions"

    def encode(self, action: Tensor, state: Tensor) -> Tensor:
        """See `Actions.encode`; vectors `[*B, N, A]` are accepted as they are."""
        require_tensor("the action", action)
        require_tensor("the state", state)
        agents = tuple(state.shape[:-1])
        found = tuple(action.shape)
        if found == (*agents, self.width):
            return action.to(state.dtype)
        require(
            found == agents and not action.is_floating_point(),
            f"the action has shape {found} and dtype {action.dtype}; the critic needs indices "
            f"{agents}, or {(*agents, self.width)} where an agent's action has {self.width} "
            "numbers",
        )
        try:
            return F.one_hot(action.long(), self.width).to(state.dtype)
        except RuntimeError:
            self.require_indices(action)
            raise

    def random(self, observation: Tensor, mask: Tensor | None = None) -> Tensor:
        require_tensor("the observation", observation)
        shape = observation.shape[:-1]
        if mask is None:
            return torch.randint(self.width, shape, device=observation.device)
        require_mask(mask, (*shape, self.width))
        noise = torch.rand(mask.shape, device=observation.device)
        return noise.masked_fill(~mask, -1).argmax(-1)

    def spec(self, team: tuple[int, int], device: torch.device) -> TensorSpec:
        return Categorical(self.width, team, device=device, dtype=torch.int64)

    def problem(self, action: Tensor, owner: str) -> str:
        low, high = (int(x) for x in action.aminmax())
        if low >= 0 and high < self.width:
            return ""
        wrong = low if low < 0 else high
        return f"action {wrong} is out of range; {owner} has 0 to {self.width - 1}"

    def require_indices(self, action: Tensor) -> None:
        """Raise unless all actions exist; reads the device."""
        problem = self.problem(action, "the network")
        require(not problem, f"{problem}: is its number of actions that of the environment?")


def choices_of(number: int, of: str, name: str = "n_actions", others: str = "") -> Choices:
    """`Choices` of the argument of a network.

    Args:
        number: A.
        of, name: the class of the network and the argument, for messages.
        others: what else the argument can be, in words.

    Raises:
        UsageError: no whole number of at least 1.
    """
    is_whole = isinstance(number, Integral) and not isinstance(number, bool)
    require(
        is_whole and int(number) >= 1,
        f"{of}: {name} must be a number of discrete actions, at least 1{others}, "
        f"found {found_words(number)}",
    )
    return Choices(number)


def as_actions(actions: int | Actions, of: str, n_agents: int | None = None) -> Actions:
    """`Choices` of a number; other actions as they are.

    Args:
        actions: the argument `actions` of a network.
        of: the class of the network, for messages.
        n_agents: N of the network; None if it serves any number of agents.

    Raises:
        UsageError: neither a whole number of at least 1 nor actions, or those of another N.
    """
    if not isinstance(actions, Actions):
        return choices_of(actions, of, "actions", ", MultiChoices or a Box")
    require(
        n_agents is None or actions.n_agents in (None, n_agents),
        f"{of}: n_agents={n_agents}, but the {type(actions).__name__} is of {actions.n_agents} "
        "agents",
    )
    return actions


def entries_of(values: Tensor, action: Tensor) -> Tensor:
    """The entries of `values` `[*B, N, A]` at the actions `[*B, N]`: `[*B, N, 1]`.

    Raises:
        UsageError: actions of another shape or type, or an index that is not below A.
    """
    require_tensor("the action", action)
    found = tuple(action.shape)
    agents = tuple(values.shape[:-1])
    require(
        found == agents and not action.is_floating_point(),
        f"the action has shape {found} and dtype {action.dtype}; "
        f"need indices {agents}, one for each agent",
    )
    try:
        return values.gather(-1, action.long().unsqueeze(-1))
    except RuntimeError:
        Choices(values.shape[-1]).require_indices(action)
        raise
