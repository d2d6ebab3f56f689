"""The report of an audit: its tables, its picture, and its place beside the run."""

from pathlib import Path

import pytest
import torch
from mlflow.tracking import MlflowClient

from helpers import TINY
from ilvf.analysis import audit, visited_states
from ilvf.envs import Encircle
from ilvf.modules import CategoricalActor
from ilvf.reports.audit import draw_audit, kinds_of_pairs, power_table, verdicts, write_report

N = 4
SETTING = {
    "checkpoint": "best.ckpt",
    "env": {"name": "encircle", "n_agents": N},
    "title": "ILVF-P on encircle, n=4, seed 0",
    "audit": {"gamma": 0.9},
    "seconds": 2.0,
}
SMALL = (
    "audit.states=4",
    "audit.actions=2",
    "audit.repeats=2",
    "audit.steps=5",
    "audit.batch=10",
)


@pytest.fixture(scope="module")
def env():
    return Encircle(N, num_envs=16, horizon=5, seed=0)


@pytest.fixture(scope="module")
def found(env):
    torch.manual_seed(0)
    actor = CategoricalActor(N, env.observation_dim, env.n_actions, hidden=8)
    visited = visited_states(Encircle(N, num_envs=8, horizon=5, seed=1), actor)
    return audit(env, actor, visited, actions=2, repeats=2, progress=False)


def test_pairs_are_divided_by_the_graphs(env):
    """The rewards of agents 1 and 3 depend on their neighbours, which are 0 and 2 on this ring."""
    kinds = kinds_of_pairs(env, N)
    off_diagonal = ~torch.eye(N, dtype=torch.bool)
    total = torch.stack(list(kinds.values())).int().sum(0)
    assert torch.equal(total.bool(), off_diagonal)
    assert total.max() == 1
    direct = kinds["direct (enters the reward)"]
    assert direct.nonzero().tolist() == [[0, 1], [0, 3], [2, 1], [2, 3]]  # [acting, paid]


def test_an_environment_without_graphs_has_one_kind_of_pairs():
    assert list(kinds_of_pairs(object(), N)) == ["all"]


def test_page_files_and_metrics(found, env, tmp_path):
    weight = torch.rand(8, N, N)
    metrics = write_report(tmp_path / "new", found, weight, torch.eye(N), env, SETTING)
    assert metrics["audit/auroc"] == found.agreement(weight)["auroc"]
    assert metrics["audit/bias"] == found.cost(torch.eye(N))["bias"]
    page = (tmp_path / "new" / "report.md").read_text()
    assert "# Audit of best.ckpt" in page
    assert "8 states × 2 joint actions × 2 futures" in page
    assert "γ = 0.9" in page
    assert "| pairs | 8 states |\n" in page
    assert "| ones (MAPPO) | 0.000 [0.000, 0.000] | 1.000 |" in page
    stored = torch.load(tmp_path / "new" / "audit.pt", weights_only=True)
    assert torch.equal(stored["effect"], found.effect)
    assert torch.equal(stored["weight"], weight.mean(0))


def test_the_power_of_an_audit_of_few_states_is_its_own(env):
    actor = CategoricalActor(N, env.observation_dim, env.n_actions, hidden=8)
    visited = visited_states(Encircle(N, num_envs=3, horizon=5, seed=1), actor)
    few = audit(env, actor, visited, actions=2, repeats=2, progress=False)
    assert "| pairs | 3 states |\n" in power_table(few, kinds_of_pairs(env, N))


def test_rows_of_the_picture_are_acting_agents(found):
    weight = torch.zeros(N, N)
    weight[0, 2] = 1.0
    axes = draw_audit(found, weight, weight > 0.5, None, "encircle").axes
    learned, influence, measured, verdict = axes[:4]
    assert influence.images[0].get_array().nonzero() == ([0], [2])
    assert learned.get_ylabel() == "agent whose action it is"
    assert learned.get_xlabel() == "agent whose return changes"
    assert learned.images[0].get_array()[0, 2] == 1.0
    shown = torch.from_numpy(measured.images[0].get_array().filled(0.0)).float()
    off_diagonal = ~torch.eye(N, dtype=torch.bool)
    assert torch.allclose(shown[off_diagonal], found.effect[off_diagonal].float())
    expected = verdicts(found, weight).numpy()
    assert (verdict.images[0].get_array() == expected).all()


@pytest.mark.slow
class TestRecipe:
    @pytest.mark.parametrize("influence", ["learned", "identity"])
    def test_report_beside_the_run_and_in_mlflow(self, influence, recipe, out, capsys):
        assert recipe("ilvf_p", *TINY, f"out={out}", f"algorithm.influence={influence}") == 0
        capsys.readouterr()
        assert recipe("audit", "checkpoint=last", f"out={out}", *SMALL) == 0
        text = capsys.readouterr().out
        assert "Audit of" in text
        assert "| identity (IPPO-C) |" in text
        client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
        (run,) = client.search_runs(["1"])
        names = {file.path for file in client.list_artifacts(run.info.run_id, "audit")}
        assert names == {"audit/report.md", "audit/audit.png", "audit/audit.pt"}
        assert 0 <= run.data.metrics["audit/auroc"] <= 1
        assert run.data.metrics["audit/bias"] >= 0
        folder = Path(text.split("report and pictures: ")[1].split(",")[0])
        stored = torch.load(folder / "audit.pt", weights_only=True)
        assert stored["effect"].shape == (N, N)
        is_identity = torch.equal(stored["influence"].float(), torch.eye(N))
        assert is_identity == (influence == "identity")

    def test_wrong_options_end_in_a_sentence(self, recipe, out, capsys):
        assert recipe("ilvf_p", *TINY, f"out={out}") == 0
        for argument, word in (
            ("audit.states=1", "audit.states=1"),
            ("audit.level=0", "level=0"),
            ("audit.stats=3", "states"),
        ):
            capsys.readouterr()
            assert recipe("audit", "checkpoint=last", f"out={out}", *SMALL[1:], argument) == 2
            assert word in capsys.readouterr().err

    @pytest.mark.parametrize(("algorithm", "code"), [("prd", 0), ("coma", 2)])
    def test_weights_of_states_and_actions_and_no_matrix(
        self, algorithm, code, recipe, out, capsys
    ):
        assert recipe(algorithm, *TINY, f"out={out}") == 0
        assert recipe("audit", "checkpoint=last", f"out={out}", *SMALL) == code
        assert ("no influence matrix" in capsys.readouterr().err) == (code == 2)

    def test_without_a_checkpoint(self, recipe, capsys):
        assert recipe("audit") == 2
        assert "checkpoint=PATH" in capsys.readouterr().err
