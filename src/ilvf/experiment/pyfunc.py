"""A trained policy as MLflow loads it: `mlflow.pyfunc.load_model(uri).predict(observations)`.

The model's folder holds a checkpoint and no code. Its `MLmodel` file names this module, which
MLflow imports from the installed package.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ilvf.checkpoints.policy import Policy, load_policy

OBSERVATION = "observation"
MASK = "action_mask"
DETERMINISTIC = "deterministic"  # parameters of `predict`
RESET = "reset"


class PolicyModel:
    """A trained team with MLflow's interface.

    Args:
        policy: the team.
    """

    def __init__(self, policy: Policy):
        self.policy = policy

    def predict(
        self, data: Mapping[str, np.ndarray], params: Mapping[str, Any] | None = None
    ) -> np.ndarray:
        """Actions `[B, N]`, `[B, N, D]` of several choices, `[B, N, A]` if continuous.

        Args:
            data: `observation`, `[B, N, Do]`, and `action_mask`, bool `[B, N, A]`, if some actions
                can be impossible. MLflow makes this mapping of an array or a table.
            params: `deterministic`: false samples. `reset`: true where episodes begin, for a
                recurrent team, which remembers from call to call.
        """
        if (params or {}).get(RESET, False):
            self.policy.reset()
        mask = data.get(MASK)
        actions = self.policy(
            torch.as_tensor(data[OBSERVATION]),
            None if mask is None else torch.as_tensor(mask),
            deterministic=(params or {}).get(DETERMINISTIC, True),
        )
        return actions.numpy()


def _load_pyfunc(path: str) -> PolicyModel:
    """Called by MLflow with the path of the model's checkpoint."""
    return PolicyModel(load_policy(Path(path)))
