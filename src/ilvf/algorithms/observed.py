"""What networks find in the observations and states of an environment: images, sets of entities."""

from dataclasses import replace
from typing import Any, Literal

from torchrl.envs import EnvBase

from ilvf.algorithms.options import AlgorithmConfig
from ilvf.errors import UsageError, require
from ilvf.modules.entity_sets import EntitySet
from ilvf.modules.images import Image
from ilvf.modules.options import ImageOptions, SetOptions
from ilvf.modules.parts import Part, parts_of
from ilvf.options import Options, shown

Read = Literal["state", "observation"]


def parts_in(read: Read, config: AlgorithmConfig, env: EnvBase) -> tuple[Part, ...]:
    """The parts of a state or an observation that networks read in their own way.

    Raises:
        UsageError: the environment does not have them, or options of them are set in vain.
    """
    return (*images_in(read, config, env), *sets_in(read, config, env))


def images_in(read: Read, config: AlgorithmConfig, env: EnvBase) -> tuple[Image, ...]:
    """The image, if there is one and `images` asks for it, with its convolutions."""
    if config.images == "flat":
        require_unused(config, ImageOptions, "images=cnn")
        return ()
    require(
        getattr(env, "observation_image", None) is not None,
        f"algorithm.images=cnn: the agents of {type(env).__name__} do not observe one image of the "
        "same size each; leave it out",
    )
    found = described(env, f"{read}_image", Image)
    return tuple(
        replace(image, filters=config.filters, convolutions=config.convolutions) for image in found
    )


def sets_in(read: Read, config: AlgorithmConfig, env: EnvBase) -> tuple[EntitySet, ...]:
    """The sets of entities, if `sets` asks for them, with their attentions."""
    if config.sets == "flat":
        require_unused(config, SetOptions, "sets=attention")
        return ()
    require(
        bool(described(env, "observation_sets", EntitySet)),
        f"algorithm.sets=attention: the agents of {type(env).__name__} do not observe sets of "
        "entities, the same for all agents; leave it out",
    )
    found = described(env, f"{read}_sets", EntitySet)
    return tuple(replace(one, heads=config.heads, embedding=config.embedding) for one in found)


def described(env: EnvBase, name: str, kind: type[Any]) -> tuple[Any, ...]:
    """The parts that an attribute of an environment describes.

    Args:
        name: of the attribute; it may be missing, or hold the error that its description is.
        kind: of the parts.
    """
    value = getattr(env, name, None)
    of = f"{type(env).__name__}.{name}"
    if isinstance(value, UsageError):
        raise UsageError(f"{of}: {value}") from value
    found = parts_of(value, of)
    require(
        all(isinstance(part, kind) for part in found),
        f"{of} must be of {kind.__name__}, found {shown(value)}",
    )
    return found


def require_unused(config: AlgorithmConfig, options: type[Options], needed: str) -> None:
    """Raise if options are set that have no effect without another one.

    Args:
        options: a dataclass of options, with the one that is needed.
        needed: that one and its value.
    """
    for name, default in vars(options()).items():
        value = getattr(config, name)
        require(
            value == default,
            f"algorithm.{name}={shown(value)} is for algorithm.{needed}; leave it out",
        )
