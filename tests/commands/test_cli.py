"""The program `ilvf`: its subcommands, their errors, and shell completion."""

import pytest
from click.shell_completion import ShellComplete
from click.testing import CliRunner

from ilvf.commands.cli import COMMANDS, main


def run(*arguments):
    return CliRunner().invoke(main, list(arguments))


def completions(*words, incomplete=""):
    shell = ShellComplete(main, {}, "ilvf", "_ILVF_COMPLETE")
    return [item.value for item in shell.get_completions(list(words), incomplete)]


def test_every_command_has_a_summary_and_a_help_page():
    page = run("--help").output
    for name in COMMANDS:
        assert name in page
        result = run(name, "--help")
        assert result.exit_code == 0
        assert "key=value" in result.output


@pytest.mark.parametrize("name", ["study", "compare", "theory"])
@pytest.mark.parametrize("key", ["checkpoint", "resume"])
def test_a_command_without_a_checkpoint_knows_no_key_for_it(name, key):
    words = ["fig3"] if name == "study" else []
    result = run(name, *words, f"{key}=last")
    assert result.exit_code == 2
    assert f"unknown key '{key}'" in result.output


def test_the_program_alone_lists_the_commands():
    result = run()
    assert result.exit_code == 0
    assert result.output == run("--help").output


def test_train_lists_the_algorithms():
    assert "mappo" in run("train").output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "mapo"], ("'mapo'", "did you mean 'mappo'")),
        (["train", "env.n_agents=4"], ("needs an algorithm",)),
        (["train", "mappo", "env.nagents=4"], ("env.nagents", "did you mean 'env.n_agents'")),
        (["evaluate"], ("checkpoint=PATH",)),
        (["audit"], ("checkpoint=PATH",)),
        (["influence", "influence.moments=2", "checkpoint=x"], ("x", "does not exist")),
        (["traffic"], ("checkpoint=PATH",)),
        (["compare", "out=nowhere"], ("no MLflow store",)),
        (["theory", "foo=1"], ("'foo'",)),
        (["study"], ("name of a study", "fig3")),
        (["study", "fig33"], ("study=fig33", "did you mean 'fig3'")),
        (["study", "fig3", "scale=tiny"], ("scale=tiny", "smoke, cpu, paper")),
        (["sweep", "mapo", "algorithm.lr=1,2"], ("'mapo'", "did you mean 'mappo'")),
        (["sweep", "--hlep"], ("unknown flag --hlep",)),
        (["sweep", "mappo", "algorithm.lr"], ("'algorithm.lr' is not of the form key=value",)),
        (["trian"], ("'trian' is no command", "evaluate", "did you mean 'train'")),
        (["Audit"], ("did you mean 'audit'",)),
        (["mappo", "seed=1"], ("did you mean 'train mappo'",)),
        (["seed=1"], ("'seed=1' is no command", "train")),
        ([""], ("'' is no command",)),
        (["a\nb"], (r"'a\nb' is no command",)),
        (["--foo"], ("unknown flag --foo", "--version")),
        (["--foo=3"], ("unknown flag --foo=3",)),
        (["--hlep"], ("unknown flag --hlep", "did you mean '--help'")),
        (["--version=3"], ("unknown flag --version=3",)),
        (["-x", "train"], ("unknown flag -x",)),
        (["train", "--version"], ("needs an algorithm before '--version'",)),
        (["train", "MAPPO"], ("did you mean 'mappo'",)),
        (["train", "mappo", "--version"], ("unknown flag --version", "--help and --cfg")),
        (["train", "mappo", "--hlep"], ("unknown flag --hlep", "did you mean '--help'")),
        (["train", "mappo", "help"], ("'help' is not of the form key=value",)),
        (["train", "mappo", "env=a\nb"], (r"env=a\nb is not known",)),
        (["train", "mappo", "--a\nb"], (r"unknown flag --a\nb",)),
        (["evaluate", "--cgf"], ("did you mean '--cfg'",)),
        (["train", "mappo", "x" * 5000], ("5002 characters", "key=value")),
    ],
    ids=lambda words: " ".join(words)[:40],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(arguments, words):
    result = run(*arguments)
    assert result.exit_code == 2
    assert result.output.startswith("error: ")
    assert result.output.count("\n") == 1
    assert all(word in result.output for word in words), result.output


def test_shell_completion_knows_algorithms_and_keys():
    assert "mappo" in completions("train", incomplete="ma")
    assert completions("study", incomplete="fig") == ["fig3", "fig4", "fig8", "fig9"]
    assert completions("train", "ilvf_p", incomplete="algorithm.ta") == [
        "algorithm.target=",
        "algorithm.tau=",
    ]
    assert "mappo" in completions("sweep", incomplete="ma")
    assert completions("sweep", "mappo", incomplete="algorithm.ta") == []
    assert "algorithm.tau=" in completions("sweep", incomplete="algorithm.ta")
    assert "engine.partition=" in completions("sweep", "mappo", incomplete="engine.")
    assert "audit.states=" in completions("audit", incomplete="audit.")
    assert completions("compare", incomplete="compare.wh") == ["compare.where="]
