"""The commands `train`, `evaluate` and `influence` from Python, in a script or a notebook."""

import contextlib
import os
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ilvf.algorithms.options import name_of
from ilvf.errors import require
from ilvf.experiment.command_line import program_words
from ilvf.experiment.config import Config, confirmed_words, resolve
from ilvf.experiment.options import training_schema
from ilvf.experiment.schema import Schema, flatten, require_mapping, word_of
from ilvf.experiment.variables import require_launched, require_variables
from ilvf.options import shown

if TYPE_CHECKING:
    import pandas as pd

    from ilvf.algorithms.base import Training

OF_ONE_RUN = ("ILVF_RUN_DIR", "ILVF_RESUMED")  # variables that a run leaves for its own processes
STOPPED = (128 + signal.SIGINT, 128 + signal.SIGTERM)  # exit codes of a run that was stopped


class Experiment:
    """A training run and what is done with its team: the commands of `ilvf` from Python.

    Every method is the command of its name: the same keys, checks, folders, checkpoints and MLflow
    store. `run` and `resume` train in this process and seed its random generators.

        experiment = Experiment("encircle", "ilvf_p", {"env.n_agents": 10})
        experiment.run()
        experiment.evaluate({"algorithm.eval_episodes": 100})

    Args:
        task: what `env=` takes: a declared environment, or a yaml file.
        algorithm: what `ilvf train` takes.
        config: keys of `ilvf train`, dotted or nested, and their values.

    Attributes:
        config: the resolved config of the training.
        folder: of the last run; None before `run`, and after a run of several seeds.
        module: the trained LightningModule; None likewise.

    Raises:
        UsageError: see `ilvf.experiment.config.resolve`.
    """

    def __init__(
        self,
        task: str = "encircle",
        algorithm: str = "ilvf_p",
        config: Mapping[str, Any] | None = None,
    ):
        require(isinstance(task, str), f"task={shown(task)} must be a word, such as 'encircle'")
        require(
            isinstance(algorithm, str),
            f"algorithm={shown(algorithm)} must be a word, such as 'ilvf_p'",
        )
        self._algorithm = algorithm
        self._schema = training_schema(name_of(algorithm))
        self._words = [f"env={task}", *words_of(config)]
        self.config = resolved(self._schema, self._words)
        self.folder: Path | None = None
        self.module: Training | None = None

    def run(self) -> "Training | None":
        """Train as `ilvf train` does.

        Returns:
            the trained module; None if the config has several seeds, each in a process of its own.

        Raises:
            KeyboardInterrupt: the run was interrupted; it has saved, and `resume` continues it.
        """
        self.folder = None
        return self._train(self.config, self._words)

    def resume(
        self, config: Mapping[str, Any] | None = None, checkpoint: str | Path | None = None
    ) -> "Training | None":
        """Continue a run as `ilvf train ALGORITHM resume=CHECKPOINT` does.

        Args:
            config: keys that change, such as `{"trainer.max_epochs": 60}`.
            checkpoint: a file, a run's folder, or "last"; by default the run of this experiment.
        """
        words = [f"resume={self._checkpoint(checkpoint)}", *self._again(self._schema, checkpoint)]
        words += words_of(config)
        return self._train(resolved(self._schema, words), words)

    def evaluate(
        self, config: Mapping[str, Any] | None = None, checkpoint: str | Path | None = None
    ) -> dict[str, float]:
        """Evaluate the team as `ilvf evaluate` does.

        Args:
            config: keys of `ilvf evaluate`.
            checkpoint: as in `resume`; of a run the best checkpoint counts.

        Returns:
            the metrics of the evaluation.
        """
        from ilvf.commands.evaluate import SCHEMA, evaluation

        return evaluation(self._reading(SCHEMA, config, checkpoint))

    def influence(
        self, config: Mapping[str, Any] | None = None, checkpoint: str | Path | None = None
    ) -> dict[str, float]:
        """Report the influence over an episode as `ilvf influence` does.

        Args:
            config: keys of `ilvf influence`.
            checkpoint: as in `evaluate`.

        Returns:
            the metrics of the report; report and pictures are in the run's folder.
        """
        from ilvf.commands.influence import SCHEMA, report

        return report(self._reading(SCHEMA, config, checkpoint))

    @property
    def metrics(self) -> "pd.DataFrame":
        """The metrics of every iteration of the last run, by `frames`."""
        import pandas as pd

        from ilvf.experiment.metrics_file import METRICS, read_rows

        require(self.folder is not None, "there is no run yet; call run() first")
        rows = read_rows(Path(str(self.folder)) / METRICS)
        require(bool(rows), f"{self.folder} has no metrics yet")
        return pd.DataFrame(rows).astype({"frames": int}).set_index("frames")

    # ------------------------------------------------------------------ parts
    def _train(self, config: Config, words: list[str]) -> "Training | None":
        require_launched()
        from ilvf.experiment.run import train
        from ilvf.reports.pictures import pictures_of

        command = [*program_words(), "train", self._algorithm, *words]
        with variables_restored():
            try:
                self.module = train(config, [pictures_of(config)], command)
            except SystemExit as stop:
                if stop.code in STOPPED:
                    raise KeyboardInterrupt from None
                raise
            finally:
                self.folder = _folder_of_run() or self.folder
        return self.module

    def _reading(
        self, schema: Schema, config: Mapping[str, Any] | None, checkpoint: str | Path | None
    ) -> Config:
        """The resolved config of a command that reads a checkpoint."""
        words = [f"checkpoint={self._checkpoint(checkpoint)}", *self._again(schema, checkpoint)]
        return resolved(schema, [*words, *words_of(config)])

    def _checkpoint(self, given: str | Path | None) -> str | Path:
        """The given checkpoint, or the folder of the last run."""
        found = given if given is not None else self.folder
        require(found is not None, "there is no run yet; call run() first, or give checkpoint=")
        assert found is not None
        return found

    def _again(self, schema: Schema, checkpoint: str | Path | None) -> list[str]:
        """The folder in which `last` is looked for; and, of a run of this experiment, the keys that
        its checkpoint may not set.
        """
        words = [f"out={self.config.out}"]
        if checkpoint is None:
            words += confirmed_words(schema, self.config.env.name, self._words)
            words += ["trust=true"] if "trust" in schema.leaves(None) else []
        return words


def words_of(config: Mapping[str, Any] | None) -> list[str]:
    """`key=value` for every key of a config, dotted or nested."""
    given = flatten(require_mapping({} if config is None else config, "config"))
    return [word_of(key, as_plain(value)) for key, value in given.items()]


def as_plain(value: Any) -> Any:
    """A tuple as a list, and an array or tensor as nested lists or a number."""
    if isinstance(value, tuple):
        return list(value)
    return value.tolist() if hasattr(value, "tolist") else value


def resolved(schema: Schema, words: list[str]) -> Config:
    """The config of a command, as the command line has it."""
    require_variables()
    return resolve(schema, words)


def _folder_of_run() -> Path | None:
    """The folder that the run of this process has made."""
    folder = os.environ.get(OF_ONE_RUN[0])
    return Path(folder) if folder else None


@contextlib.contextmanager
def variables_restored() -> Iterator[None]:
    """Restore the variables that a run sets for its other processes."""
    before = {name: os.environ.get(name) for name in OF_ONE_RUN}
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
