"""A run's trained policy as a model of MLflow, with a signature and without code.

    model = mlflow.pyfunc.load_model(f"runs:/{run_id}/policy")
    actions = model.predict(observation)               # [B, N, Do] → [B, N], [B, N, D or A]

`ilvf.experiment.pyfunc` is what MLflow calls.
"""

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.entities import LoggedModelOutput
from mlflow.models import Model, ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

import ilvf
from ilvf.checkpoints.files import read_checkpoint
from ilvf.experiment.pyfunc import DETERMINISTIC, MASK, OBSERVATION, RESET
from ilvf.modules.actions import Box, Choices, actions_of_arguments

NAME = "policy"
LOADER = "ilvf.experiment.pyfunc"  # module that reads the checkpoint
MLMODEL = "MLmodel"


def log_policy(client: MlflowClient, run_id: str, checkpoint: Path) -> None:
    """Store the policy of a checkpoint as a model of a run. The newest of several counts.

    Raises:
        UsageError: the checkpoint cannot be read.
    """
    content = read_checkpoint(checkpoint)
    frames = content["ilvf"]["state"]["frames"]
    experiment = client.get_run(run_id).info.experiment_id
    model = client.create_logged_model(
        experiment,
        name=NAME,
        source_run_id=run_id,
        params={"frames": str(frames), "checkpoint": checkpoint.name},
        model_type="policy",
    )
    with tempfile.TemporaryDirectory() as folder:
        write_model(Path(folder), checkpoint, content["ilvf"]["actor"], model.model_id, run_id)
        client.log_model_artifacts(model.model_id, folder)
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, frames)])


def write_model(
    folder: Path, checkpoint: Path, actor: Mapping[str, Any], model_id: str, run_id: str
) -> None:
    """Write the files of a model: the checkpoint, its signature and what it needs."""
    from mlflow.pyfunc import add_to_model

    data = folder / "data"
    data.mkdir()
    shutil.copy(checkpoint, data)
    model = Model(run_id=run_id, model_id=model_id, signature=signature_of(actor))
    add_to_model(model, loader_module=LOADER, data=f"data/{checkpoint.name}")
    model.save(str(folder / MLMODEL))
    (folder / "requirements.txt").write_text(f"ilvf=={ilvf.__version__}\n")


def signature_of(actor: Mapping[str, Any]) -> ModelSignature:
    """What a policy takes and returns: `observation` [B, N, Do] (and `action_mask`) → actions.

    Discrete actions are whole numbers [B, N], several choices [B, N, D], continuous ones numbers
    [B, N, A].

    Args:
        actor: the arguments of an actor, as a checkpoint keeps them.
    """
    n = actor["n_agents"]
    found, _ = actions_of_arguments(actor)
    actions = found or Choices(actor["n_actions"])
    inputs: list[Any] = [
        TensorSpec(np.dtype("float32"), (-1, n, actor["observation_dim"]), OBSERVATION)
    ]
    if actor.get("masked"):
        inputs.append(TensorSpec(np.dtype("bool"), (-1, n, actions.width), MASK))
    kind = np.dtype("float32" if isinstance(actions, Box) else "int64")
    output = TensorSpec(kind, (-1, n, *actions.event))
    params = [ParamSpec(DETERMINISTIC, "boolean", True)]
    if actor.get("recurrent", "none") != "none":
        params.append(ParamSpec(RESET, "boolean", False))
    return ModelSignature(
        inputs=Schema(inputs), outputs=Schema([output]), params=ParamSchema(params)
    )
