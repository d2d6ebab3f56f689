"""The command `traffic`: its page, its numbers, its files, and what it refuses."""

from xml.etree import ElementTree

import pytest
import torch
from mlflow.tracking import MlflowClient

from ilvf.checkpoints.files import read_checkpoint
from ilvf.checkpoints.policy import load_policy
from ilvf.commands import traffic
from ilvf.data.evaluation import EVALUATION_SEED, evaluate
from ilvf.experiment.build import load_trained
from ilvf.modules.actors.tempered import tempered

SOFT = ("seed=4", "algorithm.discretise=soft", "algorithm.diagonal=false")  # Ŵ is w
ALL_TRIPS = "--tripinfo-output.write-unfinished true --tripinfo-output.write-undeparted true"
COLUMNS = {  # of the table: its first ones, metric → format
    "return/team": ".0f",
    "episode/queue": ".2f",
    "episode/link_queue": ".2f",
    "episode/speed": ".2f",
}


def last_checkpoint(run):
    return run / "checkpoints" / "last.ckpt"


def table_row(metrics):
    """The row of the report's table that the metrics of `evaluate` give."""
    return " | ".join(format(metrics[name], style) for name, style in COLUMNS.items())


def assert_agree(policy, metrics):
    """The stored steps of a policy add up to the metrics of its episodes."""
    queue = metrics["episode/queue"]
    assert policy["queues"].shape[:2] == policy["speed"].shape == (2, 24)
    assert policy["queues"].mean().item() == pytest.approx(queue, rel=1e-5)
    assert policy["queue"].mean().item() == pytest.approx(queue, rel=1e-5)
    team_return = policy["reward"].sum((1, 2)).mean().item()
    assert team_return == pytest.approx(metrics["return/team"], rel=1e-5)


def assert_in_mlflow(run, policies):
    """The page and the queues of each policy are stored with the run."""
    client = MlflowClient(f"sqlite:///{run.parent / 'mlflow.db'}")
    run_id = read_checkpoint(last_checkpoint(run))["ilvf"]["run"]
    files = [file.path for file in client.list_artifacts(run_id, "traffic")]
    assert "traffic/report.md" in files
    metrics = client.get_run(run_id).data.metrics
    for name, policy in policies.items():
        queue = policy["queue"].mean().item()
        assert metrics[f"traffic/{name}/queue"] == pytest.approx(queue, rel=1e-5)


@pytest.mark.slow
def test_page_pictures_and_numbers(trained, town, recipe, capsys):
    run = trained("ilvf_p", *SOFT)
    capsys.readouterr()
    options = ("traffic.against=fixed_cycle,random", "env.seconds=120")
    assert recipe("traffic", f"checkpoint={run}", *options) == 0
    page = capsys.readouterr().out
    for words in ("seconds=120", "2 episodes, 2 minutes", "most likely", "w 0.", "Ŵ 0."):
        assert words in page
    files = {"report.md", "traffic.pt", "episode.png", "map.png", "influence.png", "queues.gif"}
    assert {path.name for path in (run / "traffic").iterdir()} == files

    found = torch.load(run / "traffic" / "traffic.pt", weights_only=True)
    assert list(found["policies"]) == ["learned", "learned_sampled", "fixed_cycle", "random"]
    actions = {"learned": "learned, most likely actions", "fixed_cycle": "fixed cycle"}
    assert "| learned, sampled" in page
    assert "plays twice" in page
    rows = page.replace("**", "").replace(" †", "")
    env = town(seconds=120, link_queue=True)
    learned = load_policy(last_checkpoint(run)).actor
    for name, actor in {"learned": learned, "fixed_cycle": env.rules["fixed_cycle"]()}.items():
        env.set_seed(EVALUATION_SEED + 4)
        metrics, _ = evaluate(env, actor, max_steps=24)
        assert f"| {actions[name]} | {table_row(metrics)} |" in rows
        assert_agree(found["policies"][name], metrics)
    assert found["lanes"] == list(env.network.lanes)
    assert torch.allclose(found["influence"]["weight"], found["influence"]["influence"])
    assert_in_mlflow(run, found["policies"])


@pytest.mark.slow
def test_trips_of_every_policy(trained, recipe, tmp_path):
    """Each has its files. The time of a trip in the table is at most half a second below SUMO's,
    which counts unfinished trips in whole seconds.
    """
    run = trained("mappo")
    options = (
        "traffic.against=fixed_cycle,greedy",
        "traffic.animation=false",
        "traffic.deterministic=true",
        "env.seconds=200",
        f"env.tripinfo={tmp_path}",
        f"env.options='{ALL_TRIPS}'",
    )
    assert recipe("traffic", f"checkpoint={run}", *options) == 0
    found = torch.load(run / "traffic" / "traffic.pt", weights_only=True)["policies"]
    assert {folder.name for folder in tmp_path.iterdir()} == set(found)
    for name, record in found.items():
        files = sorted((tmp_path / name).iterdir(), key=lambda file: len(file.name))
        times = torch.tensor([mean_trip(file) for file in files])
        missing = times - record["episode"]["trip_time"]
        assert ((missing >= 0) & (missing <= 0.5)).all()
        assert times.min() > 20


def mean_trip(file):
    """Mean time [s] from when a vehicle is to enter until its arrival, or the end, of SUMO."""
    trips = ElementTree.parse(file).getroot().findall("tripinfo")
    assert len(trips) > 20
    return sum(float(t.get("duration")) + float(t.get("departDelay")) for t in trips) / len(trips)


def loaded(run, town):
    """The algorithm of a run, and one copy of its environment for 50 s."""
    content = read_checkpoint(last_checkpoint(run))
    config = {**content["ilvf"]["config"]["env"], "seconds": 50.0}
    return load_trained(run, content, config), town(num_envs=1, seconds=50.0)


@pytest.mark.slow
def test_a_sampled_policy_without_learned_influence(trained, town, recipe, capsys):
    run = trained("mappo")
    capsys.readouterr()
    options = (
        "traffic.episodes=1",
        "traffic.animation=false",
        "traffic.deterministic=false",
        "traffic.temperature=0.5",
        "traffic.against=greedy",
        "env.seconds=50",
    )
    assert recipe("traffic", f"checkpoint={run}", *options) == 0
    page = capsys.readouterr().out
    for words in (
        "has learned none",
        "1 episode, ",
        "policy samples its actions",
        "at temperature 0.5",
        "| greedy |",
    ):
        assert words in page
    assert "most likely" not in page
    assert not (run / "traffic" / "influence.png").exists()
    assert not (run / "traffic" / "queues.gif").exists()
    assert (run / "traffic" / "map.png").stat().st_size > 10_000
    found = torch.load(run / "traffic" / "traffic.pt", weights_only=True)["policies"]["learned"]
    module, env = loaded(run, town)
    actor = tempered(module.loss.actor, 0.5)
    rewards = {}
    for deterministic in (False, True):
        rollout = traffic.play(env, actor, seed=0, deterministic=deterministic)
        rewards[deterministic] = rollout["next", "agents", "reward"][..., 0]
    assert torch.equal(found["reward"], rewards[False])
    assert not torch.equal(found["reward"], rewards[True])


@pytest.mark.slow
def test_rows_of_the_influence_are_acting_signals(trained, town, random_play):
    """Whatever the orientation of w."""
    module, env = loaded(trained("ilvf_p", *SOFT), town)
    rollout = random_play(env)
    plain = traffic.mean_influence(module, rollout)
    module.advantage.source.orientation = "attention"
    turned = traffic.mean_influence(module, rollout)
    assert torch.allclose(plain["weight"], plain["influence"])
    assert torch.allclose(turned["weight"], turned["influence"])
    assert torch.allclose(turned["weight"], plain["weight"].T)
    assert not torch.allclose(plain["weight"], plain["weight"].T, atol=1e-3)


@pytest.mark.slow
def test_bad_arguments(trained, recipe, tmp_path, capsys):
    run = trained("mappo")
    content = read_checkpoint(last_checkpoint(run))
    content["ilvf"]["config"]["env"] = {"name": "encircle", "n_agents": 4, "horizon": 10}
    torch.save(content, tmp_path / "encircle.ckpt")
    on_town = f"checkpoint={run}"
    refusals = {
        (f"checkpoint={tmp_path / 'encircle.ckpt'}",): ("encircle", "no roads", "large_grid"),
        (on_town, "traffic.against=greedy,slow"): (
            "'slow'",
            "random",
            "fixed_cycle",
            "max_pressure",
        ),
        (on_town, "traffic.episodes=0"): ("traffic.episodes=0",),
        (on_town, "traffic.arrows=0"): ("traffic.arrows=0",),
        (on_town, "traffic.deterministic=true", "traffic.temperature=0.5"): (
            "temperature=0.5 is for sampled actions",
            "deterministic=false",
        ),
        (on_town, "env.per=lane"): ("does not fit",),
        (): ("checkpoint=PATH",),
    }
    for arguments, words in refusals.items():
        capsys.readouterr()
        assert recipe("traffic", *arguments) == 2
        error = capsys.readouterr().err
        assert all(word in error for word in words), error
