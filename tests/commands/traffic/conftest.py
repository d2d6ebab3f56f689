"""Shared by the tests of the command `traffic`: a town, its environment, and trained runs."""

import shutil

import pytest

pytest.importorskip("sumolib", reason="needs the extra ilvf[sumo]")

import traffic_nets
from helpers import TINY
from ilvf.commands import traffic
from ilvf.envs import make_env
from ilvf.modules import RandomActor
from run_helpers import run_folders

OF_ONE_ITERATION = (
    "trainer.max_epochs=1",
    "algorithm.num_envs=1",
    "algorithm.eval_every=9",
    "algorithm.eval_episodes=1",
)


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Net and routes of a town with seven signals and streets of one to three lanes."""
    net, routes = traffic_nets.town(tmp_path_factory.mktemp("town"), vehicles_per_hour=900)
    return {"net_file": str(net), "routes": str(routes)}


@pytest.fixture
def town(files):
    """town(per="link", ...): two copies of the town for 100 s, which the fixture closes."""
    environments = []

    def build(**options):
        settings = {"num_envs": 2, "seconds": 100, **files, **options}
        environments.append(make_env("sumo", **settings))
        return environments[-1]

    yield build
    for env in environments:
        env.close()


@pytest.fixture
def random_play():
    """random_play(env): an episode of random actions."""

    def play(env):
        actor = RandomActor(env.n_actions, masked=env.masked)
        return traffic.play(env, actor, seed=0, deterministic=True)

    return play


@pytest.fixture(scope="session")
def runs(tmp_path_factory, store):
    """A folder for the trained runs, with a store, and the runs by their arguments."""
    folder = tmp_path_factory.mktemp("runs")
    shutil.copy(store, folder / "mlflow.db")
    return folder, {}


@pytest.fixture
def trained(files, recipe, runs, monkeypatch):
    """trained("mappo", ...) is the folder of a run of one iteration on the town."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    out, known = runs
    general = [option for option in TINY if not option.startswith(("env.", "trainer.max"))]
    on_town = [f"env.{key}={value}" for key, value in files.items()]
    options = ("env=sumo", *on_town, "env.seconds=100", *general, *OF_ONE_ITERATION, f"out={out}")

    def train(name, *arguments):
        key = (name, *arguments)
        if key not in known:
            before = run_folders(out)
            assert recipe(name, *options, *arguments) == 0
            (known[key],) = set(run_folders(out)).difference(before)
        return known[key]

    return train
