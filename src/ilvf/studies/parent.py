"""The MLflow run of a study, below which MLflow shows the runs of its algorithms."""

from pathlib import Path
from typing import Any

from ilvf.errors import UsageError
from ilvf.experiment.store import first_line, open_store, tracking_uri
from ilvf.studies.description import Study
from ilvf.studies.processes import experiment_of, study_label

IS_PARENT = "study.parent"  # tag of the study's own run


class ParentRun:
    """The MLflow run of a study: a new one, or that of an earlier call.

    Args:
        study: what runs.
        folder: of the study, with the store.

    Raises:
        UsageError: the store cannot be used.
    """

    def __init__(self, study: Study, folder: Path):
        self.uri = tracking_uri(folder)
        if self.uri.startswith("sqlite") and not (folder / "mlflow.db").exists():
            print(
                f"creating the MLflow store {folder / 'mlflow.db'} (once, 10 to 30 s)", flush=True
            )
        open_store(self.uri, folder, experiment_of(study))
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient(self.uri)
        try:
            self.run_id = self._found_or_created(study)
            self._client.update_run(self.run_id, status="RUNNING")
        except Exception as error:  # a store can raise anything; its first line says what
            reason = first_line(error)
            raise UsageError(f"the study cannot be recorded in {self.uri}: {reason}") from error

    def _found_or_created(self, study: Study) -> str:
        """The id of the study's run."""
        experiment: Any = self._client.get_experiment_by_name(experiment_of(study))
        number = experiment.experiment_id
        found = self._client.search_runs([number], f"tags.`{IS_PARENT}` = 'true'", max_results=1)
        if found:
            return found[0].info.run_id
        tags = {IS_PARENT: "true", "study": study_label(study)}
        run = self._client.create_run(number, tags=tags, run_name=study_label(study))
        parameters = {"study": study.name, "scale": study.scale_name, "seeds": study.scale.seeds}
        for name, value in parameters.items():
            self._client.log_param(run.info.run_id, name, value)
        return run.info.run_id

    def close(self, status: str, files: list[Path]) -> None:
        """End the run and store files with it; a store that fails does not end the study.

        Args:
            status: FINISHED, FAILED or KILLED.
            files: those that exist are stored.
        """
        try:
            for path in files:
                if path.is_file():
                    self._client.log_artifact(self.run_id, str(path))
            self._client.set_terminated(self.run_id, status)
        except Exception as error:  # a store can raise anything; its first line says what
            print(f"note: MLflow failed ({first_line(error)}); the files are complete", flush=True)
