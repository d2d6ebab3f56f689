"""The policy of a tabular game as a module that acts in `Tabular`."""

import torch
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModuleBase
from torch import Tensor

from ilvf.envs.tabular.game import Game, place_values
from ilvf.errors import require
from ilvf.modules.actors.categorical import choose
from ilvf.modules.actors.network import deterministic_mode


class TabularActor(TensorDictModuleBase):
    """The softmax policy of a single game.

    Reads `(group, "observation")` `[*B, N, N·D]`; writes `(group, "action")` and
    `(group, "action_log_prob")`, both `[*B, N]`. Samples, or takes the most likely actions in a
    `deterministic_mode`.

    Args:
        game: one game.
        group: name of the agents' group.

    Raises:
        UsageError: more than one game.
    """

    table: Tensor
    places: Tensor

    def __init__(self, game: Game, *, group: str = "agents"):
        super().__init__()
        require(
            len(game) == 1,
            f"{len(game)} games are too many for one actor; pick one, such as game[0]",
        )
        self.in_keys = [(group, "observation")]
        self.out_keys = [(group, "action"), (group, "action_log_prob")]
        local = torch.arange(max(game.states))  # an unseen state is all zero and counts as 0
        places = place_values(game.states).unsqueeze(1) * local  # [N, D]
        self.register_buffer("table", game.log_policy()[0].detach().float())  # [N, S, A]
        self.register_buffer("places", places.flatten().float())

    def log_probs(self, observation: Tensor) -> Tensor:
        """log π_i(a | o_i) of every action, `[*B, N, A]`."""
        joint = (observation @ self.places).round().long()  # [*B, N]
        agent = torch.arange(len(self.table), device=joint.device)
        return self.table[agent, joint]

    def forward(self, tensordict: TensorDictBase) -> TensorDictBase:
        log_probs = self.log_probs(tensordict.get(self.in_keys[0]))
        return choose(tensordict, log_probs, self.out_keys, greedy=deterministic_mode())
