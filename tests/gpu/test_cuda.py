"""Training on a CUDA device; without one these tests are skipped: `pytest tests/gpu`."""

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from ilvf.algorithms.options import ALGORITHMS
from ilvf.checkpoints.files import AtomicCheckpoints
from ilvf.checkpoints.fit import require_fit
from ilvf.experiment.build import build
from ilvf.experiment.config import resolve
from ilvf.experiment.options import training_schema

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
TINY = (
    "env.n_agents=4",
    "env.horizon=10",
    "algorithm.num_envs=8",
    "algorithm.rollout_steps=10",
    "algorithm.hidden=16",
    "algorithm.eval_every=2",
    "algorithm.eval_episodes=3",
)
PREY = ("env=capture_prey", *TINY[1:])


def module_of(name, *arguments):
    torch.manual_seed(0)
    return build(resolve(training_schema(name), arguments))


def trainer_on(accelerator, folder, iterations=3, *callbacks, **options):
    settings = {
        "accelerator": accelerator,
        "devices": 1,
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "plugins": [AtomicCheckpoints()],
        "default_root_dir": folder,
        "callbacks": list(callbacks),
    }
    return Trainer(max_epochs=iterations, **{**settings, **options})


@pytest.mark.parametrize("name", ALGORITHMS)
def test_every_algorithm_trains_on_the_device(name, tmp_path):
    module = module_of(name, *TINY)
    before = [p.clone() for p in module.parameters()]
    trainer_on("gpu", tmp_path).fit(module)
    assert module.last_metrics["frames"] > 0
    assert all(torch.isfinite(p).all() for p in module.parameters())
    assert any(
        not torch.equal(a, b.cpu()) for a, b in zip(before, module.parameters(), strict=True)
    )


@pytest.mark.parametrize("name", ["ilvf_p", "qmix"])
@pytest.mark.parametrize(("first", "second"), [("gpu", "cpu"), ("cpu", "gpu"), ("gpu", "gpu")])
def test_a_checkpoint_of_one_device_continues_on_the_other(name, first, second, tmp_path):
    module = module_of(name, *TINY)
    trainer = trainer_on(first, tmp_path)
    trainer.fit(module)
    path = tmp_path / "x.ckpt"
    trainer.save_checkpoint(path)
    again = module_of(name, *TINY)
    content = torch.load(path, map_location="cpu", weights_only=True)
    require_fit(path, content, again)
    trainer_on(second, tmp_path, 5).fit(again, ckpt_path=path)
    assert again.frames > module.frames


def test_bf16_trains(tmp_path):
    module = module_of("ilvf_p", *TINY)
    trainer_on("gpu", tmp_path, precision="bf16-mixed").fit(module)
    assert all(torch.isfinite(p).all() for p in module.parameters())


class Synchronisations(Callback):
    """Counts the host synchronisations of an iteration, evaluation left out."""

    def __init__(self):
        self.counts = []

    def on_train_epoch_start(self, trainer, module):
        torch.cuda.set_sync_debug_mode("warn")


@pytest.mark.parametrize("arguments", [TINY, PREY], ids=["encircle", "prey"])
def test_an_iteration_hardly_synchronises(arguments, tmp_path, recwarn):
    """One transfer of the metrics, and what Lightning itself does; not one per step."""
    module = module_of("ilvf_p", *arguments, "algorithm.eval_every=100")
    trainer_on("gpu", tmp_path, 4, Synchronisations(), enable_checkpointing=False).fit(module)
    torch.cuda.set_sync_debug_mode("default")
    found = [str(w.message) for w in recwarn if "synchroniz" in str(w.message)]
    per_iteration = len(found) / 4
    print(f"{per_iteration:.1f} synchronisations an iteration")
    assert per_iteration < 10
