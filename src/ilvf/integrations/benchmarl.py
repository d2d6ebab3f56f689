"""ILVF-P and ILVF-S as algorithms of BenchMARL: on its tasks, with its models, loggers and plots.

```python
from ilvf.integrations.benchmarl import IlvfPConfig, IlvfSConfig  # before benchmarl is imported
from benchmarl.experiment import Experiment

Experiment(task=..., algorithm_config=IlvfSConfig(), model_config=..., ...).run()
```

They differ from BenchMARL's MAPPO in the credit alone: its policies, critics (one value per agent),
clipped loss and loop are used. BenchMARL 1.5.2 asks for TorchRL below 0.12 and imports a collector
under the name it had there; this module restores that name, and the rest runs on TorchRL 0.14. So
install it without its requirements: `pip install --no-deps benchmarl==1.5.2`, and `hydra-core`.
"""

from dataclasses import dataclass
from typing import Any

import torchrl.collectors
from tensordict import TensorDictBase
from tensordict.nn import TensorDictModule
from torchrl.objectives import ClipPPOLoss, LossModule

from ilvf.credit import ILVFAdvantage, InfluenceSource, ScoreInfluence, SupervisedInfluence
from ilvf.errors import UsageError, require
from ilvf.losses import ActionValueLoss
from ilvf.losses.options import SUPERVISION
from ilvf.modules import InfluenceCritic
from ilvf.modules.actions import actions_of_spec

if not hasattr(torchrl.collectors, "SyncDataCollector"):
    torchrl.collectors.SyncDataCollector = torchrl.collectors.Collector

try:
    from benchmarl.algorithms import Mappo, MappoConfig
except ImportError as error:
    raise UsageError(
        f"BenchMARL cannot be imported ({error}): pip install --no-deps benchmarl==1.5.2, and "
        "pip install hydra-core"
    ) from error


class IlvfS(Mappo):
    """MAPPO whose advantages are mixed by a score test on each rollout (`ScoreInfluence`)."""

    def _get_loss(
        self, group: str, policy_for_loss: TensorDictModule, continuous: bool
    ) -> tuple[LossModule, bool]:
        loss, has_target = super()._get_loss(group, policy_for_loss, continuous)
        source = ScoreInfluence(policy_for_loss, n_agents=len(self.group_map[group]))
        credit(loss, group, source)
        return loss, has_target


class IlvfP(Mappo):
    """MAPPO whose advantages are mixed by the attention of an `InfluenceCritic` (the paper).

    The critic is that of the paper instead of a model of BenchMARL: V, Q and the attention read
    the observations of all agents. The loss of Q, which trains the attention, is a part of
    `loss_critic`.

    Raises:
        UsageError: a group's observation is not one vector per agent.
    """

    def _get_loss(
        self, group: str, policy_for_loss: TensorDictModule, continuous: bool
    ) -> tuple[LossModule, bool]:
        n_agents = len(self.group_map[group])
        key, width = observation_of(self.observation_spec, group)
        actions = self.action_spec[group, "action"]
        choices = actions_of_spec(actions.expand(1, *actions.shape), group)
        critic = InfluenceCritic(n_agents, width, choices, tau=self.tau).to(self.device)
        self.__dict__.setdefault("critics", {})[group] = critic.value_module(group, state_key=key)
        loss, has_target = super()._get_loss(group, policy_for_loss, continuous)
        source = None
        if self.supervision:
            source = SupervisedInfluence(ScoreInfluence(policy_for_loss, n_agents))
        credit(loss, group, source)
        of_q = ActionValueLoss(
            critic,
            group=group,
            state_key=key,
            coeff=self.critic_coef,
            supervision=self.supervision,
        )

        def add_action_value(loss: Any, inputs: tuple[Any, ...], terms: TensorDictBase) -> None:
            more = of_q(inputs[0]).values()
            terms.set("loss_critic", sum(more, terms["loss_critic"]))

        loss.register_forward_hook(add_action_value)
        return loss, has_target

    def __init__(self, tau: float, supervision: float, **options: Any):
        super().__init__(**options)
        self.tau = tau
        self.supervision = supervision

    def get_critic(self, group: str) -> TensorDictModule:
        """The critic's values and influence weights, as a module."""
        return self.critics[group]


def credit(loss: ClipPPOLoss, group: str, source: InfluenceSource | None) -> None:
    """Mix the advantages of a loss; None reads the influence that its critic writes."""
    wrapped = ILVFAdvantage(loss.value_estimator, influence=source, group=group)
    loss.make_value_estimator(wrapped)


def observation_of(spec: Any, group: str) -> tuple[str, int]:
    """(name, width) of the only observation of a group's agents.

    Raises:
        UsageError: there are several, or it is not a vector.
    """
    found = list(spec[group].items(True, True))
    words = ", ".join(f"{name} {tuple(leaf.shape)}" for name, leaf in found)
    require(
        len(found) == 1 and isinstance(found[0][0], str) and len(found[0][1].shape) == 2,
        f"IlvfP needs one observation [N, D] of the group {group!r}, found {words}; "
        "IlvfS takes any that BenchMARL's models take",
    )
    return found[0][0], found[0][1].shape[-1]


@dataclass
class IlvfSConfig(MappoConfig):
    """MAPPO's options with BenchMARL's defaults, but one value per agent."""

    share_param_critic: bool = False
    clip_epsilon: float = 0.2
    entropy_coef: float = 0.0
    critic_coef: float = 1.0
    loss_critic_type: str = "l2"
    lmbda: float = 0.9
    scale_mapping: str = "biased_softplus_1.0"
    use_tanh_normal: bool = True
    minibatch_advantage: bool = False

    def __post_init__(self) -> None:
        for name in ("share_param_critic", "minibatch_advantage"):
            require(
                not getattr(self, name),
                f"{type(self).__name__}: {name}=True is not possible: credit needs a value of "
                "each agent, and whole rollouts",
            )

    @staticmethod
    def associated_class() -> type[Mappo]:
        """The algorithm of this config."""
        return IlvfS


@dataclass
class IlvfPConfig(IlvfSConfig):
    """The same, τ of the Gumbel attention, and how strongly a score test teaches it.

    `supervision=0` is the paper.
    """

    tau: float = 1.0
    supervision: float = SUPERVISION

    @staticmethod
    def associated_class() -> type[Mappo]:
        """The algorithm of this config."""
        return IlvfP
