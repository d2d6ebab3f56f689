"""Checkpoints that somebody has edited: each wrong entry is named before the run goes on.

The checksums do not help here, because an editor can write them again.
"""

import copy
import itertools

import lightning as L
import pytest
import torch

import ilvf
from helpers import ROOT
from ilvf.checkpoints.files import read_checkpoint
from ilvf.checkpoints.fit import require_fit, require_same_size
from ilvf.checkpoints.lightning_state import FIT_LOOP
from ilvf.checkpoints.state import load_env, load_generators
from ilvf.checkpoints.verify import checksum_of
from ilvf.commands.evaluate import trained_actor
from ilvf.errors import UsageError
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema

RUNS = ROOT / "tests" / "reference" / "version_0_1"
GOOD = RUNS / "ilvf_p" / "checkpoints" / "last.ckpt"
MISSING = object()
RANK = ("ilvf", "state", "ranks", 0)
ADAM = ("optimizer_states", 0)
LOOP = ("loops", "fit_loop")


def edited(content, path, value):
    """A copy of nested content with another value at a path; `MISSING` removes the entry."""
    name, *rest = path
    changed = dict(content) if isinstance(content, dict) else list(content)
    if value is MISSING and not rest:
        changed.pop(name)
    else:
        changed[name] = edited(content[name], rest, value) if rest else value
    return changed if isinstance(changed, dict) else type(content)(changed)


@pytest.fixture(scope="module")
def good():
    return read_checkpoint(GOOD)


@pytest.fixture(scope="module")
def module():
    """The module that continues the checkpoint."""
    return build(resolve(training_schema("ilvf_p"), [f"resume={GOOD}"]))


@pytest.fixture
def write(tmp_path, good):
    """write(path, value) writes the edited checkpoint; returns its file."""

    def write_edited(path, value):
        file = tmp_path / "mine.ckpt"
        torch.save(edited(good, path, value), file)
        return file

    return write_edited


def resume(file, module):
    """Everything that a run checks and restores before it trains, but what Lightning restores."""
    resolve(training_schema("ilvf_p"), [f"resume={file}"])
    content = read_checkpoint(file)
    require_fit(file, content, module)
    require_same_size(content, 1, 4)
    state = content["ilvf"]["state"]
    env = module.make_env(num_envs=4, seed=0)
    load_env(state, env, 0, 1)
    load_generators(state, env, 0)


def test_the_checkpoint_is_good(module):
    resume(GOOD, module)


def test_the_form_of_the_loops_is_lightnings():
    trainer = L.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    assert trainer.fit_loop.state_dict() == FIT_LOOP


NAN = torch.full((4, 18, 8), float("nan"))
WRONG = [
    # what Lightning restores
    (("pytorch-lightning_version",), MISSING, "pytorch-lightning_version"),
    (("pytorch-lightning_version",), "0.1", "pytorch-lightning_version is '0.1'"),
    (("pytorch-lightning_version",), "words", "pytorch-lightning_version is 'words'"),
    (("global_step",), "words", "global_step"),
    (("loops",), MISSING, "loops"),
    (("loops",), {}, "loops.fit_loop"),
    ((*LOOP, "state_dict"), 5, "loops.fit_loop.state_dict is a int"),
    ((*LOOP, "epoch_progress"), MISSING, "epoch_progress"),
    ((*LOOP, "epoch_progress", "total"), {}, "epoch_progress.total.ready"),
    ((*LOOP, "epoch_progress", "current", "ready"), None, "epoch_progress.current.ready is null"),
    ((*LOOP, "epoch_progress", "current", "completed"), 1, "epoch is 2, but its loops have 1"),
    ((*LOOP, "epoch_loop.batch_progress"), [], "epoch_loop.batch_progress is a list"),
    ((*LOOP, "epoch_loop.batch_progress", "is_last_batch"), 1, "is_last_batch is 1"),
    ((*LOOP, "epoch_loop.batch_progress", "total", "ready"), -1, "ready is -1"),
    (("callbacks",), "words", "callbacks"),
    (("callbacks", "ModelCheckpoint"), 5, "callbacks of ModelCheckpoint is a int"),
    (("lr_schedulers",), 5, "lr_schedulers"),
    # the optimizer
    (("optimizer_states",), MISSING, "optimizer_states"),
    (("optimizer_states",), [], "one optimizer"),
    (("optimizer_states",), [5], "one optimizer"),
    ((*ADAM, "state"), {}, "it has no moments"),
    ((*ADAM, "state"), 5, "optimizer cannot be restored"),
    ((*ADAM, "state", 99), {}, "there is no parameter 99"),
    ((*ADAM, "state", 0), torch.zeros(3), "optimizer cannot be restored"),
    ((*ADAM, "state", 0, "exp_avg"), MISSING, "no entry 'exp_avg'"),
    ((*ADAM, "state", 0, "exp_avg"), 5, "optimizer cannot be restored"),
    ((*ADAM, "state", 0, "exp_avg"), torch.zeros(4, 18), "float32 (4, 18), not"),
    ((*ADAM, "state", 0, "exp_avg"), NAN, "exp_avg of parameter 0 is not finite"),
    ((*ADAM, "state", 0, "exp_avg_sq"), torch.zeros(4, 18, 8).long(), "int64 (4, 18, 8), not"),
    ((*ADAM, "state", 0, "exp_avg_sq"), -torch.ones(4, 18, 8), "negative"),
    ((*ADAM, "state", 0, "step"), torch.zeros(3), "step of parameter 0"),
    ((*ADAM, "param_groups"), [], "0 groups of parameters, not 2"),
    ((*ADAM, "param_groups", 0), [], "optimizer cannot be restored"),
    ((*ADAM, "param_groups", 0, "params"), [1, 0, 2, 3, 4, 5], "parameters of actor are others"),
    ((*ADAM, "param_groups", 0, "name"), MISSING, "name of a group is missing"),
    ((*ADAM, "param_groups", 0, "betas"), 0.9, "betas is 0.9"),
    ((*ADAM, "param_groups", 1, "weight_decay"), 0.5, "weight_decay is 0.5, not 0"),
    # generators
    ((*RANK, "generators", "python"), 5, "random generators of process 0 cannot be restored"),
    ((*RANK, "generators", "python"), (3, (1, 2), None), "state vector is the wrong size"),
    ((*RANK, "generators", "numpy"), MISSING, "no entry 'numpy'"),
    ((*RANK, "generators", "numpy", 1), torch.zeros(3), "random generators"),
    ((*RANK, "generators", "torch"), "words", "random generators"),
    ((*RANK, "generators", "cuda"), [5], "random generators"),
    # environments
    ((*RANK, "env", "position"), MISSING, "position is missing"),
    ((*RANK, "env", "position"), 5, "environments cannot be restored"),
    ((*RANK, "env", "position"), torch.zeros(4, 4, 3), "(4, 4, 3)), not"),
    ((*RANK, "env", "step"), torch.zeros(4), "step is (torch.float32"),
    ((*RANK, "env", "rng"), "words", "random generators cannot be restored"),
    # the rest
    (("epoch",), -1, "epoch is -1"),
    (("epoch",), 10**30, "beyond 2^64"),
    (("ilvf", "run"), 5, "ilvf.run must be the id of a run"),
    (("ilvf", "run"), MISSING, "ilvf.run must be the id of a run"),
    (("ilvf", "state", "frames"), -5, "frames is -5"),
    (("ilvf", "wall_s"), float("nan"), "wall_s is nan"),
    (("ilvf", "wall_s"), 10**400, "beyond 2^64"),
    (("ilvf", "actor", "n_agents"), "4", "n_agents is 4 there, 4 here"),
    (("ilvf", "actor", "n_agents"), torch.zeros(3), "n_agents is tensor"),
    (("ilvf", "config", "recipe"), 5, "ilvf.config.recipe is a int"),
    (("ilvf", "config", "trainer"), 5, "ilvf.config.trainer is a int"),
    (("ilvf", "config", "algorithm", "tau"), torch.zeros(3), "algorithm.tau is a Tensor"),
]


@pytest.mark.parametrize(
    ("path", "value", "words"), WRONG, ids=[f"{w[0][-1]}-{k}" for k, w in enumerate(WRONG)]
)
def test_a_wrong_entry_is_one_sentence(path, value, words, write, module, refused):
    with refused(words):
        resume(write(path, value), module)


MODEL_CHECKPOINT = {
    "monitor": None,
    "best_model_score": None,
    "best_model_path": "/runs/a/checkpoints/last.ckpt",
    "current_score": None,
    "dirpath": "/runs/a/checkpoints",
    "best_k_models": {},
    "kth_best_model_path": "",
    "kth_value": torch.tensor(1.0),
    "last_model_path": "",
}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("best_model_path", MISSING),
        ("best_model_path", 5),
        ("best_model_path", "local:///home/somebody/thesis.txt"),
        ("best_model_path", "relative.ckpt"),
        ("kth_best_model_path", "/runs/a/checkpoints/../../../home/somebody/thesis.txt"),
        ("last_model_path", "s3://bucket/file"),
        ("dirpath", "filecache::/runs"),
        ("best_k_models", []),
        ("best_k_models", {"data:x": torch.tensor(1.0)}),
        ("best_k_models", {"/runs/a/checkpoints/best.ckpt": "words"}),
        ("kth_value", torch.zeros(3)),
        ("current_score", "words"),
    ],
)
def test_wrong_scores_and_paths_of_kept_checkpoints(name, value, write, module, refused):
    state = edited(MODEL_CHECKPOINT, [name], value)
    with refused("ModelCheckpoint", name):
        resume(write(("callbacks", "ModelCheckpoint{}"), state), module)


def test_plain_scores_and_paths_of_kept_checkpoints(write, module):
    resume(write(("callbacks", "ModelCheckpoint{}"), MODEL_CHECKPOINT), module)


def test_a_checkpoint_cannot_delete_a_file(good, tmp_path, out, recipe):
    """Lightning would delete the file that an address names when it saves its next checkpoint."""
    victim = tmp_path / "thesis.txt"
    victim.touch()
    content = copy.deepcopy(good)
    for state in content["callbacks"].values():
        state["best_model_path"] = f"local://{victim}"
    torch.save(content, tmp_path / "mine.ckpt")
    more = ("trainer.max_epochs=4", "trainer.progress=false")
    assert recipe("ilvf_p", f"resume={tmp_path / 'mine.ckpt'}", f"out={out}", *more) == 2
    assert victim.exists()


# ---------------------------------------------------------------------- all entries
def paths_of(content, path=()):
    """The paths of all entries; of lists and of the moments only the first two."""
    if path:
        yield path
    if path in (("state_dict",), ("ilvf", "config"), ("loops", "predict_loop")):
        return
    entries = []
    if isinstance(content, dict):
        entries = list(content.items())
    elif isinstance(content, list | tuple):
        entries = list(enumerate(content))[:2]
    for name, inner in entries[:2] if path == (*ADAM, "state") else entries:
        yield from paths_of(inner, (*path, name))


@pytest.mark.slow
def test_no_entry_ends_in_a_traceback(good, write, module):
    """Each entry gets one of these values in turn."""
    values = itertools.cycle(["words", MISSING, -7, None, [], {}, torch.zeros(3), 10**30, 1.5])
    sentences = []
    for path in paths_of(good):
        try:
            resume(write(path, next(values)), module)
        except UsageError as error:
            sentences.append(str(error))
    assert len(sentences) > 120
    assert not any("\n" in sentence for sentence in sentences)


# ---------------------------------------------------------------------- strange structures
def test_a_config_that_contains_itself(good, tmp_path, refused):
    content = copy.deepcopy(good)
    content["ilvf"]["config"]["env"]["kwargs"] = content["ilvf"]["config"]["env"]
    torch.save(content, tmp_path / "mine.ckpt")
    with refused("mine.ckpt", "nested more than"):
        read_checkpoint(tmp_path / "mine.ckpt")


def test_a_few_lists_that_mean_billions_of_values(good, tmp_path, refused, monkeypatch):
    monkeypatch.setattr("ilvf.checkpoints.verify.MOST", 10_000)
    value = [0] * 10
    for _ in range(12):
        value = [value] * 10
    torch.save(edited(good, ["ilvf", "actor", "hidden"], value), tmp_path / "mine.ckpt")
    with refused("mine.ckpt", "10000 values"):
        read_checkpoint(tmp_path / "mine.ckpt")


@pytest.mark.parametrize("change", [torch.Tensor.to_sparse, torch.Tensor.bfloat16])
def test_weights_of_a_strange_kind(change, good, tmp_path, refused):
    name = next(iter(good["state_dict"]))
    strange = change(good["state_dict"][name])
    torch.save(edited(good, ["state_dict", name], strange), tmp_path / "mine.ckpt")
    with refused("mine.ckpt", "cannot be restored"):
        read_checkpoint(tmp_path / "mine.ckpt")


def test_weights_of_another_type_of_number(good, tmp_path, module, refused):
    name = next(iter(good["state_dict"]))
    content = edited(good, ["state_dict", name], good["state_dict"][name].double())
    digest = checksum_of(content["state_dict"])
    torch.save(edited(content, [*RANK, "checksum"], digest), tmp_path / "mine.ckpt")
    with refused("float64", "float32"):
        resume(tmp_path / "mine.ckpt", module)


# ---------------------------------------------------------------------- actors and replay buffers
@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("kind", [], "of the kind []"),
        ("kind", "os.system", "os.system"),
        ("n_agents", MISSING, "missing 1 required"),
        ("n_agents", "four", "n_agents is 'four'"),
        ("n_agents", -4, "actor cannot be restored"),
        ("n_agents", 10**9, "n_agents is 1000000000, more than"),
        ("observation_dim", 5, "size mismatch"),
        ("hidden", 10**9, "hidden is 1000000000, more than"),
        ("depth", 10**9, "depth is 1000000000, more than"),
        ("depth", -1, "depth"),
        ("masked", "words", "masked is 'words'"),
        ("group", None, "group is null"),
        ("colour", "red", "has no option 'colour'"),
    ],
)
def test_a_wrong_argument_of_the_actor(name, value, words, write, refused):
    file = write(("ilvf", "actor", name), value)
    with refused("mine.ckpt", words):
        ilvf.load_policy(file)


@pytest.mark.parametrize(("name", "value"), [("group", "robots"), ("masked", True)])
def test_an_actor_that_reads_what_the_environment_does_not_write(
    name, value, write, module, refused
):
    file = write(("ilvf", "actor", name), value)
    with refused("mine.ckpt", "another environment"):
        trained_actor(module.make_env(num_envs=2), file)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("files", ["a.pt", "b.pt"]),
        ("position", 3),
        ("position", -1),
        ("written", 2),
        ("pieces", 2),
        ("pieces", 9),
    ],
)
def test_a_replay_buffer_whose_numbers_do_not_fit(name, value, tmp_path, refused):
    content = read_checkpoint(RUNS / "qmix" / "checkpoints" / "last.ckpt")
    torch.save(edited(content, [*RANK, "replay", name], value), tmp_path / "mine.ckpt")
    with refused("mine.ckpt", "do not fit its files"):
        read_checkpoint(tmp_path / "mine.ckpt")


def test_an_off_policy_run_without_a_replay_buffer(tmp_path, refused):
    content = read_checkpoint(RUNS / "qmix" / "checkpoints" / "last.ckpt")
    torch.save(edited(content, [*RANK, "replay"], MISSING), tmp_path / "mine.ckpt")
    with refused("has no entry replay of process 0"):
        resolve(training_schema("qmix"), [f"resume={tmp_path / 'mine.ckpt'}"])
