"""Other devices than the one that a run began on, or that a developer has: tested on the CPU."""

import copy
import warnings

import pytest
import torch

from helpers import TINY, bare_trainer
from ilvf.algorithms.base import Training
from ilvf.checkpoints.state import (
    device_of,
    generators_fit,
    load_env,
    load_generators,
    restart_seed,
    save_run_state,
)
from ilvf.data.evaluation import evaluate, separate_randomness
from ilvf.envs import Encircle
from ilvf.errors import UsageError
from ilvf.experiment import jobs, processes
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema
from ilvf.modules import CategoricalActor, ValueNorm
from ilvf.modules.value_norm import ReturnNorm

GPU_STATE = torch.zeros(16, dtype=torch.uint8)  # the size of a CUDA generator's state


# ---------------------------------------------------------------------- generators of a checkpoint
def as_saved_on_a_gpu(state):
    """A run state as a run on a GPU saves it."""
    state = copy.deepcopy(state)
    for rank in state["ranks"]:
        rank["device"] = "cuda"
        rank["env"]["rng"] = GPU_STATE.clone()
        rank["generators"]["cuda"] = [GPU_STATE.clone()]
    return state


def as_saved_by_an_old_version(state):
    state = as_saved_on_a_gpu(state)
    for rank in state["ranks"]:
        del rank["device"]
    return state


@pytest.fixture
def env():
    env = Encircle(4, num_envs=3, seed=5)
    env.reset()
    return env


def resumed(state, seed=7):
    """(the restored world, random numbers of its environment, torch's) after resuming."""
    env = Encircle(4, num_envs=3, seed=5)
    load_env(state, env, 0, 1, seed=seed)
    world = env.reset()
    drawn = torch.rand(4, generator=env.rng)
    load_generators(state, env, 0, seed=seed)
    return world["agents", "state"], drawn, torch.rand(4)


@pytest.mark.parametrize("saved_on_gpu", [as_saved_on_a_gpu, as_saved_by_an_old_version])
def test_a_gpus_checkpoint_goes_on_with_new_random_numbers_on_the_cpu(env, saved_on_gpu):
    state = saved_on_gpu(save_run_state(env, 120, ""))
    with pytest.warns(UserWarning, match="not bit-exact") as warned:
        world, drawn, global_draw = resumed(state)
    assert len(warned) == 1
    assert torch.equal(world, env.snapshot()["agents", "state"])
    expected = torch.Generator().manual_seed(restart_seed(7, 120))
    assert torch.equal(drawn, torch.rand(4, generator=expected))
    again = resumed_quietly(state)
    assert torch.equal(again[1], drawn)
    assert torch.equal(again[2], global_draw)
    other_seed = resumed_quietly(state, seed=8)
    assert not torch.equal(other_seed[1], drawn)
    assert not torch.equal(other_seed[2], global_draw)
    later = resumed_quietly({**state, "frames": 160})
    assert not torch.equal(later[1], drawn)


def resumed_quietly(state, seed=7):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return resumed(state, seed)


def test_a_cpu_checkpoint_goes_on_exactly_on_the_cpu(env):
    state = save_run_state(env, 120, "")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, drawn, global_draw = resumed(state)
    assert torch.equal(drawn, torch.rand(4, generator=env.rng))
    torch.set_rng_state(state["ranks"][0]["generators"]["torch"])
    assert torch.equal(global_draw, torch.rand(4))


def test_a_cpu_checkpoint_does_not_go_on_exactly_on_a_gpu(env, monkeypatch):
    state = save_run_state(env, 120, "")
    assert generators_fit(state["ranks"][0], env)
    monkeypatch.setattr("ilvf.checkpoints.state.device_of", lambda env: torch.device("cuda", 0))
    assert not generators_fit(state["ranks"][0], env)
    del state["ranks"][0]["device"]  # an old version's, which had no GPU either
    assert not generators_fit(state["ranks"][0], env)


def test_only_the_first_process_warns(env):
    state = as_saved_on_a_gpu(save_run_state(env, 120, ""))
    state["ranks"] = state["ranks"] * 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_env(state, Encircle(4, num_envs=3), 1, 2, seed=7)


def test_an_environment_refuses_a_generator_of_another_device_in_one_sentence(env, refused):
    state = {**env.get_state(), "rng": GPU_STATE}
    with refused("16 bytes", "another kind of device"):
        env.set_state(state)
    without = {k: v for k, v in state.items() if k != "rng"}
    before = env.rng.get_state()
    env.set_state(without)
    assert torch.equal(env.rng.get_state(), before)


def test_a_run_of_a_gpu_is_resumed_on_the_cpu(out, recipe, recwarn):
    assert recipe("ilvf_p", *TINY, f"out={out}") == 0
    (path,) = out.glob("*/checkpoints/last.ckpt")
    content = torch.load(path, weights_only=True)
    content["ilvf"]["state"] = as_saved_on_a_gpu(content["ilvf"]["state"])
    torch.save(content, path)
    recwarn.clear()
    assert recipe("ilvf_p", "resume=last", f"out={out}", "trainer.max_epochs=3") == 0
    assert len([w for w in recwarn if "not bit-exact" in str(w.message)]) == 1
    content = torch.load(path, weights_only=True)
    assert content["ilvf"]["state"]["frames"] == 120
    assert content["ilvf"]["state"]["ranks"][0]["device"] == "cpu"


def test_an_environment_without_a_device_is_on_the_cpu():
    class Bare:
        device = None

    assert device_of(Bare()) == torch.device("cpu")


# ---------------------------------------------------------------------- evaluation
@pytest.fixture
def policy():
    env = Encircle(4)
    return CategoricalActor(4, env.observation_dim, env.n_actions, hidden=8)


def sampled(policy, torch_seed, seed=3):
    """Metrics of an evaluation with sampled actions, in a process with these random numbers."""
    torch.manual_seed(torch_seed)
    env = Encircle(4, num_envs=3, seed=5)
    return evaluate(env, policy, max_steps=8, deterministic=False, seed=seed)[0]


def test_a_sampled_evaluation_is_the_same_on_all_processes(policy):
    assert sampled(policy, 0) == sampled(policy, 1000)
    assert sampled(policy, 0) != sampled(policy, 0, seed=4)


@pytest.mark.parametrize("seed", [None, 3])
def test_an_evaluation_leaves_the_random_numbers_of_training_alone(policy, seed):
    sampled(policy, 0, seed)
    after = torch.rand(4)
    torch.manual_seed(0)
    assert torch.equal(after, torch.rand(4))


def test_training_evaluates_the_same_in_every_process(monkeypatch):
    """Also with sampled actions, though processes differ in their random numbers."""
    found = []

    def watched(*arguments, **options):
        result = evaluate(*arguments, **options)
        found.append(result[0])
        return result

    monkeypatch.setattr("ilvf.algorithms.evaluating.evaluate", watched)
    sampled = ("algorithm.eval_deterministic=false", "algorithm.lr=1e-12")  # nothing is learned
    for rank in (0, 1):
        monkeypatch.setattr(Training, "_seed_of_process", property(lambda self, k=rank: 1000 * k))
        config = resolve(training_schema("mappo"), [*TINY, *sampled])
        torch.manual_seed(0)
        bare_trainer(1).fit(build(config))
    assert found[0] == found[1]
    assert "return/team" in found[0]


def test_an_evaluation_on_the_cpu_touches_no_gpu(monkeypatch):
    """With eight GPUs, of which none is in use."""

    def touched(*_):
        raise AssertionError("a GPU was touched")

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in ("get_rng_state", "set_rng_state", "manual_seed", "manual_seed_all"):
        monkeypatch.setattr(torch.cuda, name, touched)
    with separate_randomness(torch.device("cpu"), seed=3):
        torch.rand(2)


def test_an_evaluation_on_a_gpu_touches_that_one_alone(monkeypatch):
    touched = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda d: touched.append(d) or GPU_STATE)
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda state, d: touched.append(d))
    with separate_randomness(torch.device("cuda", 5), seed=None):
        pass
    assert set(touched) == {torch.device("cuda", 5)}


# ---------------------------------------------------------------------- no float64
def to_a_device_without_float64(module):
    def move(x):
        if x.dtype == torch.float64:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype")
        return x.clone()

    return module._apply(move)


@pytest.mark.parametrize("make", [lambda: ValueNorm((3, 1)), lambda: ReturnNorm((3, 1), 0.9)])
def test_value_norms_move_to_a_device_without_float64(make):
    torch.manual_seed(0)
    exact = make()
    moved = to_a_device_without_float64(make())
    assert {x.dtype for x in exact.parameters()} == {torch.float64}
    assert {x.dtype for x in moved.parameters()} == {torch.float32}
    for _ in range(3):
        x = 3 + 2 * torch.randn(50, 3, 1)
        exact.update(x)
        moved.update(x)
    value = torch.randn(5, 3, 1)
    assert torch.allclose(moved.denormalize(value), exact.denormalize(value), atol=1e-4)
    moved.load_state_dict(exact.state_dict())
    assert {x.dtype for x in moved.parameters()} == {torch.float32}


def test_a_masked_update_needs_no_float64():
    norm = to_a_device_without_float64(ValueNorm((3, 1)))
    norm.update(torch.randn(50, 3, 1), torch.rand(50, 3, 1) < 0.5)
    assert norm.first.dtype == torch.float32


def test_a_value_norm_stays_float64_on_the_cpu_whatever_the_type_of_the_networks():
    norm = ValueNorm((3, 1))
    assert norm.to("cpu").first.dtype == torch.float64
    assert norm.float().first.dtype == torch.float64


# ---------------------------------------------------------------------- several seeds
@pytest.fixture
def machine(monkeypatch):
    """machine(gpus, cores, visible=None): how many GPUs and cores there seem to be."""

    def seem(gpus, cores, visible=None):
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
        monkeypatch.setattr(jobs, "cores", lambda: cores)
        monkeypatch.setattr(processes.os, "cpu_count", lambda: cores)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible is not None:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return seem


@pytest.mark.parametrize(
    ("gpus", "cores", "accelerator", "devices", "groups"),
    [
        (0, 3, "auto", 1, [None] * 3),
        (0, 5, "cpu", 2, [None] * 2),
        (4, 8, "cpu", 1, [None] * 8),
        (1, 8, "auto", 1, [None]),
        (4, 8, "auto", 1, ["0", "1", "2", "3"]),
        (4, 2, "gpu", 1, ["0", "1"]),
        (5, 8, "cuda", 2, ["0,1", "2,3"]),
        (4, 8, "gpu", 4, [None]),
        (4, 8, "gpu", -1, [None]),
        (4, 8, "gpu", [1, 3], [None]),
    ],
)
def test_runs_of_several_seeds_share_no_gpu(machine, gpus, cores, accelerator, devices, groups):
    machine(gpus, cores)
    found = [place.get("CUDA_VISIBLE_DEVICES") for place in jobs.places(accelerator, devices)]
    assert found == groups


def test_runs_of_several_seeds_use_the_gpus_that_are_visible(machine):
    machine(2, 8, visible="3,GPU-abc")
    found = [place["CUDA_VISIBLE_DEVICES"] for place in jobs.places("gpu", 1)]
    assert found == ["3", "GPU-abc"]


def test_each_run_gets_a_place_of_its_own_and_gives_it_back(machine, monkeypatch, tmp_path):
    machine(2, 8)
    at_once = []
    used = []

    class Run:
        returncode = 0

        def __init__(self, place):
            at_once.append(place)
            used.append(sorted(at_once))
            self.place = place
            self.left = 2

        def poll(self):
            self.left -= 1
            if self.left:
                return None
            at_once.remove(self.place)
            return 0

    def start(job, place):
        return Run(place["CUDA_VISIBLE_DEVICES"])

    monkeypatch.setattr(jobs, "_start", start)
    monkeypatch.setattr(jobs.time, "sleep", lambda s: None)
    monkeypatch.setattr(jobs.signal, "signal", lambda number, handler: None)
    runs = [jobs.Job([], tmp_path / str(k)) for k in range(5)]
    assert jobs.run_jobs(runs, jobs.places("gpu", 1)) == []
    assert len(used) == 5
    assert all(len(set(places)) == len(places) <= 2 for places in used)


def test_too_few_gpus_for_a_run_are_refused_before_any_starts(machine):
    machine(2, 8)
    with pytest.raises(UsageError, match=r"trainer\.devices=3, but GPUs 0 to 1 are visible"):
        jobs.places("gpu", 3)


def test_several_seeds_are_refused_under_torchrun(out, recipe, capsys, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "job")
    assert recipe("ilvf_p", *TINY, f"out={out}", "seeds=0-1") == 2
    assert "cannot be combined with torchrun" in capsys.readouterr().err
