"""Files from elsewhere are data: nothing in them runs, and no file that they name is written."""

import pickle
import shutil

import pytest
import torch

import ilvf
from helpers import ROOT
from ilvf.checkpoints.files import read_checkpoint
from ilvf.checkpoints.verify import checksum_of
from ilvf.data.replay import read_rollout
from ilvf.errors import UsageError
from ilvf.experiment.config import resolve
from ilvf.experiment.metrics_file import read_rows
from ilvf.experiment.options import training_schema

OLD = ROOT / "tests" / "reference" / "version_0_1" / "ilvf_p" / "checkpoints" / "last.ckpt"
READERS = ["evaluate", "audit", "influence", "traffic", "ilvf_p"]


class Payload:
    """Unpickling it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.fixture
def victim(tmp_path):
    """A path that no file may be made at."""
    path = tmp_path / "victim"
    yield path
    assert not path.exists()


@pytest.fixture
def foreign(tmp_path):
    """foreign(env): a valid checkpoint whose config has another environment."""

    def write(env, **config):
        content = read_checkpoint(OLD)
        content["ilvf"]["config"] |= {"env": env, **config}
        torch.save(content, tmp_path / "foreign.ckpt")
        return tmp_path / "foreign.ckpt"

    return write


def argument(reader, path):
    return f"{'resume' if reader == 'ilvf_p' else 'checkpoint'}={path}"


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("task", "kwargs"),
    [
        ("os:system", {"command": "touch {victim}"}),
        ("subprocess:getoutput", {"cmd": "touch {victim}"}),
        ("pathlib:Path.touch", {}),
        ("builtins:open", {"file": "{victim}", "mode": "w"}),
        ("mpe2.simple_spread_v3:os.system", {"command": "touch {victim}"}),
    ],
)
def test_a_checkpoint_does_not_choose_what_code_runs(
    reader, task, kwargs, foreign, victim, recipe, capsys
):
    kwargs = {key: value.format(victim=victim) for key, value in kwargs.items()}
    path = foreign({"name": "pettingzoo", "task": task, "kwargs": kwargs})
    assert recipe(reader, argument(reader, path)) == 2
    error = capsys.readouterr().err
    assert "imports code" in error
    assert "env.task=" in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    "options",
    [
        {"options": "--summary-output {victim}"},
        {"tripinfo": "{victim}"},
        {"additional": "{victim}.add.xml"},
    ],
)
def test_a_checkpoint_does_not_choose_which_files_are_written(
    reader, options, foreign, victim, recipe, capsys
):
    options = {key: value.format(victim=victim) for key, value in options.items()}
    path = foreign({"name": "sumo", "net_file": "a.net.xml", "routes": "a.rou.xml", **options})
    assert recipe(reader, argument(reader, path)) == 2
    error = capsys.readouterr().err
    assert f"env.{next(iter(options))}=" in error
    assert "on the command line" in error


@pytest.mark.parametrize("reader", ["audit", "influence"])
def test_a_checkpoint_does_not_choose_the_code_of_its_influence(
    reader, foreign, victim, recipe, capsys, tmp_path, monkeypatch
):
    (tmp_path / "payload.py").write_text(f"open({str(victim)!r}, 'w')\nraise ImportError\n")
    monkeypatch.syspath_prepend(tmp_path)
    content = read_checkpoint(OLD)["ilvf"]["config"]
    algorithm = {**content["algorithm"], "influence": "payload:find"}
    path = foreign(content["env"], algorithm=algorithm)
    assert recipe(reader, f"checkpoint={path}") == 2
    error = capsys.readouterr().err
    assert "algorithm.influence='payload:find', which imports code" in error
    assert "trust=true" in error


def test_the_user_can_allow_it(foreign):
    path = foreign({"name": "pettingzoo", "task": "my.package", "kwargs": {"n": 3}})
    given = [f"resume={path}", "env.task=my.package"]
    assert resolve(training_schema("ilvf_p"), given).env.task == "my.package"


@pytest.mark.parametrize(
    "env",
    [
        {"name": "pettingzoo", "task": "mpe2.simple_spread_v3"},
        {"name": "gymnasium", "task": "Foraging-8x8-2p-3f-v3"},
        {"name": "gymnasium", "task": "rware-tiny-2ag-v2"},
        {"name": "vmas", "task": "balance"},
    ],
)
def test_a_known_package_needs_no_confirmation(env, foreign):
    config = resolve(training_schema("ilvf_p"), [f"resume={foreign(env)}"])
    assert config.env.task == env["task"]


@pytest.mark.parametrize("task", ["rware:rware-tiny-2ag-v2", "my.package:Foraging-v0", "Other-v0"])
def test_other_names_in_gymnasium_need_one(task, foreign, refused):
    path = foreign({"name": "gymnasium", "task": task})
    with refused("imports code", "env.task="):
        resolve(training_schema("ilvf_p"), [f"resume={path}"])


@pytest.mark.parametrize("where", ["env", "algorithm"])
def test_interpolations_are_not_resolved(where, foreign, refused, monkeypatch):
    monkeypatch.setenv("SECRET", "hidden")
    config = {"env": {"name": "tabular", "game": "${oc.env:SECRET}"}}
    if where == "algorithm":
        config = {"env": {"name": "tabular"}, "algorithm": {"target": "${oc.env:SECRET}"}}
    path = foreign(config.pop("env"), **config)
    with refused("${oc.env:SECRET}", "not allowed"):
        resolve(training_schema("ilvf_p"), [f"resume={path}"])


@pytest.mark.parametrize("text", ["out=${oc.env:HOME}", "env.kwargs.a=${oc.env:HOME}"])
def test_interpolations_on_the_command_line_are_refused(text, refused):
    with refused("${oc.env:HOME}", "not allowed"):
        resolve(training_schema("ilvf_p"), ["env=pettingzoo", text])


def test_an_unknown_recipe_is_not_imported(foreign, recipe, capsys):
    path = foreign({"name": "encircle", "n_agents": 4}, recipe="os")
    assert recipe("audit", f"checkpoint={path}") == 2
    assert "'os' is not known" in capsys.readouterr().err


# ---------------------------------------------------------------------- pickles
@pytest.mark.parametrize("reader", READERS)
def test_a_pickle_in_a_checkpoint_does_not_run(reader, tmp_path, victim, recipe, capsys):
    torch.save({"ilvf": Payload(victim), "state_dict": {}}, tmp_path / "evil.ckpt")
    assert recipe(reader, argument(reader, tmp_path / "evil.ckpt")) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_a_bare_pickle_does_not_run(tmp_path, victim):
    (tmp_path / "evil.ckpt").write_bytes(pickle.dumps(Payload(victim)))
    with pytest.raises(UsageError, match="cannot be read"):
        ilvf.load_policy(tmp_path / "evil.ckpt")


def test_a_pickle_in_a_replay_file_does_not_run(tmp_path, victim):
    torch.save({"a": Payload(victim)}, tmp_path / "0.pt")
    with pytest.raises(UsageError):
        read_rollout(tmp_path / "0.pt")


@pytest.mark.parametrize("kind", ["env", "preset"])
def test_a_yaml_tag_does_not_run(kind, tmp_path, victim, refused):
    path = tmp_path / "evil.yaml"
    path.write_text(f'name: !!python/object/apply:pathlib.Path.touch ["{victim}"]\n')
    with refused("no yaml file"):
        resolve(training_schema("ilvf_p"), [f"{kind}={path}"])


def test_a_yaml_tag_in_an_argument_does_not_run(victim, refused):
    text = f'!!python/object/apply:pathlib.Path.touch ["{victim}"]'
    with refused("env.kwargs", "cannot be read"):
        resolve(training_schema("ilvf_p"), ["env=pettingzoo", f"env.kwargs={text}"])


def test_a_metrics_file_is_text(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(
        b'{"frames": 40, "a": 1.5, "b": "text"}\n5\nnull\n{"a": 1}\n\xff\xfe\n{"frames": "x"}\n'
        b'{"frames": true}\n{"frames": 80, "a": NaN}\n' + b"[" * 100_000 + b"\n"
        b'{"frames": 120, "a": 3}\n{"frames": 120, "a'
    )
    rows = read_rows(path)
    assert [row["frames"] for row in rows] == [40, 80, 120]
    assert rows[0] == {"frames": 40, "a": 1.5}


# ---------------------------------------------------------------------- damage
def test_every_flipped_bit_is_noticed_or_harmless(tmp_path):
    """Of 60 bits spread over the file each is refused, or changes no value that is read."""
    good = OLD.read_bytes()
    expected = str(read_checkpoint(OLD))
    refused = 0
    for k in range(60):
        data = bytearray(good)
        position = len(data) * k // 60
        data[position] ^= 1 << (k % 8)
        path = tmp_path / "flipped.ckpt"
        path.write_bytes(data)
        try:
            content = read_checkpoint(path)
        except UsageError:
            refused += 1
        else:
            assert str(content) == expected
    assert refused > 40


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04", bytes(1000)])
def test_a_file_that_is_no_checkpoint(data, tmp_path, recipe, capsys):
    path = tmp_path / "notes.txt"
    path.write_bytes(data)
    assert recipe("evaluate", f"checkpoint={path}") == 2
    error = capsys.readouterr().err
    assert "notes.txt cannot be read" in error
    assert error.count("\n") == 1


def changed(entry, value):
    """A checkpoint with another value at a dotted entry; None removes it."""
    content = read_checkpoint(OLD)
    *path, last = entry.split(".")
    inner = content
    for name in path:
        inner = inner[int(name) if isinstance(inner, list) else name]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return content


@pytest.mark.parametrize(
    ("entry", "value", "words"),
    [
        ("state_dict", None, "state_dict"),
        ("ilvf", [], "ilvf"),
        ("ilvf.config", None, "ilvf.config"),
        ("ilvf.actor", None, "ilvf.actor"),
        ("ilvf.state.ranks", [], "is empty"),
        ("ilvf.state.ranks", [5], "of process 0"),
        ("ilvf.state.ranks.0.env", None, "of process 0"),
        ("ilvf.state.frames", 1.5, "not a int"),
        ("epoch", None, "epoch"),
    ],
)
def test_an_incomplete_checkpoint_is_one_sentence(entry, value, words, tmp_path, refused):
    torch.save(changed(entry, value), tmp_path / "x.ckpt")
    with refused("x.ckpt", words):
        read_checkpoint(tmp_path / "x.ckpt")


@pytest.mark.parametrize(
    ("entry", "value", "words"),
    [
        ("ilvf.config", {}, "has no config"),
        ("ilvf.config.env", {}, "ilvf.config.env.name"),
        ("ilvf.config.env.name", 3, "not a str"),
        ("ilvf.config.seed", "x", "not a int"),
        ("ilvf.config.algorithm", 5, "ilvf.config.algorithm"),
        ("ilvf.config.env.name", "bogus", "env=bogus"),
        ("ilvf.config.algorithm", {"lr": "fast"}, "algorithm.lr='fast'"),
    ],
)
def test_an_incomplete_config_is_one_sentence(entry, value, words, tmp_path, refused):
    torch.save(changed(entry, value), tmp_path / "x.ckpt")
    with refused(words):
        resolve(training_schema("ilvf_p"), [f"resume={tmp_path / 'x.ckpt'}"])


def test_weights_that_are_not_finite_are_named(tmp_path, refused):
    content = read_checkpoint(OLD)
    name = next(iter(content["state_dict"]))
    content["state_dict"][name].flatten()[0] = float("nan")
    content["ilvf"]["state"]["ranks"][0]["checksum"] = checksum_of(content["state_dict"])
    torch.save(content, tmp_path / "nan.ckpt")
    with refused(name, "NaN"):
        read_checkpoint(tmp_path / "nan.ckpt")


def test_weights_that_were_changed_are_noticed(tmp_path, refused):
    content = read_checkpoint(OLD)
    next(iter(content["state_dict"].values())).flatten()[0] += 1
    torch.save(content, tmp_path / "edited.ckpt")
    with refused("checksum"):
        read_checkpoint(tmp_path / "edited.ckpt")


def test_a_damaged_replay_file_is_refused_before_the_run_goes_on(tmp_path, out, recipe, capsys):
    run = out / "qmix"
    shutil.copytree(OLD.parents[2] / "qmix", run)
    file = sorted((run / "buffer").iterdir())[-1]
    data = bytearray(file.read_bytes())
    for k in range(20, 80):  # some of them are in padding
        data[len(data) * k // 100] ^= 4
    file.write_bytes(data)
    assert recipe("qmix", f"resume={run}", f"out={out}", "trainer.max_epochs=6") == 2
    error = capsys.readouterr().err
    assert file.name in error
    assert "damaged" in error
