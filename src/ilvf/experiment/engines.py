"""The engine that a command's config names. Importing this module imports nothing heavy."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from ilvf.errors import require
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
        UsageError: submitit is missing, or does not accept the options; or there are options of
            submitit without engine=submitit.
    """
    values: Any = OmegaConf.to_container(section)
    name = values.pop("name")
    options = EngineOptions(**values)
    if name == "local":
        from ilvf.experiment.jobs import LocalEngine

        changed = [key for key, value in asdict(EngineOptions()).items() if values[key] != value]
        require(
            not changed,
            f"engine.{''.join(changed[:1])} has no meaning with engine=local; add engine=submitit",
        )
        return LocalEngine(accelerator)
    from ilvf.experiment.cluster import ClusterEngine

    return ClusterEngine(folder, options, accelerator)
