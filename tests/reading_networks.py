"""All networks that read observations or states, as functions of one tensor."""

import torch

from ilvf.modules import (
    ActionInfluenceCritic,
    CategoricalActor,
    CentralCritic,
    CounterfactualCritic,
    DeterministicActor,
    GaussianActor,
    GreedyActor,
    InfluenceCritic,
    JointCritic,
    LocalCritic,
    MultiCategoricalActor,
    MultiChoices,
    RelevanceCritic,
    StateCritic,
)
from ilvf.modules.actions import Box

N = 3
WIDTH = 46  # numbers of an observation
SIZES = (N, WIDTH)
BOX = Box([[-1.0]] * N, [[1.0]] * N)
NETWORKS = {
    "CategoricalActor": lambda **k: CategoricalActor(*SIZES, 4, **k).outputs,
    "GreedyActor": lambda **k: GreedyActor(*SIZES, 4, **k).outputs,
    "MultiCategoricalActor": lambda **k: (
        MultiCategoricalActor(*SIZES, MultiChoices([[2, 2]] * N), **k).outputs
    ),
    "GaussianActor": lambda **k: GaussianActor(*SIZES, BOX, **k).outputs,
    "DeterministicActor": lambda **k: DeterministicActor(*SIZES, BOX, **k).outputs,
    "recurrent": lambda **k: remembering(StateCritic(*SIZES, recurrent="gru", **k)),
    "StateCritic": lambda **k: StateCritic(*SIZES, **k),
    "shared first": lambda **k: StateCritic(*SIZES, shared_first=True, **k),
    "LocalCritic": lambda **k: LocalCritic(*SIZES, **k),
    "CentralCritic": lambda **k: CentralCritic(*SIZES, **k),
    "InfluenceCritic": lambda **k: acted(InfluenceCritic(*SIZES, 4, **k)),
    "ActionInfluenceCritic": lambda **k: acted(ActionInfluenceCritic(*SIZES, 4, **k)),
    "RelevanceCritic": lambda **k: acted(RelevanceCritic(*SIZES, 4, **k)),
    "CounterfactualCritic": lambda **k: acted(CounterfactualCritic(*SIZES, 4, **k)),
    "JointCritic": lambda **k: joint(JointCritic(*SIZES, 4, **k)),
}


def acted(critic):
    """V, and Q of the first actions where there is one, side by side."""

    def values(state):
        torch.manual_seed(1)
        found = critic.predict(state, torch.zeros(state.shape[:-1], dtype=torch.int64))
        return torch.cat([value for value in found if value is not None], -1)

    return values


def joint(critic):
    return lambda state: critic(state, torch.zeros(len(state), N * 4))


def remembering(critic):
    return lambda state: critic(state, torch.zeros(len(state), *critic.memory.sizes))
