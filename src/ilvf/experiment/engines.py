"""The engine that a command's config names. Importing this module imports nothing heavy."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from ilvf.experiment.config import Config
from ilvf.experiment.engine_options import EngineOptions

if TYPE_CHECKING:
    from ilvf.experiment.jobs import Engine


def engine_of(section: Config, folder: Path, accelerator: str) -> "Engine":
    """The engine that a command's config names.

    Args:
        section: the config's section `engine`, with `name`.
        folder: where a cluster's job files go.
        accelerator: of the runs.

    Raises:
        UsageError: submitit is missing, or does not accept the options.
    """
    if section["name"] == "local":
        from ilvf.experiment.jobs import LocalEngine

        return LocalEngine(accelerator)
    from ilvf.experiment.cluster import ClusterEngine

    values: Any = OmegaConf.to_container(section)
    del values["name"]
    return ClusterEngine(folder, EngineOptions(**values), accelerator)
