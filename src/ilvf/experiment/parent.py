"""MLflow runs without a training, below which MLflow shows other runs: a study, a set of seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ilvf.errors import UsageError
from ilvf.experiment.seed_summary import summarise
from ilvf.experiment.store import first_line, open_store, tracking_uri

LONGEST_PARAMETER = 6000  # characters, of MLflow


class Parent:
    """The parent of several runs: a new run, or the one that an earlier call has made.

    Args:
        folder: of the runs, with the store.
        experiment: the MLflow experiment.
        name: of the parent.
        tags, parameters: of a new parent.
        unique: names of tags by which an earlier parent is found; it is continued. Without them
            the parent is new.

    Attributes:
        run_id: id of the MLflow run.

    Raises:
        UsageError: the store cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        experiment: str,
        name: str,
        tags: Mapping[str, str],
        parameters: Mapping[str, Any],
        unique: Sequence[str] = (),
    ):
        self.uri = tracking_uri(folder)
        open_store(self.uri, folder, experiment)
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient(self.uri)
        try:
            found: Any = self._client.get_experiment_by_name(experiment)
            number = found.experiment_id
            known = self._found(number, {name: tags[name] for name in unique})
            self.run_id = known or self._created(number, name, tags, parameters)
            self._client.update_run(self.run_id, status="RUNNING")
        except Exception as error:  # a store can raise anything; its first line says what
            reason = first_line(error)
            raise UsageError(f"{name} cannot be recorded in {self.uri}: {reason}") from error

    def _found(self, experiment: str, tags: Mapping[str, str]) -> str | None:
        """The id of the run with these tags."""
        if not tags:
            return None
        query = " AND ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        found = self._client.search_runs([experiment], query, max_results=1)
        return found[0].info.run_id if found else None

    def _created(
        self,
        experiment: str,
        name: str,
        tags: Mapping[str, str],
        parameters: Mapping[str, Any],
    ) -> str:
        """The id of a new run."""
        from mlflow.entities import Param

        run_id = self._client.create_run(experiment, tags=dict(tags), run_name=name).info.run_id
        listed = [Param(key, str(value)[:LONGEST_PARAMETER]) for key, value in parameters.items()]
        self._client.log_batch(run_id, params=listed)
        return run_id

    def close(self, status: str, files: Sequence[Path] = ()) -> None:
        """End the run and store files with it; a store that fails does not end the command.

        Args:
            status: FINISHED, FAILED or KILLED.
            files: those that exist are stored.
        """
        try:
            for path in files:
                if path.is_file():
                    self._client.log_artifact(self.run_id, str(path))
            self._client.set_terminated(self.run_id, status)
            summarise(self._client, self.run_id)
        except Exception as error:  # a store can raise anything; its first line says what
            print(f"note: MLflow failed ({first_line(error)}); the files are complete", flush=True)
