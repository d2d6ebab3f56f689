"""Episodes as GIFs: which steps they show, and where runs and evaluations leave them."""

import itertools

import pytest
from mlflow.tracking import MlflowClient
from PIL import Image

from helpers import TINY
from ilvf.checkpoints.files import read_checkpoint
from ilvf.envs.animation import MOST_FRAMES, frame_steps
from run_helpers import only_run


@pytest.mark.parametrize("last", [0, 1, 58, 59, 60, 719])
def test_the_first_and_the_last_step_are_shown(last):
    steps = frame_steps(last)
    assert (steps[0], steps[-1]) == (0, last)
    assert len(steps) == len(set(steps)) == min(last + 1, MOST_FRAMES)
    gaps = [after - before for before, after in itertools.pairwise(steps)]
    assert max(gaps, default=0) - min(gaps, default=0) <= 1


def artifacts(run, folder):
    """Names of the files in a folder of the MLflow run."""
    client = MlflowClient(f"sqlite:///{run.parent / 'mlflow.db'}")
    run_id = read_checkpoint(run / "checkpoints" / "last.ckpt")["ilvf"]["run"]
    return {file.path.rpartition("/")[2] for file in client.list_artifacts(run_id, folder)}


def test_a_run_and_its_evaluation_leave_an_animation_there_and_in_mlflow(out, recipe, capsys):
    with_animation = [argument for argument in TINY if "animation" not in argument]
    assert recipe("mappo", *with_animation, f"out={out}") == 0
    run = only_run(out)
    assert "episode-00000080.gif" in artifacts(run, "pictures")
    with Image.open(run / "pictures" / "episode-00000080.gif") as shown:
        assert shown.n_frames == 11
    capsys.readouterr()
    assert recipe("evaluate", f"checkpoint={run}", "animation=false") == 0
    assert artifacts(run, "evaluation") == {"best-episode.png"}
    assert ".gif" not in capsys.readouterr().out
    assert recipe("evaluate", f"checkpoint={run}") == 0
    assert artifacts(run, "evaluation") == {"best-episode.png", "best-episode.gif"}
    assert "best-episode.gif" in capsys.readouterr().out
    with Image.open(run / "checkpoints" / "best-episode.gif") as shown:
        assert shown.n_frames == 11


def test_an_evaluation_makes_no_store(out, recipe, capsys):
    """Of a checkpoint that lies elsewhere."""
    assert recipe("mappo", *TINY, f"out={out}") == 0
    assert not list(only_run(out).rglob("*.gif"))
    elsewhere = out / "elsewhere" / "copy"
    elsewhere.mkdir(parents=True)
    (only_run(out) / "checkpoints" / "best.ckpt").rename(elsewhere / "best.ckpt")
    capsys.readouterr()
    assert recipe("evaluate", f"checkpoint={elsewhere / 'best.ckpt'}") == 0
    assert {file.name for file in elsewhere.iterdir()} == {
        "best.ckpt",
        "best-episode.png",
        "best-episode.gif",
    }
    assert not (out / "elsewhere" / "mlflow.db").exists()
    assert "MLflow" not in capsys.readouterr().out


def test_an_evaluation_goes_on_without_its_store(out, recipe, monkeypatch, capsys):
    assert recipe("mappo", *TINY, f"out={out}") == 0
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    capsys.readouterr()
    assert recipe("evaluate", f"checkpoint={only_run(out)}", "animation=false") == 0
    page = capsys.readouterr().out
    assert "reward/agent_step" in page
    assert "note: the run" in page
