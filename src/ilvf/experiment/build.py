"""From a resolved config, or a checkpoint, to the algorithm's LightningModule."""

import functools
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ilvf.algorithms.base import EnvFactory, Training
from ilvf.algorithms.options import config_of
from ilvf.checkpoints.fit import require_fit
from ilvf.checkpoints.verify import require_config
from ilvf.envs import make_env
from ilvf.errors import require
from ilvf.experiment.config import Config, saved_values
from ilvf.experiment.options import training_schema
from ilvf.experiment.schema import Leaf
from ilvf.experiment.sizes import require_memory
from ilvf.options import shown


def environment_factory(config: Config, **more: Any) -> EnvFactory:
    """`make_env` with the environment of a config."""
    options: dict[str, Any] = OmegaConf.to_container(config.env)  # type: ignore[assignment]
    return functools.partial(make_env, **options, **more)


def build(config: Config) -> Training:
    """The algorithm that a training config describes."""
    factory = environment_factory(config)
    env = factory(num_envs=1, seed=config.seed)
    env.close()  # only its sizes are needed
    require_memory(config, env)
    module, _, function = config_of(config.recipe).builder.partition(":")
    make = getattr(importlib.import_module(module), function)
    trained = make(OmegaConf.to_object(config.algorithm), factory, env, config.seed)
    trained.config = saved_form(config)
    return trained


def saved_form(config: Config) -> dict[str, Any]:
    """A config as checkpoints and MLflow keep it: plain nested values, without `resume`."""
    content: dict[str, Any] = OmegaConf.to_container(config)  # type: ignore[assignment]
    content.pop("resume", None)
    return content


def load_trained(
    path: Path,
    content: Mapping[str, Any],
    env: Config | Mapping[str, Any],
    *,
    trust: bool = False,
) -> Training:
    """The trained algorithm of a checkpoint's content, on the environment `env`, in eval mode.

    Args:
        trust: let the checkpoint import code, such as an influence of one's own.

    Raises:
        UsageError: the networks of the checkpoint do not fit the environment; or it imports code.
    """
    saved = require_config(path, content)
    schema = training_schema(saved.get("recipe", "ilvf_p"))  # the first version did not name it
    name, values = saved_values(schema, saved, str(path))
    if not trust:
        require_harmless(path, values, schema.leaves(name))
    options = OmegaConf.to_container(env) if isinstance(env, Config) else dict(env)
    assert isinstance(options, dict)
    values |= {f"env.{key!s}": value for key, value in options.items() if key != "name"}
    module = build(schema.structured(values, name))
    require_fit(path, content, module)
    module.load_state_dict(content["state_dict"])
    return module.eval()


def require_harmless(path: Path, values: Mapping[str, Any], leaves: Mapping[str, Leaf]) -> None:
    """Raise if the algorithm of a checkpoint imports code; its environment is checked elsewhere."""
    for key, leaf in leaves.items():
        effect = leaf.effect_of(values[key]) if key.startswith("algorithm.") else ""
        require(
            not effect,
            f"{path} has {key}={shown(values[key])}, which {effect}; if you trust it, add "
            "trust=true",
        )
