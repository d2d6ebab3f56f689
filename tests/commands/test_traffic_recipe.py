"""Trained signals beside baselines: queues at their steps, the same episodes for all, numbers of page and pictures."""

import os
import shutil
import signal
from contextlib import closing

import numpy as np
import pytest
import torch
from mlflow.tracking import MlflowClient

from helpers import TINY
from ilvf.checkpoints.files import read_checkpoint
from ilvf.checkpoints.policy import load_policy
from ilvf.commands import traffic
from ilvf.data.evaluation import EVALUATION_SEED, evaluate
from ilvf.envs import make_env
from ilvf.envs.traffic import Traffic, read_network
from ilvf.experiment.build import load_trained
from ilvf.modules import RandomActor
from ilvf.reports import traffic as traffic_report
from traffic_nets import irregular

OPTIONS = (
    *(o for o in TINY if not o.startswith("env.")),
    *(
        "trainer.max_epochs=1",
        "algorithm.num_envs=1",
        "algorithm.eval_every=9",
        "algorithm.eval_episodes=1",
    ),
)
SOFT = ("algorithm.discretise=soft", "algorithm.diagonal=false")  # Ŵ is w
STATISTICS = ("queue", "speed", "travel_time", "throughput", "backlog", "teleports")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Net and routes of a town with seven signals and streets of one to three lanes."""
    import sumolib

    folder = tmp_path_factory.mktemp("town")
    net, routes = irregular(folder, iterations=16, seed=5), folder / "town.rou.xml"
    edges = sorted(e.getID() for e in sumolib.net.readNet(str(net)).getEdges())
    rng = np.random.default_rng(0)
    ends = [rng.choice(edges, 2, replace=False) for _ in range(20)]
    flow = '<flow id="{}" from="{}" to="{}" begin="0" end="600" vehsPerHour="900" departPos="random_free"/>'
    routes.write_text(
        "<routes>" + "".join(flow.format(k, *pair) for k, pair in enumerate(ends)) + "</routes>"
    )
    return {"net_file": str(net), "routes": str(routes)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory, store):
    """A folder for the runs of all tests, its store ready, and which there are."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copy(store, folder / "mlflow.db")
    return folder, {}


@pytest.fixture
def trained(files, recipe, runs, monkeypatch):
    """trained("mappo", ...) is the folder of a run of one iteration, on the town unless told otherwise."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    out, known = runs
    on_town = ("env=sumo", *(f"env.{k}={v}" for k, v in files.items()), "env.seconds=100", *OPTIONS)

    def train(*args):
        if args not in known:
            before = set(out.iterdir())
            assert recipe(args[0], *on_town, *args[1:], f"out={out}") == 0
            (known[args],) = (
                p for p in set(out.iterdir()) - before if (p / "checkpoints").exists()
            )
        return known[args]

    return train


def town(files, **options):
    return make_env("sumo", **files, **{"num_envs": 2, "seconds": 100, **options})


def random_play(env):
    return traffic.play(
        env, RandomActor(env.n_actions, masked=env.masked), seed=0, deterministic=True
    )


# ---------------------------------------------------------------------- queues
@pytest.mark.parametrize("per", ["lane", "link"])
def test_queues_are_those_that_signals_pay_for(files, per):
    """−r_i = Σ of the halting vehicles on the signal's lanes or links, in every step, the last one too."""
    with closing(town(files, per=per)) as env:
        rollout = random_play(env)
        for i, one in enumerate(env.network.signals):
            lanes = one.lanes if per == "lane" else one.link_lanes
            places = [env.network.lanes.index(lane) for lane in lanes]
            paid = -rollout["next", "agents", "reward"][..., i, 0]
            assert torch.equal(rollout["next", "queues"][..., places].sum(-1), paid)
    assert rollout["next", "done"].flatten(1).nonzero().tolist() == [[0, 19], [1, 19]]
    assert (rollout["next", "queues"][:, -1].sum(-1) > 0).all()
    assert not torch.equal(*rollout["next", "queues"])


def test_queues_on_detectors():
    """Rewards are made of what the detectors count."""
    with closing(make_env("large_grid", seconds=150, seed=0)) as env:
        rollout = traffic.play(env, env.rules["fixed_cycle"](), seed=0, deterministic=True)
        places = [
            [env.network.lanes.index(lane) for lane in s.link_lanes] for s in env.network.signals
        ]
    paid = torch.stack([rollout["next", "queues"][..., k].sum(-1) for k in places], -1)
    assert torch.equal(paid, -rollout["next", "agents", "reward"].squeeze(-1))
    assert paid.sum() > 100


def test_queues_are_not_read_in_workers(files, refused):
    network = read_network(files["net_file"])
    with (
        closing(Traffic(network, files["routes"], num_envs=2, seconds=50, workers=2)) as env,
        refused("workers=0"),
    ):
        env.queues()


def test_the_episodes_of_evaluate(files):
    """All policies have those of `evaluate`, whatever was played before."""
    with closing(town(files)) as env:
        random_play(env)
        rollout = traffic.play(env, env.rules["greedy"](), seed=3, deterministic=True)
    with closing(town(files, seed=EVALUATION_SEED + 3)) as env:
        _, expected = evaluate(env, env.rules["greedy"](), max_steps=env.horizon)
    assert torch.equal(rollout["next", "agents", "reward"], expected["next", "agents", "reward"])
    assert torch.equal(rollout["agents", "action"], expected["agents", "action"])


def test_an_interrupted_episode_counts_for_nobody(files, refused):
    with closing(town(files)) as env:
        whole = random_play(env)
        greedy = env.rules["greedy"]()

        def fatal(td):
            if (td["episode", "length"] == 3).all():
                os.kill(env.copies.envs[1].simulation.pid, signal.SIGKILL)
            return greedy(td)

        with pytest.warns(UserWarning, match="SIGKILL"):
            broken = traffic.play(env, fatal, seed=0, deterministic=True)
    assert broken["next", "done"][1].flatten().tolist() == [False] * 3 + [True] * 17
    assert traffic.uninterrupted({"a": whole, "b": broken}).tolist() == [True, False]
    assert traffic.uninterrupted({"a": whole}).tolist() == [True, True]
    with refused("every episode was interrupted"):
        traffic.uninterrupted({"a": whole[1:], "b": broken[1:]})


# ---------------------------------------------------------------------- the recipe
def test_page_pictures_and_numbers(trained, recipe, files, capsys):
    folder = trained("ilvf_p", "seed=4", *SOFT)
    assert (
        recipe(
            "traffic",
            f"checkpoint={folder}",
            "traffic.against=fixed_cycle,random",
            "env.seconds=120",
        )
        == 0
    )
    page = capsys.readouterr().out
    found = torch.load(folder / "traffic" / "traffic.pt", weights_only=True)
    assert list(found["policies"]) == ["learned", "fixed_cycle", "random"]
    with closing(town(files, seconds=120)) as env:
        learned = load_policy(folder / "checkpoints" / "last.ckpt").actor
        for name, actor in {"learned": learned, "fixed cycle": env.rules["fixed_cycle"]()}.items():
            env.set_seed(EVALUATION_SEED + 4)
            expected, _ = evaluate(env, actor, max_steps=24)
            assert f"| {name} | {' | '.join(row(expected))} |" in page
            agrees(found["policies"][name.replace(" ", "_")], expected)
        assert found["lanes"] == list(env.network.lanes)
    assert all(
        text in page
        for text in ("seconds=120", "2 episodes, 2 minutes", "most likely", "w 0.", "Ŵ 0.")
    )
    pictures = {"episode.png", "map.png", "influence.png"}
    assert {p.name for p in (folder / "traffic").iterdir()} == {
        "report.md",
        "traffic.pt",
        *pictures,
    }
    assert torch.allclose(found["influence"]["weight"], found["influence"]["influence"])
    stored(folder, found)


def row(metrics):
    """Of the report's table, from what `evaluate` says."""
    numbers = [metrics["return/team"], *(metrics[f"episode/{k}"] for k in STATISTICS)]
    return [
        f"{n:{style}}"
        for n, style in zip(numbers, (".0f", ".2f", ".2f", ".0f", ".0f", ".0f", ".1f"), strict=True)
    ]


def agrees(policy, expected):
    """Steps add up to the episodes' statistics."""
    assert policy["queues"].shape[:2] == policy["speed"].shape == (2, 24)
    assert policy["queues"].mean().item() == pytest.approx(expected["episode/queue"], rel=1e-5)
    assert policy["queue"].mean().item() == pytest.approx(expected["episode/queue"], rel=1e-5)
    assert policy["reward"].sum((1, 2)).mean().item() == pytest.approx(
        expected["return/team"], rel=1e-5
    )


def stored(folder, found):
    """With the run in MLflow: page and metrics."""
    run = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["ilvf"]["run"]
    client = MlflowClient(f"sqlite:///{folder.parent / 'mlflow.db'}")
    assert "traffic/report.md" in [file.path for file in client.list_artifacts(run, "traffic")]
    metrics = client.get_run(run).data.metrics
    for name, policy in found["policies"].items():
        assert metrics[f"traffic/{name}/queue"] == pytest.approx(
            policy["queue"].mean().item(), rel=1e-5
        )


def test_without_learned_influence_and_sampled(trained, recipe, capsys):
    folder = trained("mappo")
    options = (
        "traffic.episodes=1",
        "traffic.deterministic=false",
        "traffic.against=greedy",
        "env.seconds=50",
    )
    assert recipe("traffic", f"checkpoint={folder}", *options) == 0
    page = capsys.readouterr().out
    assert all(
        text in page
        for text in ("has learned none", "1 episode, ", "the learned one samples", "| greedy |")
    )
    assert not (folder / "traffic" / "influence.png").exists()
    assert (folder / "traffic" / "map.png").stat().st_size > 10_000
    found = torch.load(folder / "traffic" / "traffic.pt", weights_only=True)["policies"]["learned"]
    module, env = loaded(folder)
    with closing(env):
        sampled, greedy = (
            traffic.play(env, module.loss.actor, seed=0, deterministic=d) for d in (False, True)
        )
    assert torch.equal(found["reward"], sampled["next", "agents", "reward"][..., 0])
    assert not torch.equal(found["reward"], greedy["next", "agents", "reward"][..., 0])


def loaded(folder):
    """The algorithm of a run, and one copy of its environment for 50 s."""
    content = read_checkpoint(folder / "checkpoints" / "last.ckpt")
    env = {**content["ilvf"]["config"]["env"], "seconds": 50.0}
    return load_trained(folder, content, env), make_env(num_envs=1, **env)


def test_rows_of_the_influence_are_acting_signals(trained):
    """Ŵ has them whatever the orientation of w."""
    module, env = loaded(trained("ilvf_p", "seed=4", *SOFT))
    with closing(env):
        rollout = random_play(env)
    plain = traffic.mean_influence(module, rollout)
    module.advantage.source.orientation = "attention"
    turned = traffic.mean_influence(module, rollout)
    assert torch.allclose(plain["weight"], plain["influence"])
    assert torch.allclose(turned["weight"], turned["influence"])
    assert torch.allclose(turned["weight"], plain["weight"].T)
    assert not torch.allclose(plain["weight"], plain["weight"].T, atol=1e-3)


def test_mistakes(trained, recipe, runs, capsys):
    folder, other = trained("mappo"), runs[0] / "other.ckpt"
    content = read_checkpoint(folder / "checkpoints" / "last.ckpt")
    content["ilvf"]["config"]["env"] = {"name": "encircle", "n_agents": 4, "horizon": 10}
    torch.save(content, other)
    for arguments, words in (
        ((f"checkpoint={other}",), ("encircle", "no roads", "large_grid")),
        (
            (f"checkpoint={folder}", "traffic.against=greedy,slow"),
            ("'slow'", "random", "fixed_cycle", "max_pressure"),
        ),
        ((f"checkpoint={folder}", "traffic.episodes=0"), ("traffic.episodes=0",)),
        ((f"checkpoint={folder}", "traffic.arrows=0"), ("traffic.arrows=0",)),
        ((f"checkpoint={folder}", "env.per=lane"), ("does not fit",)),
        ((), ("checkpoint=PATH",)),
    ):
        capsys.readouterr()
        assert recipe("traffic", *arguments) == 2
        error = capsys.readouterr().err
        assert all(w in error for w in words), error


# ---------------------------------------------------------------------- pictures
def made_up(queue):
    """A policy whose two episodes of three steps have these vehicles on two lanes, and half of them the next time."""
    queues = torch.tensor(queue).expand(3, 2).clone()
    queues = torch.stack([queues, queues / 2])
    return {
        "queues": queues,
        "queue": queues.mean(-1),
        "speed": torch.tensor([[5.0, torch.nan, 3.0]] * 2),
    }


def test_lines_over_the_episode():
    played = {"learned": made_up([4.0, 0.0]), "fixed_cycle": made_up([8.0, 8.0])}
    figure = traffic_report.draw_episodes(played, interval=20.0)
    above, below = figure.axes
    mean, first, second = (line.get_ydata() for line in above.lines[:3])
    assert above.lines[0].get_xdata().tolist() == pytest.approx([1 / 3, 2 / 3, 1])  # minutes
    assert (mean[0], first[0], second[0]) == (1.5, 2.0, 1.0)  # of (4 + 0) / 2 and (2 + 0) / 2
    assert above.lines[3].get_ydata()[0] == 6.0  # of 8 and 4
    assert np.isnan(below.lines[0].get_ydata()).tolist() == [
        False,
        True,
        False,
    ]  # nobody on the roads
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["learned", "fixed cycle"]


def test_maps(files):
    network = read_network(files["net_file"])
    n, m = len(network.signals), len(network.lanes)
    played = {
        name: made_up([1.0, 1.0]) | {"queues": torch.full((2, 3, m), q)}
        for name, q in LEVELS.items()
    }
    figure = traffic_report.map_queues(network, played, interval=20.0)
    titles = [axes.get_title() for axes in figure.axes[:2]]
    assert titles == [
        f"learned: {2 * m} vehicles halting",
        f"fixed cycle: {4 * m} vehicles halting",
    ]
    assert figure.get_suptitle() == "Mean over 2 episodes of 1 minutes"
    weight = torch.zeros(n, n)
    weight[0, 3], weight[2, 1] = 0.9, 0.01
    axes = traffic_report.map_influence(network, weight, 1).axes[0]
    assert [a.xy for a in axes.texts] == [network.signals[k].position for k in (1, 3)]
    assert [a.xyann for a in axes.texts] == [network.signals[k].position for k in (2, 0)]
    assert f"the 2 heaviest of {n * (n - 1)}" in axes.get_title()
    many = traffic_report.map_influence(network, torch.rand(n, n), 2).axes[0]
    assert len(many.texts) == 2 * n


LEVELS = {"learned": 2.0, "fixed_cycle": 4.0, "random": 9.0}  # only two are drawn
