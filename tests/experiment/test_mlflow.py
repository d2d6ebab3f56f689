"""What a user meets in MLflow: descriptions, tags, parents of seeds, policies, measurements."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request

import mlflow
import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from mlflow import MlflowClient
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor

import ilvf
from helpers import ROOT, TINY
from ilvf.commands.train import train_algorithm
from ilvf.envs import Encircle
from ilvf.experiment.build import saved_form
from ilvf.experiment.config import resolve
from ilvf.experiment.ending import how_to_open
from ilvf.experiment.facts import processor
from ilvf.experiment.options import training_schema
from run_helpers import (
    PATIENCE,
    folder_with_store,
    mlflow_client,
    mlflow_runs,
    only_mlflow_run,
    only_run,
)

OPTIONS = (*TINY, "env.n_obstacles=1", "algorithm.tau=0.5", "seed=3")
DOCS = ROOT / "docs" / "guides" / "seeds_and_comparing.md"


@pytest.fixture(scope="module")
def done(tmp_path_factory, store):
    """The folder of one run of ILVF-P, which the tests below read."""
    out = folder_with_store(tmp_path_factory.mktemp("mlflow") / "runs", store)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.delenv("ILVF_RUN_DIR", raising=False)
        train_algorithm("ilvf_p", arguments=[*OPTIONS, f"out={out}"])
        patch.delenv("ILVF_RUN_DIR", raising=False)
    return out


# ---------------------------------------------------------------------- one run
def test_metrics_are_grouped_and_drawn_against_frames(done):
    run = only_mlflow_run(done)
    names = set(run.data.metrics) - {"frames"}
    assert {"return/team", "eval/return/team", "ppo/kl"} <= names
    assert all(re.fullmatch(r"[a-z_]+(/[a-z_]+)+", name) for name in names)
    for name in names:
        history = mlflow_client(done).get_metric_history(run.info.run_id, name)
        assert {point.step for point in history} <= {40, 80}, name


def test_the_description_says_what_the_run_is(done):
    run = only_mlflow_run(done)
    text = run.data.tags["mlflow.note.content"]
    heading = "**ILVF-P** on **encircle** (n_agents=4, n_obstacles=1, horizon=10), seed 3, 80 "
    assert text.startswith(heading)
    assert "eqs. 7-11 of the paper, docs/concepts/credit.md" in text
    assert f"resume={only_run(done)}`" in text


def test_the_command_of_the_description_repeats_the_run(done):
    text = only_mlflow_run(done).data.tags["mlflow.note.content"]
    command = re.search(r"Repeat: `(.*)`", text)[1]
    program, what, name, *arguments = shlex.split(command)
    assert (program, what) == ("ilvf", "train")
    repeated = saved_form(resolve(training_schema(name), arguments))
    first = torch.load(only_run(done) / "checkpoints" / "last.ckpt", weights_only=True)
    expected = first["ilvf"]["config"]
    expected["out"] = repeated["out"]
    for key in ("progress", "pictures", "animation"):  # presentation, which the command leaves out
        expected["trainer"][key] = repeated["trainer"][key]
    assert repeated == expected


def test_the_filters_of_the_guide_find_the_run(done):
    filters = re.findall(r'^ +filter_string="(.*)",$', DOCS.read_text(), re.MULTILINE)
    assert len(filters) == 2
    client = mlflow_client(done)
    experiment = client.get_experiment_by_name("encircle").experiment_id
    run = only_mlflow_run(done).info.run_id
    for text in filters:
        assert [r.info.run_id for r in client.search_runs([experiment], text)] == [run]
        other = text.replace("ILVF-P", "MAPPO")
        assert other != text
        assert not client.search_runs([experiment], other)


def test_runs_are_found_by_their_environment(done):
    run = only_mlflow_run(done)
    assert run.data.tags["env"] == run.data.tags["task"] == "encircle"
    (used,) = run.inputs.dataset_inputs
    assert used.dataset.name == "encircle"
    assert '"n_obstacles": 1' in used.dataset.source
    client = mlflow_client(done)
    for digest, number in ((used.dataset.digest, 1), ("0" * 8, 0)):
        found = client.search_runs([run.info.experiment_id], f"dataset.digest = '{digest}'")
        assert len(found) == number


def test_a_saved_view_has_the_rewards_first_and_a_curve_for_each_setting(done):
    run = only_mlflow_run(done)
    experiment = mlflow_client(done).get_experiment(run.info.experiment_id)
    view = json.loads(experiment.tags["mlflow.sharedViewState.rewards"])
    state = json.loads(view["state"])
    groups = [section["name"] for section in state["compareRunSections"]]
    assert groups == ["eval/return", "eval/reward", "return", "reward"]
    assert set(groups) <= {name.rpartition("/")[0] for name in run.data.metrics}
    (by,) = state["groupBy"]["groupByKeys"]
    assert f"{run.data.tags[by['groupByData']]} · s3" == run.info.run_name


# ---------------------------------------------------------------------- the server
@pytest.fixture
def served(done, tmp_path):
    """(address, processes) of what the command serves that the program prints, until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = how_to_open(f"sqlite:///{done / 'mlflow.db'}").removeprefix("open it by")
    server = subprocess.Popen(
        ["bash", "-c", f"exec env {said} --port {port}"], cwd=tmp_path, start_new_session=True
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/health", server)
        yield address, psutil.Process(server.pid).children(recursive=True)
    finally:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def wait_for(address, server):
    """Wait until a server answers."""
    end = time.monotonic() + PATIENCE
    while server.poll() is None and time.monotonic() < end:
        try:
            urllib.request.urlopen(address).close()
            return
        except urllib.error.URLError:
            time.sleep(0.2)
    pytest.fail(f"{address} does not answer")


@pytest.mark.slow
def test_the_printed_command_serves_the_run_by_few_processes(served):
    address, processes = served
    client = MlflowClient(address)
    experiment = client.get_experiment_by_name("encircle").experiment_id
    (run,) = client.search_runs([experiment])
    what = "ILVF-P · encircle n=4 · n_obstacles=1 · horizon=10 · τ=0.5 · epochs=2"
    assert run.info.run_name == f"{what} · … · s3"
    assert run.data.tags["hardware.cpu"] == processor()
    assert len(processes) == 1


# ---------------------------------------------------------------------- policies
@pytest.fixture
def loaded(done):
    """The policy of the run, as MLflow loads it."""
    mlflow.set_tracking_uri(f"sqlite:///{done / 'mlflow.db'}")
    yield mlflow.pyfunc.load_model(f"runs:/{only_mlflow_run(done).info.run_id}/policy")
    mlflow.set_tracking_uri(None)


def observations(number):
    env = Encircle(4, n_obstacles=1, num_envs=number, seed=0)
    return env.reset()["agents", "observation"]


def test_mlflow_loads_a_policy_that_acts(done, loaded):
    """Arrays, mappings and tables give the actions of `load_policy`."""
    x = observations(5)
    expected = ilvf.load_policy(only_run(done) / "checkpoints" / "best.ckpt")(x).numpy()
    assert expected.shape == (5, 4)
    rows = pd.DataFrame({"observation": [row.flatten().tolist() for row in x]})
    for data in (x.numpy(), {"observation": x.numpy()}, rows):
        assert np.array_equal(loaded.predict(data), expected)


def test_a_policy_of_mlflow_samples_on_demand(loaded):
    x = observations(1).expand(200, -1, -1).numpy()
    assert len(np.unique(loaded.predict(x), axis=0)) == 1
    samples = loaded.predict(x, params={"deterministic": False})
    assert len(np.unique(samples)) == 5


def test_a_policy_of_mlflow_refuses_other_shapes(loaded):
    with pytest.raises(mlflow.MlflowException, match=r"\(-1, 4, "):
        loaded.predict(np.zeros((2, 3, 7), np.float32))


def test_a_policy_with_action_masks_needs_them(out, recipe, monkeypatch):
    task = ("env=pettingzoo", "env.task=zoo", "env.kwargs.names=[bob]", "env.kwargs.mask_in=info")
    small = [argument for argument in TINY if not argument.startswith("env.")]
    assert recipe("mappo", *small, *task, f"out={out}") == 0
    (folder,) = (out / "artifacts" / "models").iterdir()
    model = mlflow.pyfunc.load_model(str(folder / "artifacts"))
    (x, mask) = (spec.shape[1:] for spec in model.metadata.get_input_schema())
    data = {"observation": np.zeros((3, *x), np.float32)}
    for action in range(mask[-1]):
        possible = np.zeros((3, *mask), bool)
        possible[..., action] = True
        assert (model.predict({**data, "action_mask": possible}) == action).all()
    with pytest.raises(mlflow.MlflowException, match="action_mask"):
        model.predict(data)


def test_the_files_of_a_policy_have_no_code(done):
    (folder,) = (done / "artifacts" / "models").iterdir()
    files = {str(p.relative_to(folder / "artifacts")) for p in folder.rglob("*") if p.is_file()}
    assert files == {"MLmodel", "requirements.txt", "data/best.ckpt"}
    text = (folder / "artifacts" / "MLmodel").read_text()
    assert "loader_module: ilvf.experiment.pyfunc" in text
    assert not re.search(r"python_model|model_code_path|code: [^n]", text)


# ---------------------------------------------------------------------- a parent
def test_a_run_that_goes_back_stays_below_its_parent(out, recipe, monkeypatch):
    """It goes on in a new MLflow run, which is found by the same tags."""
    client = mlflow_client(out)
    assert recipe("mappo", *TINY, f"out={out}", "algorithm.eval_every=1") == 0
    old = only_mlflow_run(out).info.run_id
    parent = client.create_run(only_mlflow_run(out).info.experiment_id).info.run_id
    client.set_tag(old, "mlflow.parentRunId", parent)
    run = only_run(out)
    early = run / "checkpoints" / "early.ckpt"
    (run / "checkpoints" / "last.ckpt").rename(early)
    again = (f"out={out}", "trainer.max_epochs=4")
    assert recipe("mappo", f"resume={early}", *again) == 0
    assert recipe("mappo", f"resume={early}", *again, "algorithm.lr=0.1") == 0
    tags = [r.data.tags for r in mlflow_runs(out) if r.data.tags.get("resume.run") == old]
    assert [t["mlflow.parentRunId"] for t in tags] == [parent]


# ---------------------------------------------------------------------- measurements
@pytest.mark.parametrize("number", [None, signal.SIGINT])
def test_the_machine_is_measured_until_the_run_ends(number, out, recipe, monkeypatch):
    """The third and last iteration waits for a measurement; then a signal may come."""
    measured = threading.Event()
    publish = SystemMetricsMonitor.publish_metrics
    reward = Encircle.reward
    calls = []

    def note(monitor, metrics):
        publish(monitor, metrics)
        measured.set()

    def waiting_reward(env, world):
        calls.append(1)
        if len(calls) == 25:  # 10 steps an iteration
            assert measured.wait(PATIENCE)
            if number is not None:
                signal.raise_signal(number)
        return reward(env, world)

    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    monkeypatch.setattr(SystemMetricsMonitor, "publish_metrics", note)
    monkeypatch.setattr(Encircle, "reward", waiting_reward)
    options = ("trainer.system_metrics=true", "trainer.max_epochs=3", "algorithm.eval_every=100")
    expected = 0 if number is None else 128 + number
    assert recipe("mappo", *TINY, *options, f"out={out}") == expected
    assert "SystemMetricsMonitor" not in {thread.name for thread in threading.enumerate()}
    run = only_mlflow_run(out)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["system/cpu_utilization_percentage"] >= 0


def test_the_machine_is_not_measured_by_default(done):
    assert not [name for name in only_mlflow_run(done).data.metrics if "system" in name]
