"""Traffic through the recipes: every algorithm, the preset, and runs whose simulators, workers or files fail."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings

import psutil
import pytest
import torch
from mlflow.tracking import MlflowClient

from helpers import ROOT, TINY
from ilvf.data.evaluation import EVALUATION_SEED, evaluate
from ilvf.envs import make_env
from ilvf.envs.pettingzoo.copies import APART
from ilvf.envs.pettingzoo.workers import WorkerCopies
from ilvf.envs.traffic import SumoTrafficEnv
from ilvf.envs.traffic.batched import crowded
from ilvf.envs.traffic.env import NEXT
from ilvf.modules import RandomActor
from traffic_nets import irregular, like_monaco, tiny

SMALL = (
    *(a for a in TINY if not a.startswith("env.")),
    "algorithm.num_envs=2",
    "algorithm.eval_episodes=2",
)
KINDS = {
    "on_policy": SMALL,
    "off_policy": (
        *(a for a in SMALL if a.split("=")[0] not in ("algorithm.epochs", "algorithm.minibatches")),
        *("algorithm.updates=4", "algorithm.batch_size=16", "algorithm.warmup=20"),
    ),
}
ALGORITHMS = {
    "ilvf_p": ("on_policy", "ilvf_p"),
    "no_inferring": ("on_policy", "no_inferring"),
    "mappo": ("on_policy", "mappo"),
    "mappo, central": ("on_policy", "mappo", "algorithm.critic=central"),
    "ippo": ("on_policy", "ippo"),
    "ippo-c": ("on_policy", "ippo", "algorithm.critic=state"),
    "coma": ("on_policy", "coma"),
    "prd": ("on_policy", "prd"),
    "qmix": ("off_policy", "qmix"),
    "vdn": ("off_policy", "qmix", "algorithm.mixer=vdn"),
    "maddpg": ("off_policy", "maddpg"),
}
FLOW = '<flow id="{}" from="{}" to="{}" begin="0" end="999" period="{}"/>'
WAYS = (
    ("a_J1", "J3_b", 4),
    ("s2_J2", "J3_b", 5),
    ("s3_J3", "J3_b", 5),
    ("c_J4", "J4_d", 4),
    ("e_J4", "J4_f", 4),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Four signals with 2 to 4 links and 2 or 3 phases, and cars: (network, routes)."""
    folder = tmp_path_factory.mktemp("town")
    routes = folder / "town.rou.xml"
    flows = (FLOW.format(k, *way) for k, way in enumerate(WAYS))
    routes.write_text(f"<routes>{''.join(flows)}</routes>")
    return tiny(folder), routes


@pytest.fixture(scope="module")
def town(files):
    """An episode is ten steps: as long as a rollout of `SMALL`."""
    return "env=sumo", f"env.net_file={files[0]}", f"env.routes={files[1]}", "env.seconds=50"


def rows(out):
    (found,) = out.glob("*/metrics.jsonl")
    return [json.loads(line) for line in found.read_text().splitlines()]


def saved(out, name="last"):
    (path,) = out.glob(f"*/checkpoints/{name}.ckpt")
    return torch.load(path, weights_only=True)


def runs(out, experiment="sumo"):
    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    found = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return [
        (r.info.status, [m.step for m in client.get_metric_history(r.info.run_id, "frames")])
        for r in found
    ]


def family(pid):
    """This process and all below it."""
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def gone(processes, timeout=20):
    """They have ended; a zombie is somebody's who did not look, not a process."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        left = [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        if not left:
            return True
        time.sleep(0.05)
    return False


# ---------------------------------------------------------------------- all algorithms
@pytest.mark.parametrize(
    ("kind", "name", "option"), [(a, b, c) for a, b, *c in ALGORITHMS.values()], ids=ALGORITHMS
)
def test_every_algorithm(kind, name, option, town, out, recipe):
    """Signals with different phases and links; every number is finite, and whole episodes are counted."""
    assert recipe(name, *KINDS[kind], *town, *option, f"out={out}") == 0
    first, last = rows(out)
    assert (last["frames"] - first["frames"], last["eval/episode/length"]) == (20, 10)
    assert (
        last["eval/return/team"]
        < 0
        < last["eval/episode/throughput"] + last["eval/episode/running"]
    )
    assert all(abs(v) < float("inf") for row in (first, last) for v in row.values())
    saved(out, "best")


@pytest.mark.parametrize(("kind", "name"), [("on_policy", "ilvf_p"), ("off_policy", "maddpg")])
def test_the_large_grid(kind, name, out, recipe):
    assert recipe(name, *KINDS[kind], "env=large_grid", "env.seconds=50", f"out={out}") == 0
    assert rows(out)[-1]["eval/episode/length"] == 10


@pytest.mark.parametrize("name", ["ilvf_p", "qmix"])
def test_the_preset(name, recipe, capsys):
    """Laid over both kinds of recipes; whoever takes it has few simulators."""
    assert recipe(name, "env=large_grid", "preset=traffic", "--cfg") == 0
    page = capsys.readouterr().out
    assert all(
        word in page
        for word in ("num_envs: 4", "eval_episodes: 4", "rollout_steps: 180", "input_norm: none")
    )


def test_too_many_simulators_are_mentioned(files, monkeypatch):
    """At 50 MB each, and four for a core, before they are started."""
    assert crowded(40, cores=10, free=4e9) == ""
    assert "41 simulators at once need about 2.0 GB of memory, of which 4.0 GB are free" in crowded(
        41, 10, 4e9
    )
    assert "40 simulators at once need about 2.0 GB of memory, of which 1.9 GB are free" in crowded(
        40, 10, 1.9e9
    )
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    net, routes = files
    for number, said in ((4, False), (5, True)):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            make_env("sumo", net_file=net, routes=routes, num_envs=number, seed=0).close()
        assert any(f"{number} simulators" in str(w.message) for w in warned) == said


def test_monaco_finds_what_was_downloaded(out, recipe, monkeypatch, capsys):
    """`net_file: null` is the file in the cache, whose traffic is checked against it."""
    monkeypatch.setenv("ILVF_CACHE", str(out))
    command = ("ilvf_p", *SMALL, "env=monaco", "env.seconds=50", f"out={out}")
    there = out / "monaco" / "most.net.xml"
    assert recipe(*command) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: there is no Monaco network {there}: get it by python -m")
    assert said.count("\n") == 1
    there.parent.mkdir()
    there.write_bytes(irregular(out).read_bytes())
    assert recipe(*command) == 2
    assert f"{there} is not the Monaco network: it has no edge -10114#1" in capsys.readouterr().err
    there.write_bytes(like_monaco(out).read_bytes())
    assert recipe(*command) == 0
    assert rows(out)[-1]["eval/episode/length"] == 10


# ---------------------------------------------------------------------- a simulator dies
@pytest.fixture
def kill(monkeypatch):
    """kill(when): SIGKILL for the simulator that is about to take the `when`th step of all, in training."""

    def install(*when, evaluation=False):
        begin_step, taken = SumoTrafficEnv.begin_step, []
        evaluated = [EVALUATION_SEED, EVALUATION_SEED + APART]

        def step(self, actions):
            if (self._seed in evaluated) == evaluation:
                taken.append(self)
                if len(taken) in when:
                    os.kill(self.simulation.pid, signal.SIGKILL)
            return begin_step(self, actions)

        monkeypatch.setattr(SumoTrafficEnv, "begin_step", step)

    return install


def test_a_simulator_is_killed_in_training(town, out, recipe, kill):
    """Its episode is cut and not counted, the run goes on. Step 20 + 9 is copy 0's fifth of its second episode."""
    kill(29)
    with pytest.warns(
        UserWarning,
        match="killed by SIGKILL.* after step 4 of the episode with seed 1000000007, which ends there",
    ):
        assert (
            recipe(
                "ilvf_p",
                *SMALL,
                *town,
                f"out={out}",
                "trainer.max_epochs=4",
                "algorithm.eval_every=9",
            )
            == 0
        )
    assert runs(out) == [("FINISHED", [20, 40, 60, 80])]
    found = rows(out)
    assert [row["episode/interrupted"] for row in found] == [0, 0.5, 0, 0]
    assert [row["episode/length"] for row in found] == [10, 10, 10, 10]


def test_an_evaluation_that_lost_all_its_simulators_is_never_the_best(town, out, recipe, kill):
    """The second of three, in its third step: two steps of queues look better than ten."""
    kill(20 + 5, 20 + 6, evaluation=True)
    with pytest.warns(
        UserWarning, match="2 of 2 evaluation episodes were interrupted.*no return to report"
    ):
        assert (
            recipe(
                "ilvf_p",
                *SMALL,
                *town,
                f"out={out}",
                "trainer.max_epochs=3",
                "algorithm.eval_every=1",
            )
            == 0
        )
    found = rows(out)
    assert [row["eval/episode/interrupted"] for row in found] == [0, 1, 0]
    assert [row.get("eval/episode/length") for row in found] == [10, None, 10]
    assert not any(k in found[1] for k in ("eval/return/team", "eval/reward/agent_step"))
    best = max((0, 2), key=lambda k: found[k]["eval/return/team"])
    assert saved(out, "best")["ilvf"]["state"]["frames"] == found[best]["frames"]


def test_no_checkpoint_is_the_best_of_nothing(town, out, recipe, kill):
    """The only evaluation is lost; what is asked for the best then gives the last."""
    kill(5, 6, evaluation=True)
    with pytest.warns(UserWarning, match="2 of 2 evaluation episodes"):
        assert recipe("ilvf_p", *SMALL, *town, f"out={out}") == 0
    assert not list(out.glob("*/checkpoints/best.ckpt"))
    (folder,) = out.glob("ilvf_p-*")
    assert (
        recipe("evaluate", f"checkpoint={folder}", "algorithm.eval_episodes=2", f"out={out}") == 0
    )


def test_an_interrupted_episode_is_left_out_of_the_means(files, kill):
    """Of two the second is lost in its third step: the means are the first one's."""
    net, routes = files
    env = make_env("sumo", net_file=net, routes=routes, seconds=50, num_envs=2, seed=0)
    kill(6)
    torch.manual_seed(0)
    with pytest.warns(UserWarning, match="1 of 2 evaluation episodes were interrupted.*left out"):
        metrics, rollout = evaluate(env, RandomActor(env.n_actions, masked=True), max_steps=10)
    env.close()
    reward, last = rollout["next", "agents", "reward"][0], rollout["next", "episode"][0, -1]
    assert metrics["return/team"] == pytest.approx(float(reward.sum()))
    assert metrics["reward/agent_step"] == pytest.approx(float(reward.mean()))
    assert metrics["episode/queue"] == pytest.approx(float(last["queue"]))
    assert (metrics["episode/length"], metrics["episode/interrupted"]) == (10, 0.5)


# ---------------------------------------------------------------------- a worker dies, the run dies
def test_a_worker_is_killed_and_the_run_resumed(town, out, recipe, monkeypatch, capsys):
    """In its third iteration: one sentence, exit code 2, nothing left; then new episodes, in the same MLflow run."""
    running, seeds = [], [[]]
    step, reset = WorkerCopies.step, WorkerCopies.reset

    def killed(self, action):
        if self.steps == 24 and not running:
            running.extend(family(self.workers[0].process.pid))
            os.kill(self.workers[0].process.pid, signal.SIGKILL)
        return step(self, action)

    def noted(self, given):
        seeds[-1] += [s for s in given.values() if s is not None]
        return reset(self, given)

    monkeypatch.setattr(WorkerCopies, "step", killed)
    monkeypatch.setattr(WorkerCopies, "reset", noted)
    own = ("env.workers=1", "trainer.max_epochs=4", "algorithm.eval_every=9", f"out={out}")
    assert recipe("ilvf_p", *SMALL, *town, *own) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: worker 0 (copies 0 to 1) was killed by SIGKILL in step 25")
    assert said.count("\n") == 1
    assert "resume=last" in said
    assert len(running) > 2
    assert gone(running)
    assert saved(out)["ilvf"]["state"]["frames"] == 40
    assert runs(out) == [("FAILED", [20, 40])]

    seeds.append([])
    assert (
        recipe(
            "ilvf_p", "resume=last", f"out={out}", "trainer.max_epochs=4", "algorithm.eval_every=9"
        )
        == 0
    )
    assert runs(out) == [("FINISHED", [20, 40, 60, 80])]
    assert seeds[0] == [0, APART]
    assert len(seeds[1]) == 4  # two of the training, two of the evaluation
    assert not set(seeds[0]) & set(seeds[1])


def test_the_run_is_killed_and_resumed(town, out, recipe):
    """SIGKILL, in mid-training: no simulator outlives it, and the curve goes on where it ended."""
    own = (*SMALL, *town, f"out={out}", "trainer.max_epochs=100000", "algorithm.eval_every=100000")
    environment = {
        k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "ILVF_RUN_DIR")
    }
    command = [sys.executable, str(ROOT / "recipes" / "ilvf_p.py"), *own]
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not list(out.glob("*/checkpoints/last.ckpt")) or len(rows(out)) < 3:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        running = family(process.pid)
        process.kill()
    assert len(running) > 2
    assert gone(running)
    before = saved(out)["ilvf"]["state"]["frames"]
    epochs = before // 20 + 2
    assert recipe("ilvf_p", "resume=last", f"out={out}", f"trainer.max_epochs={epochs}") == 0
    assert runs(out) == [("FINISHED", [20 * (k + 1) for k in range(epochs)])]


# ---------------------------------------------------------------------- files
def text_of(files, name):
    net = files[0].read_text()
    return {
        "half a network": net[: len(net) // 2],
        "no network": "<routes/>",
        "no edge": '<routes><vehicle id="v" depart="0"><route edges="nowhere"/></vehicle></routes>',
        "half the routes": '<routes><flow id="f" from="a_J1"',
    }[name]


@pytest.mark.parametrize(
    ("key", "content", "words"),
    [
        ("net_file", "half a network", ("file.xml is not a SUMO network",)),
        ("net_file", "no network", ("file.xml is not a SUMO network",)),
        ("net_file", None, ("there is no network", "file.xml")),
        ("routes", None, ("there is no file", "file.xml")),
        ("routes", "no edge", ("SUMO says", "nowhere", "not known")),
        ("routes", "half the routes", ("SUMO says", "file.xml")),
        ("table", None, ("file.xml cannot be read",)),
        ("additional", None, ("there is no file", "file.xml")),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_broken_files_are_one_sentence(
    key, content, words, workers, files, town, out, recipe, capsys
):
    broken = out / "file.xml"
    if content is not None:
        broken.write_text(text_of(files, content))
    own = (f"env.{key}={broken}", f"env.workers={workers}", f"out={out}")
    assert recipe("ilvf_p", *SMALL, *town, *own) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert all(word in said for word in words), said
    assert not list(out.glob("*/metrics.jsonl"))


def test_traffic_that_begins_later(files, town, out, recipe, capsys):
    """As in files of a real morning: without `--begin` nobody drives, and that is said."""
    later = files[1].read_text().replace('begin="0" end="999"', 'begin="25200" end="28800"')
    (out / "later.rou.xml").write_text(later)
    own = (
        "policy=random",
        *town,
        f"env.routes={out / 'later.rou.xml'}",
        "algorithm.eval_episodes=2",
        f"out={out}",
    )
    with pytest.warns(
        UserWarning, match="no vehicle has departed in an episode of .*--begin SECONDS"
    ):
        assert recipe("evaluate", *own) == 0
    assert "episode/running               0.0000" in capsys.readouterr().out
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert recipe("evaluate", *own, "env.options=--begin 25200") == 0
    assert "episode/running               0.0000" not in capsys.readouterr().out


def test_a_full_disk_costs_a_run_its_trips_only(town, out, recipe):
    trips = out / "trips"
    trips.mkdir()
    (trips / f"tripinfo-{APART}.xml").symlink_to("/dev/full")
    with pytest.warns(UserWarning, match=f"tripinfo-{APART}.xml is not complete; is the disk full"):
        assert recipe("ilvf_p", *SMALL, *town, f"env.tripinfo={trips}", f"out={out}") == 0
    assert all(
        "</tripinfos>" in (trips / f"tripinfo-{seed}.xml").read_text()
        for seed in (0, NEXT, APART + NEXT)
    )
