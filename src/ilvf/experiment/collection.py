"""Where a config lets a run collect."""

from ilvf.collectors.elsewhere import Elsewhere, require_environments
from ilvf.errors import require
from ilvf.experiment.config import Config
from ilvf.experiment.engine_options import installed


def elsewhere_of(config: Config) -> Elsewhere | None:
    """The workers that collect for each process of a run; None if it collects itself.

    Raises:
        UsageError: Ray is missing, there are fewer environments than workers, or the environment
            has processes of its own.
    """
    trainer = config.trainer
    if trainer.collector == "local":
        return None
    require(
        trainer.collector != "ray" or installed("ray"),
        'trainer.collector=ray needs Ray: pip install "ilvf[ray]"',
    )
    workers = config.env.get("workers", 0)
    require(
        workers == 0 or trainer.collector != "processes",
        f"env.workers={workers} and trainer.collector=processes both spread the environments over "
        "processes; leave out one of them",
    )
    require_environments(trainer.collector_workers, config.algorithm.num_envs)
    return Elsewhere(trainer.collector, trainer.collector_workers)
