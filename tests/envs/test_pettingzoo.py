"""PettingZoo environments as ours, in this process and in workers; and ours as PettingZoo's."""

import functools
import gc
import os
import signal
import subprocess
import sys
import time
import warnings

import numpy as np
import psutil
import pytest
import torch
from gymnasium import spaces
from mlflow.tracking import MlflowClient
from mpe2 import simple_spread_v3
from pettingzoo.test import parallel_api_test, parallel_seed_test
from torch import tensor
from torchrl.envs.utils import check_env_specs

import zoo
from helpers import ROOT, TINY
from ilvf import UsageError, check_env
from ilvf.analysis import visited_states
from ilvf.checkpoints.state import load_env, save_run_state
from ilvf.envs import Encircle, PettingZoo, Tabular, as_pettingzoo, make_env
from ilvf.envs.pettingzoo.copies import SEED_STRIDE
from ilvf.experiment.command_line import command_line


def line(**options):
    """Copies of `zoo.Line`; options of `PettingZoo` go there."""
    own = {
        k: options.pop(k)
        for k in ("num_envs", "workers", "timeout", "dying", "horizon", "global_state")
        if k in options
    }
    return PettingZoo(zoo.Line, options, **{"num_envs": 2, "seed": 0, **own})


def play(env, steps, action=0):
    """[B, T] of the same action, or of random allowed ones (`action=None`); goes on after ends."""
    torch.manual_seed(0)
    td, out = env.reset(), []
    for _ in range(steps):
        chosen = torch.full((*env.batch_size, env.n_agents), action or 0)
        if action is None:
            noise = torch.rand(*env.batch_size, env.n_agents, env.n_actions)
            mask = td.get(("agents", "action_mask"), torch.ones_like(noise).bool())
            chosen = noise.masked_fill(~mask, -1).argmax(-1)
        full, td = env.step_and_maybe_reset(td.set(("agents", "action"), chosen))
        out.append(full)
    return torch.stack(out, 1)


# ---------------------------------------------------------------------- keys and numbers
SPECS = {
    "spread": lambda **k: make_env("pettingzoo/mpe2.simple_spread_v3", **k),
    "tag": lambda **k: make_env("pettingzoo/mpe2.simple_tag_v3", **k),
    "speaker and listener": lambda **k: make_env(
        "pettingzoo", task="mpe2.simple_speaker_listener_v4", **k
    ),
    "line": lambda **k: PettingZoo(zoo.Line, {"state": True}, global_state=True, **k),
    "mortal line": lambda **k: PettingZoo(
        zoo.Line, {"ends": {"bob": 2}}, dying=True, horizon=4, **k
    ),
    "masked line": lambda **k: PettingZoo("zoo", {"mask": "info"}, **k),
}


@pytest.mark.parametrize("make", SPECS.values(), ids=SPECS)
class TestContract:
    def test_specs(self, make, monkeypatch):
        """Random actions know how many each agent has, but not the masks of a moment."""
        check_env_specs(make(num_envs=3, seed=0), seed=0)
        facts = check_env(make(num_envs=3, seed=0))
        assert [n.split(":")[0] for n in facts.notes] == ["no get_state and set_state"]

    def test_reseeding_repeats(self, make):
        env = make(num_envs=3, seed=4)
        first = play(env, 30, None)
        env.set_seed(4)
        assert (first == play(env, 30, None)).all()
        env.set_seed(5)
        assert not torch.equal(first["agents", "state"], play(env, 30, None)["agents", "state"])


def test_what_is_different_is_padded_and_masked():
    env = line(state=True, global_state=True)
    assert (env.n_agents, env.observation_dim, env.state_dim, env.n_actions, env.horizon) == (
        3,
        3,
        3,
        4,
        6,
    )
    assert env.masked
    assert env.agents == ("ann", "bob", "cat")
    td = play(env, 2, action=1)
    places = (
        np.random.default_rng(0).random(3).round(3)
    )  # ann's, bob's and cat's actions 1 are 0 + 1, 1 + 1 and 2 + 1
    p = torch.from_numpy(places + np.array([1, 2, 3])).float()
    assert torch.equal(
        td["next", "agents", "observation"][0, 0],
        tensor([[p[0], 0, 0], [p[1], 1, 0], [p[2], 1, -1]]),
    )
    assert torch.equal(
        td["next", "agents", "state"][0, 0], tensor([[p[0], 1, 0], [p[1], 1, 0], [p[2], 1, 9]])
    )
    assert torch.equal(td["next", "agents", "reward"][0, 0, :, 0], p)
    assert torch.equal(td["next", "global_state"][0, 0], p)
    assert td["agents", "observation_mask"][1, 1].int().tolist() == [
        [1, 0, 0],
        [1, 1, 0],
        [1, 1, 1],
    ]
    assert td["agents", "action_mask"][1, 1].int().tolist() == [
        [1, 1, 0, 0],
        [1, 1, 1, 0],
        [1, 1, 1, 1],
    ]
    both = p.sum() + (p + tensor([1.0, 2.0, 3.0])).sum()
    assert torch.allclose(td["next", "episode", "return"][0, 1], both)
    assert td["next", "episode", "length"][0].flatten().tolist() == [1, 2]


@pytest.mark.parametrize("where", ["observation", "info"])
def test_masks_of_the_moment(where):
    td = play(line(mask=where), 4, None)
    mask = td["agents", "action_mask"]
    assert mask[0, 0].int().tolist() == [[1, 1, 0, 0], [1, 1, 1, 0], [1, 1, 1, 1]]
    assert mask[0, 1].int().tolist() == [[0, 1, 0, 0], [0, 1, 1, 0], [0, 1, 1, 1]]
    assert torch.equal(mask[:, 1:], td["next", "agents", "action_mask"][:, :-1])


def test_observations_of_other_kinds():
    env = line(space=spaces.Discrete(4, start=7))
    assert env.observation_dim == 4
    assert play(env, 2)["agents", "observation"][0, 1, 0].tolist() == [
        0,
        1,
        0,
        0,
    ]  # after one step: 7 + 1


def test_the_same_as_stepping_it_oneself():
    """Two copies over two ends, with the seeds that the docstring names."""
    td = play(PettingZoo("mpe2.simple_spread_v3", {"max_cycles": 7}, num_envs=2, seed=3), 20, None)
    for k in range(2):
        env = simple_spread_v3.parallel_env(max_cycles=7)
        seen, _ = env.reset(seed=3 + k * 100_003)
        for t in range(20):
            row = td[k, t]
            assert np.array_equal(
                np.stack(list(seen.values())), row["agents", "observation"].numpy()
            )
            actions = dict(zip(env.agents, row["agents", "action"].tolist(), strict=True))
            seen, reward, *_ = env.step(actions)
            assert np.allclose(
                list(reward.values()), row["next", "agents", "reward"].flatten().numpy()
            )
            assert np.array_equal(
                np.stack(list(seen.values())), row["next", "agents", "observation"].numpy()
            )
            assert bool(row["next", "truncated"]) == ((t + 1) % 7 == 0)
            if not env.agents:
                seen, _ = env.reset()


def test_runs_with_neighbouring_seeds_have_no_copy_in_common():
    starts = [
        make_env("pettingzoo/zoo", num_envs=8, seed=s).reset()["agents", "state"] for s in range(3)
    ]
    assert len(torch.cat(starts).flatten(1).unique(dim=0)) == 24


def test_no_reset_is_wasted():
    """A simulator's reset can take seconds; the one that shows what infos hold is the first episode's."""
    env = line(num_envs=2)
    td = env.reset()
    assert [e.resets for e in env.copies.envs] == [1, 1]
    env.set_seed(0)
    assert (env.reset() == td).all()
    assert [e.resets for e in env.copies.envs] == [2, 2]


# ---------------------------------------------------------------------- ends
def flags(td, copy=0):
    return {k: td["next", k][copy].flatten().tolist() for k in ("terminated", "truncated", "done")}


def test_the_clocks():
    assert flags(play(line(limit=2), 2)) == {
        "terminated": [0, 0],
        "truncated": [0, 1],
        "done": [0, 1],
    }
    assert flags(play(line(horizon=2), 2)) == {
        "terminated": [0, 0],
        "truncated": [0, 1],
        "done": [0, 1],
    }
    assert flags(play(line(limit=1, horizon=9), 2))["truncated"] == [1, 1]
    everybody = dict.fromkeys(zoo.AGENTS, 2)
    over = line(ends=everybody, horizon=2, state=True)
    assert flags(play(over, 2)) == {"terminated": [0, 1], "truncated": [0, 0], "done": [0, 1]}
    last = play(over, 2)["next", "agents"][0, 1]
    assert last["observation"][:, 0].all()  # a team that ends together sees how it ended
    assert last["state"][:, 1].tolist() == [2, 2, 2]


def test_copies_end_one_by_one():
    """A partial reset leaves the others where they are."""
    env = line(num_envs=3)
    env.reset()
    env.copies.envs[1].max_cycles = 2
    td = play(env, 6)
    assert td["next", "done"].squeeze(-1).int().tolist() == [
        [0, 0, 0, 0, 0, 1],
        [0, 1, 0, 1, 0, 1],
        [0, 0, 0, 0, 0, 1],
    ]
    assert td["episode", "length"][1].flatten().tolist() == [0, 1, 0, 1, 0, 1]
    assert td["agents", "observation"][0, :, 1, 1].tolist() == [0, 1, 2, 3, 4, 5]
    starts = td["agents", "observation"][1, ::2, 0, 0]
    assert len(starts.unique()) == 3  # goes on with its own random numbers


def test_agents_that_die():
    """Bob is terminated in step 2, cat leaves in step 3, and ann is terminated in step 5."""
    td = play(line(dying=True, ends={"bob": 2, "ann": 5}, leaves={"cat": 3}), 6)
    mask, after = td["agents", "mask"][0], td["next", "agents", "mask"][0]
    assert mask[:5].int().tolist() == [[1, 1, 1], [1, 1, 1], [1, 0, 1], [1, 0, 0], [1, 0, 0]]
    assert torch.equal(after[:4], mask[1:5])
    assert not after[4].any()
    reward = td["next", "agents", "reward"][0, :5, :, 0]
    assert torch.equal(
        reward[:, 1] != 0, tensor([1, 1, 0, 0, 0]).bool()
    )  # that of the last step counts
    observation = td["next", "agents", "observation"][0, :5]
    assert torch.equal(observation[:, 1].any(-1), tensor([1, 0, 0, 0, 0]).bool())
    assert flags(td) == {
        "terminated": [0] * 6,
        "truncated": [0, 0, 0, 0, 1, 0],
        "done": [0, 0, 0, 0, 1, 0],
    }  # cat's fate
    assert mask[5].all()


def test_a_team_that_dies_out_is_terminated_and_one_whose_time_is_up_is_not():
    all_gone = play(line(dying=True, ends={"ann": 1, "bob": 2, "cat": 3}), 3)
    assert flags(all_gone) == {"terminated": [0, 0, 1], "truncated": [0, 0, 0], "done": [0, 0, 1]}
    late = play(line(dying=True, ends={"ann": 1, "bob": 3}, limit=3), 3)
    assert flags(late) == {"terminated": [0, 0, 0], "truncated": [0, 0, 1], "done": [0, 0, 1]}
    assert late["next", "agents", "mask"][0, 2].tolist() == [False, False, True]  # cat has a future
    assert late["next", "agents", "observation"][0, 2, 2, 0] > 0


def test_the_dead_may_do_anything():
    td = play(line(dying=True, ends={"bob": 2}, mask="info"), 4, None)
    assert td["agents", "action_mask"][0, 3, 1].tolist() == [True, True, True, False]
    assert td["agents", "action_mask"][0, 3, 2].tolist() == [False, True, True, True]


# ---------------------------------------------------------------------- saying no
WRONG = {
    "nan": (dict(trouble="nan"), ["reward of bob in copy 0", "2 steps"]),
    "infinite": (dict(trouble="blind"), ["observation of bob in copy 0"]),
    "a newcomer": (
        dict(trouble="newcomer"),
        ["line (copy 0)", "dan after step 2", "not there before"],
    ),
    "a deserter": (dict(trouble="deserter"), ["lost bob in step 2"]),
    "not all at reset": (
        dict(trouble="two"),
        ["has the agents ann, bob after reset", "ann, bob, cat"],
    ),
    "an early end": (
        dict(ends={"bob": 2}),
        ["ended for bob in step 2", "goes on for ann, cat", "dying=true"],
    ),
    "unseen": (dict(trouble="unseen"), ["no 'bob'", "step 2"]),
    "unpaid": (dict(trouble="unpaid"), ["no reward", "bob in step 2"]),
    "another size": (dict(trouble="wide"), ["bob an observation of shape (7,)"]),
    "nothing allowed": (
        dict(trouble="nothing", mask="info"),
        ["action mask of bob in copy 0", "allows nothing"],
    ),
    "continuous": (dict(trouble="continuous"), ["ann has actions Box", "Discrete"]),
    "a graph": (
        dict(space=spaces.Sequence(spaces.Discrete(2))),
        ["ann observes Sequence", "flatten"],
    ),
    "no clock": (dict(limit=None), ["how long an episode is", "horizon="]),
    "no copies": (dict(num_envs=0), ["num_envs=0"]),
    "no time": (dict(timeout=0), ["timeout=0"]),
    "no steps": (dict(horizon=0), ["horizon=0"]),
    "fewer workers than none": (dict(workers=-1), ["workers=-1"]),
    "unknown arguments": (dict(colour="red"), ["kwargs={'colour': 'red'}", "colour"]),
}


@pytest.mark.parametrize(("options", "words"), WRONG.values(), ids=WRONG)
def test_bad_environments_get_a_sentence(options, words, refused):
    with refused(*words):
        play(line(**options), 4, None)


TASKS = {
    "mpe2.simple_spread_v9": "no mpe2.simple_spread_v9 in the package mpe2",
    "nowhere_to_be_found.thing": "pip install nowhere_to_be_found",
    "zoo:lion": "zoo has no lion",
    "mpe2": "mpe2 has no parallel_env",
    "zoo:turn_based": "turn-based AECEnv",
    "zoo:nothing": "object without possible_agents",
    "zoo:possible": "zoo has no possible",
    "..": "write package.module",
}


@pytest.mark.parametrize("task", TASKS)
def test_bad_names_get_a_sentence(task, refused):
    with refused(TASKS[task]):
        make_env(f"pettingzoo/{task}")


def test_names(refused):
    assert make_env("pettingzoo/zoo:Line", num_envs=2).agents == ("ann", "bob", "cat")
    assert make_env("pettingzoo", task="mpe2.simple_spread_v3", kwargs={"N": 5}).n_agents == 5
    one = zoo.Line()
    with refused("made one twice"):
        PettingZoo(lambda: one, num_envs=2)
    with refused("lambda: env"):
        PettingZoo(one)
    with refused("needs a task"):
        make_env("pettingzoo")
    with refused("'petting'", "pettingzoo/TASK"):
        make_env("petting")


def test_a_policy_that_ignores_the_mask_is_told(refused):
    env = line()
    td = env.reset().set(("agents", "action"), torch.full((2, 3), 3))
    with refused("action 3 of ann, which has 2", "action_mask"):
        env.step(td)


def test_closing_closes_all_copies():
    env = line(num_envs=3)
    envs = list(env.copies.envs)
    env.close()
    assert [e.closed for e in envs] == [1, 1, 1]


# ---------------------------------------------------------------------- workers
def children():
    """Worker processes, and zombies, of this one."""
    family = psutil.Process().children()
    return [
        p
        for p in family
        if p.status() == psutil.STATUS_ZOMBIE or "spawn_main" in " ".join(p.cmdline())
    ]


@pytest.fixture
def nobody_left():
    """No worker, alive or zombie, is left when the test is over, closed or not."""
    yield
    gc.collect()
    assert not children()


def test_workers_give_the_same_numbers(nobody_left, tmp_path):
    """Five copies in two workers, over partial resets; and what is closed here is closed there."""
    kwargs = dict(mask="info", state=True, ends={"bob": 2}, will=str(tmp_path / "will"))
    options = dict(num_envs=5, dying=True, global_state=True)
    env = line(workers=2, **options, **kwargs)
    assert [w.last - w.first for w in env.copies.workers] == [2, 3]
    assert (play(env, 15, None) == play(line(**options, **kwargs), 15, None)).all()
    env.set_seed(0)
    assert (play(env, 3, None) == play(line(**options, **kwargs), 3, None)).all()
    env.close()
    assert (tmp_path / "will").exists()
    assert len(line(num_envs=2, workers=9).copies.workers) == 2  # one copy each is the most


BROKEN = {
    "kill": ["worker 1 (copies 1 to 1) was killed by SIGKILL in step 2", "memory", "resume=last"],
    "exit": ["worker 0 (copies 0 to 0) ended with exit code 3 in step 2", "resume=last"],
    "raise": ["worker 0 (copies 0 to 0) failed in step 2: RuntimeError: the simulator says no"],
    "sleep": [
        "worker 0 (copies 0 to 0) and worker 1 (copies 1 to 1) gave no answer within timeout=3 s in step 2",
        "resume=last",
    ],
    "newcomer": ["line (copy 0)", "dan after step 2"],
    "make": ["worker 0 (copies 0 to 0) failed while starting: OSError: no licence"],
}


@pytest.mark.parametrize("trouble", BROKEN)
def test_what_happens_to_a_worker_ends_in_a_sentence(trouble, refused, nobody_left, capfd):
    started = time.monotonic()
    with refused(*BROKEN[trouble]):
        env = line(
            workers=2,
            trouble=None if trouble == "kill" else trouble,
            timeout=3 if trouble == "sleep" else 60,
        )
        td = env.reset()
        td = env.step_and_maybe_reset(env.rand_action(td))[1]
        if trouble == "kill":
            os.kill(env.copies.workers[1].process.pid, signal.SIGKILL)
        started = time.monotonic()
        env.step(env.rand_action(td))
    assert time.monotonic() - started < 15
    if trouble == "raise":
        assert (
            'raise RuntimeError("the simulator says no' in capfd.readouterr().err
        )  # the traceback, before the sentence
    if trouble != "make":
        with refused("the workers of this environment have ended"):
            env.step(env.rand_action(td))
        env.close()


def test_what_cannot_be_sent_to_a_worker(refused, nobody_left):
    with refused("cannot be sent to a worker", "top of a module"):
        PettingZoo(lambda: zoo.Line(), workers=2, num_envs=2)


def test_signals_to_everybody_are_the_parents_business(nobody_left):
    """Ctrl-C reaches the whole group: the worker lives on, so that the iteration can be finished."""
    env = line(workers=1)
    td = env.rand_action(env.reset())
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(env.copies.workers[0].process.pid, number)
    assert env.step(td)["next", "episode", "length"].tolist() == [[1], [1]]
    del env, td  # without close


ORPHAN = """
import sys
sys.path.insert(0, sys.argv[1])
if __name__ == "__main__":
    import numpy, zoo
    from ilvf.envs.pettingzoo.workers import WorkerCopies
    copies = WorkerCopies(zoo.sleeper, 1, workers=1, timeout=60)
    copies.reset({0: 0})
    print(copies.workers[0].process.pid, flush=True)
    copies.step(numpy.zeros((1, 3), int))
"""


def test_a_worker_dies_with_its_parent(tmp_path):
    """Even while it hangs."""
    script = tmp_path / "script.py"
    script.write_text(ORPHAN)
    parent = subprocess.Popen(
        [sys.executable, script, ROOT / "tests"], stdout=subprocess.PIPE, text=True
    )
    worker = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs([worker], timeout=20)
    assert not alive


# ---------------------------------------------------------------------- runs
def test_a_run_that_loses_a_worker_can_be_resumed(out, recipe, capsys, tmp_path):
    """In its third iteration, by SIGKILL: one sentence, exit code 2; then the run goes on, in the same MLflow run."""
    small = [a for a in TINY if not a.startswith("env.")]
    task = ["env=pettingzoo", "env.task=zoo", "env.workers=2", "algorithm.eval_steps=3"]
    kwargs = {"limit": 100, "trouble": "kill", "when": 25, "flag": tmp_path / "flag"}
    own = [*task, *(f"env.kwargs.{k}={v}" for k, v in kwargs.items())]
    assert recipe("mappo", *small, *own, f"out={out}", "trainer.max_epochs=4") == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("error: worker ")
    assert "was killed by SIGKILL in step 25" in said
    (last,) = out.glob("*/checkpoints/last.ckpt")
    assert torch.load(last, weights_only=True)["ilvf"]["state"]["frames"] == 2 * 40
    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("pettingzoo/zoo").experiment_id
    assert [r.info.status for r in client.search_runs([experiment])] == ["FAILED"]

    assert recipe("mappo", "resume=last", f"out={out}", "trainer.max_epochs=4") == 0
    (run,) = client.search_runs([experiment])
    assert run.info.status == "FINISHED"
    assert [m.step for m in client.get_metric_history(run.info.run_id, "reward/agent_step")] == [
        40,
        80,
        120,
        160,
    ]
    assert not children()


@pytest.mark.parametrize("workers", [0, 2])
def test_agents_die_in_a_run(workers, out, recipe):
    """Bob ends in every second step, ann and cat in the fourth."""
    small = [a for a in TINY if not a.startswith("env.")]
    task = [
        "env=pettingzoo",
        "env.task=zoo",
        f"env.workers={workers}",
        "env.dying=true",
        "env.horizon=4",
    ]
    assert recipe("ilvf_p", *small, *task, "env.kwargs.ends={bob: 2, ann: 3}", f"out={out}") == 0
    assert not children()


def test_there_is_no_audit(refused):
    with refused("PettingZoo has no get_state and set_state"):
        visited_states(line(), None)


def test_a_resumed_run_begins_other_episodes():
    """The same ones each time it is resumed."""
    fresh = line().reset()["agents", "state"]
    saved = save_run_state(line(), 40, "")
    starts = []
    for _ in range(2):
        env = line()
        load_env(saved, env, 0, 1)
        starts.append(env.reset()["agents", "state"])
    assert torch.equal(*starts)
    assert not torch.equal(starts[0], fresh)


def test_the_command_line_knows_the_tasks_arguments(refused):
    recipe = str(ROOT / "recipes" / "mappo.py")
    own = ["env=pettingzoo", "env.kwargs={N: 4, local_ratio: 0.2}", "env.kwargs.max_cycles=9"]
    cfg = command_line(recipe, "", own)["env"]
    assert cfg["kwargs"] == {"N": 4, "local_ratio": 0.2, "max_cycles": 9}
    env = make_env(**cfg)
    assert (env.n_agents, env.horizon) == (4, 9)
    with refused("env.kwargs.N", "unknown key"):
        command_line(recipe, "", ["env=encircle", "env.kwargs.N=4"])
    with refused("unknown key 'env.kwarg.N'"):
        command_line(recipe, "", ["env=pettingzoo", "env.kwarg.N=4"])


# ---------------------------------------------------------------------- ours as PettingZoo's
@pytest.mark.parametrize("name", SCENARIOS)
class TestAsPettingZoo:
    def test_pettingzoos_own_tests(self, name):
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            parallel_api_test(as_pettingzoo(name), num_cycles=60)
            parallel_seed_test(lambda: as_pettingzoo(name), num_cycles=20)

    def test_there_and_back_again(self, name):
        """The same numbers as the batched scenario, over the ends of episodes."""
        back = PettingZoo(functools.partial(as_pettingzoo, name), num_envs=2, seed=1)
        assert back.horizon == make_env(name).horizon
        there = play(back, min(back.horizon + 10, 130), None)
        for k in range(2):
            env = make_env(name, num_envs=1, seed=1 + SEED_STRIDE * k)
            td = env.reset()
            for t in range(there.shape[1]):
                row = there[k, t]
                full, td = env.step_and_maybe_reset(
                    td.set(("agents", "action"), row["agents", "action"][None])
                )
                for mine, ours in ((full[0], row), (full[0]["next"], row["next"])):
                    seen = env.observation_mask
                    assert torch.equal(
                        mine["agents", "observation"][seen],
                        ours["agents", "observation"][ours["agents", "observation_mask"]],
                    )
                    assert torch.equal(mine["agents", "state"], ours["agents", "state"])
                    if env.masked:
                        assert torch.equal(
                            mine["agents", "action_mask"], ours["agents", "action_mask"]
                        )
                for key in (("agents", "reward"), "done", "terminated", "truncated"):
                    assert torch.equal(full[0]["next", key], row["next", key])


def test_as_pettingzoo_says_what_it_needs(refused):
    env = as_pettingzoo("encircle", n_agents=4, horizon=2)
    with refused("reset() begins"):
        env.step({})
    env.reset(seed=0)
    with refused("agent_3 has none"):
        env.step({"agent_0": 0, "agent_1": 0, "agent_2": 0})
    with refused("agent_1", "9", "0 to 4"):
        env.step({**dict.fromkeys(env.agents, 0), "agent_1": 9})
    with refused("num_envs=2"):
        as_pettingzoo(Encircle(4, num_envs=2))
    with refused("n_agents", "ready environment"):
        as_pettingzoo(Encircle(4), n_agents=4)
    with refused("render_mode='human'", "rgb_array"):
        as_pettingzoo("encircle", render_mode="human")
    with refused("render_mode='rgb_array'"):
        as_pettingzoo("tabular", render_mode="rgb_array")
    with refused("no scenario of this library"):
        as_pettingzoo(line())


def test_as_pettingzoo_in_full():
    """Observations without padding, states, statistics at the end, pictures."""
    env = as_pettingzoo(Encircle(4, horizon=2), render_mode="rgb_array")
    seen, infos = env.reset(seed=0)
    assert [env.observation_space(a).shape for a in env.agents] == [
        (18,),
        (6,),
        (18,),
        (6,),
    ]  # even numbers see less
    assert all(env.observation_space(a).contains(seen[a]) for a in env.agents)
    assert np.array_equal(env.state(), np.concatenate([infos[a]["state"] for a in env.agents]))
    assert env.state_space.contains(env.state())
    first = env.render()
    assert first.dtype == np.uint8
    assert first.shape[-1] == 3
    total = 0.0
    for _ in range(2):
        *_, infos = out = env.step(dict.fromkeys(env.agents, 2))
        total += sum(out[1].values())
    assert (first != env.render()).any()
    assert infos["agent_0"]["episode"]["return"] == pytest.approx(total)
    assert out[3] == dict.fromkeys(env.possible_agents, True)  # truncated
    assert env.agents == []
    env.close()
    one = as_pettingzoo(Tabular("hidden_pairs"))
    assert one.env.observation_mask.sum(-1).tolist() == [
        one.observation_space(a).shape[0] for a in one.possible_agents
    ]


def test_the_modules_show_themselves(capsys):
    from ilvf.envs.pettingzoo.env import main

    main("zoo")
    assert "cat" in capsys.readouterr().out
    with pytest.raises(UsageError):
        main("zoo:nothing")


def test_a_graph_that_the_task_does_not_know(recipe, out, capsys):
    """A PettingZoo task says nothing of who enters whose reward."""
    task = ["env=pettingzoo", "env.task=zoo", "algorithm.influence=reward_graph", f"out={out}"]
    assert recipe("ilvf_p", *task) == 2
    assert "does not know its reward_graph" in capsys.readouterr().err
