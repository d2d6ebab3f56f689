"""What the recipes of on-policy algorithms build alike. No maths."""

import functools
from collections.abc import Callable
from typing import Any

from ilvf.experiment.command_line import Config

NET = ("hidden", "depth", "hidden_norm", "input_norm", "share")
LOSS = ("clip", "entropy", "value", "huber_delta", "value_clip", "sparsity")


def unpack(cfg: Config) -> tuple[dict[str, Any], Callable, Any, dict[str, Any]]:
    """(the algorithm's keys without those of networks and loss, environment factory, one environment, parts).

    `parts` has the actor, `net`: arguments of critics, and `loss`: arguments of `ILVFLoss`.
    """
    from ilvf.envs import make_env
    from ilvf.modules import CategoricalActor

    a, factory = dict(cfg["algorithm"]), functools.partial(make_env, **cfg["env"])
    env = factory(num_envs=1, seed=cfg["seed"])
    env.close()  # what it is made of is all that is wanted
    net, loss = ({k: a.pop(k) for k in keys if k in a} for keys in (NET, LOSS))
    masked = ("agents", "action_mask") in env.observation_spec.keys(True)
    sizes = (env.n_agents, env.observation_dim, env.n_actions)
    actor = CategoricalActor(*sizes, gain=a.pop("gain"), masked=masked, **net)
    return a, factory, env, {"actor": actor, "net": net, "loss": loss}


def discretisation(a: dict[str, Any]) -> Any:
    """The part that turns weights into Ŵ, from the keys discretise, threshold, noise and tau (which stays)."""
    from ilvf.credit import Bernoulli, Soft, Threshold
    from ilvf.errors import require_choice

    discretise, c, noise, tau = a.pop("discretise"), a.pop("threshold"), a.pop("noise"), a["tau"]
    choices = {
        "threshold": lambda: Threshold(c, noise=noise == "true", tau=tau),
        "bernoulli": lambda: Bernoulli(noise=noise != "false", tau=tau),
        "soft": Soft,
    }
    require_choice("algorithm.discretise", discretise, tuple(choices))
    require_choice("algorithm.noise", noise, ("auto", "true", "false"))
    return choices[discretise]()
