"""What a run refuses: each error is one sentence, with exit code 2."""

import re
import warnings

import pytest
import torch
from tqdm import tqdm

import ilvf
from helpers import TINY
from ilvf.errors import plain_warnings
from run_helpers import only_mlflow_run, only_run


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("algorithm.taw=1", "algorithm.taw"),
        ("env.n_agents=7", "n_agents=7"),
        ("episodes=3", "did you mean 'algorithm.eval_episodes'"),
        ("algorithm.lr=-1", "lr=-1"),
        ("algorithm.tau=0", "tau=0"),
        ("algorithm.influence=all", "algorithm.influence='all'"),
        ("algorithm.discretise=hard", "algorithm.discretise='hard'"),
        ("seeds=a-b", "seeds=a-b"),
        ("seeds=", "seeds= has no value; write seeds=null"),
        ("env.n_agents= ", "env.n_agents= has no value"),
        ("trainer.max_epochs=0", "trainer.max_epochs=0"),
        ("trainer.accelerator=abacus", "abacus"),
        ("resume=last", "no run with a checkpoint"),
    ],
)
def test_a_bad_argument(out, recipe, capsys, argument, words):
    assert recipe("ilvf_p", f"out={out}", argument) == 2
    sentence = capsys.readouterr().err
    assert sentence.startswith("error: ")
    assert sentence.count("\n") == 1
    assert words in sentence


def test_a_warning_of_this_library_is_one_sentence(monkeypatch):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)  # undone afterwards
    plain_warnings()
    plain_warnings()
    ours = warnings.formatwarning("few units", UserWarning, ilvf.__file__, 3)
    assert ours == "warning: few units\n"
    others = warnings.formatwarning("few units", UserWarning, "other.py", 3)
    assert others.startswith("other.py:3: UserWarning: few units")


def test_a_warning_has_a_line_of_its_own_beside_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    plain_warnings()
    with tqdm(total=3):
        text = warnings.formatwarning("few units", UserWarning, ilvf.__file__, 3)
    assert text == "\nwarning: few units\n"


def test_an_output_folder_below_a_file(out, recipe, capsys):
    (out / "file").write_text("")
    assert recipe("ilvf_p", *TINY, f"out={out / 'file' / 'runs'}") == 2
    assert re.search(r"error: out=.*cannot be made \(Not a directory\)", capsys.readouterr().err)


# ---------------------------------------------------------------------- checkpoints
@pytest.fixture
def checkpoint(out, recipe, capsys):
    """The last checkpoint of a finished run of ILVF-P below `out`."""
    assert recipe("ilvf_p", *TINY, f"out={out}") == 0
    capsys.readouterr()
    return only_run(out) / "checkpoints" / "last.ckpt"


def test_a_checkpoint_of_another_configuration(out, checkpoint, recipe, capsys):
    refusals = {
        "env.n_agents=6": r"does not fit this config: n_agents is 4 there, 6 here",
        "algorithm.shared_first=true": r"does not fit.*loss\.critic.* there, .* here",
        "algorithm.num_envs=6": r"4} environments a process, this run 6",
        "algorithm.input_norm=none": r"input_norm is layer there, none here",  # equal shapes
        "preset=paper": r"error: ",
    }
    for argument, pattern in refusals.items():
        assert recipe("ilvf_p", f"resume={checkpoint}", f"out={out}", argument) == 2
        assert re.search(pattern, capsys.readouterr().err), argument
    assert only_mlflow_run(out).info.status == "FINISHED"  # the run itself is untouched


def test_a_checkpoint_of_another_algorithm(out, checkpoint, recipe, capsys):
    assert recipe("mappo", f"resume={checkpoint}", f"out={out}") == 2
    assert re.search(
        r"is of ilvf_p, .* trains mappo; write ilvf train ilvf_p", capsys.readouterr().err
    )


def test_a_truncated_checkpoint(out, checkpoint, recipe, capsys):
    truncated = out / "truncated.ckpt"
    truncated.write_bytes(checkpoint.read_bytes()[:5000])
    assert recipe("ilvf_p", f"resume={truncated}", f"out={out}") == 2
    assert "truncated.ckpt cannot be read, it is truncated" in capsys.readouterr().err


def test_a_file_of_another_program(tmp_path, recipe, capsys):
    torch.save({"something": 1}, tmp_path / "other.ckpt")
    assert recipe("evaluate", f"checkpoint={tmp_path / 'other.ckpt'}") == 2
    assert "not a checkpoint of this library" in capsys.readouterr().err
