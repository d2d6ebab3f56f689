"""The audit against exact answers: which influences are there, how large, and what leaving some out costs."""

import dataclasses
from pathlib import Path

import pytest
import torch
from mlflow.tracking import MlflowClient
from tensordict.nn import TensorDictModule
from torch import nn

from helpers import TINY
from ilvf.analysis import (
    Audit,
    Interventions,
    audit,
    average_precision,
    calibration_error,
    intervene,
    visited_states,
)
from ilvf.envs import Encircle, Tabular, TabularGame, make_game
from ilvf.modules import CategoricalActor

QUIET = dict(progress=False)


def measure(game, states=96, steps=60, batch=768, seed=0, **options):
    """(env, states visited by the game's own policy, audit)."""
    actor = game.actor()
    visited = visited_states(Tabular(game, num_envs=states, seed=seed), actor, seed=seed)
    env = Tabular(game, num_envs=batch, horizon=steps)
    return env, visited, audit(env, actor, visited, gamma=game.gamma, seed=seed, **QUIET, **options)


def exact_differences(game, visited, m):
    """δ = Q_j(s, b, a_−i) − Q_j(s, a) from the tables, for what was drawn: `[K, M, N, A, N]`."""
    env = Tabular(game, num_envs=len(visited["local"]))
    s, q = env.joint_state(visited), game.action_values()[0]  # [S, A, N]
    place = torch.tensor([2**k for k in reversed(range(game.n_agents))])
    joint = (m.action * place).sum(-1)  # all ready-made games have two actions
    out = torch.zeros(*m.action.shape, 2, game.n_agents, dtype=torch.float64)
    for i in range(game.n_agents):
        for b in range(2):
            other = joint + (b - m.action[..., i]) * place[i]
            out[:, :, i, b] = q[s.unsqueeze(1), other] - q[s.unsqueeze(1), joint]
    return out, s


@pytest.mark.parametrize("name", ["chain", "star", "pairs", "random"])
def test_it_finds_the_exact_sets_and_sizes(name):
    """No miss and no false alarm against eq. 4, and the intervals hold the true effects."""
    game = make_game(name, n_agents=4, seed=3)
    _, visited, found = measure(game, states=256, batch=4096, repeats=32, steps=40)
    truth, s = exact_differences(game, visited, found.measured)
    off = ~torch.eye(4, dtype=torch.bool)
    real = game.influence()[0, s].any(0)
    assert torch.equal(found.significant[off], real[off])
    effect = truth.square().sum((1, 3)).mean(0) / found.measured.alternatives.sum((1, 3))[
        0
    ].unsqueeze(-1)
    effect = effect.sqrt()
    inside = (found.low <= effect + 1e-9) & (effect <= found.high + 1e-9)
    assert inside[real].float().mean() >= 0.8  # 95 % intervals of the real effects, 7 to 16 of them
    assert torch.allclose(found.effect, effect, atol=0.15, rtol=0.25)


def test_it_sees_influence_change_with_the_state():
    game = make_game("switch", n_agents=3)
    everywhere = Tabular(game, num_envs=1)
    sets = game.influence()[0]
    assert not torch.equal(sets[0], sets[-1])
    for s in (0, len(sets) - 1):
        here = {"local": game.local_states[s].expand(48, -1).clone(), "reward": torch.zeros(48, 3)}
        env = Tabular(game, num_envs=512, horizon=40)
        found = audit(env, game.actor(), here, gamma=game.gamma, **QUIET)
        off = ~torch.eye(3, dtype=torch.bool)
        assert torch.equal(found.significant[off], everywhere.true_influence()[s][off])


def test_the_bias_is_that_of_the_tables():
    """What Ŵ = I throws away, from exact Q̄; the minimal set and everybody throw away nothing."""
    game = make_game("chain", n_agents=3, seed=1)
    _, visited, found = measure(game, states=128, actions=8)
    s = exact_differences(game, visited, found.measured)[1]
    minimal = game.influence()[0, s].float()
    assert found.cost(minimal)["bias"] < 0.02
    assert found.cost(torch.ones(3, 3))["bias"] == 0
    pi, lost, whole = game.policy()[0], 0.0, 0.0
    for i in range(3):
        q = game._given_own(game.action_values(), i)[0, s]  # [K, A, N]
        p = pi[i, s].unsqueeze(-1)
        g = p * (q - (p * q).sum(1, keepdim=True))
        whole += g.sum(-1).square().sum()
        lost += (g.sum(-1) - g[..., i]).square().sum()
    cost = found.cost(torch.eye(3))
    assert cost["bias"] == pytest.approx(float((lost / whole).sqrt()), rel=0.1)
    assert cost["bias_low"] < float((lost / whole).sqrt()) < cost["bias_high"]


def test_the_variance_it_saves():
    """More agents that one cannot move, more variance saved; less credit, less variance."""
    game = make_game("pairs", n_agents=4, seed=1)
    _, _, found = measure(game, actions=8)
    minimal = game.influence()[0, 0].float()
    saved, own = found.cost(minimal)["variance"], found.cost(torch.eye(4))["variance"]
    assert own < saved < 0.8
    assert found.cost(torch.ones(4, 4))["variance"] == pytest.approx(1)


def test_pointwise_influence_that_no_gradient_feels():
    """r_0 = a_0 XOR a_1 with a uniform π_0: changing a_1 always changes r_0 by 1, and on average not at all."""
    game = make_game("xor")
    _, _, found = measure(game, states=64, steps=1, actions=16)
    assert found.significant[1, 0]
    assert found.effect[1, 0].item() == pytest.approx(1.0, abs=1e-6)
    assert found.cost(torch.tensor([[1.0, 1.0], [0.0, 1.0]]))["bias"] < 0.1


def test_the_variance_is_that_of_the_tables():
    """Returns of one step are exact, so that only states and actions are sampled: xor by hand, chain by enumeration.

    xor: r_0 = a_0 XOR a_1 with fair coins, r_1 = 0. Agent 0's term is the same with Ŵ = 1 and Ŵ = I; agent 1's, as
    large by symmetry, vanishes with Ŵ = I: one half.
    """
    game = make_game("xor")
    assert (game.reward[..., 1] == 0).all()
    for actions in (4, 16):
        _, _, found = measure(game, states=512, batch=4096, steps=1, actions=actions, repeats=2)
        assert found.cost(torch.eye(2))["variance"] == pytest.approx(0.5, abs=0.05)


def test_visited_states_are_of_the_first_episode():
    """Terminated at the third of thirty steps: no state from after the end, and all three steps are drawn."""

    class Short(Encircle):
        def _step(self, td):
            out = super()._step(td)
            out["terminated"] = (self.world["step"] >= 3).unsqueeze(-1)
            out["done"] = out["terminated"] | out["truncated"]
            return out

    env = Short(4, num_envs=300, horizon=30, seed=0)
    step = visited_states(env, CategoricalActor(4, 18, 5, hidden=8))["step"]
    assert torch.bincount(step).tolist() == pytest.approx([100, 100, 100], abs=30)


def test_what_would_spoil_a_measurement_is_refused(refused):
    """A clock that runs out, and noise that is not restored."""
    actor = CategoricalActor(4, 18, 5, hidden=8)
    visited = visited_states(Encircle(4, num_envs=4, horizon=10, seed=0), actor)
    with refused("clock", "before 12 steps", "'step'"):
        audit(Encircle(4, num_envs=16, horizon=10, seed=0), actor, visited, steps=12, **QUIET)

    class Restless(Encircle):
        def reward(self, world):
            return super().reward(world) + torch.rand(())

    with refused("Restless", "does not repeat itself", "'rng'"):
        audit(Restless(4, num_envs=16, horizon=10, seed=0), actor, visited, **QUIET)


def test_no_significant_pair_is_no_score():
    """Nothing depends on anybody: no ranking to score, no variance to save."""
    env = Encircle(4, num_envs=32, horizon=3, seed=0)
    actor = CategoricalActor(4, 18, 5, hidden=8)
    visited = visited_states(env, actor)
    found = audit(env, actor, visited, actions=2, repeats=2, gamma=0.0, steps=1, **QUIET)
    nobody = dataclasses.replace(found, significant=torch.eye(4, dtype=torch.bool))
    says = nobody.agreement(torch.rand(4, 4))
    assert says["auroc"] != says["auroc"]  # NaN
    assert says["share_of_true_pairs"] == 0


def coin_game():
    """a_0 decides whether s_0' and s_1' are equal or opposite; each alone is a fair coin: noise, no influence."""
    s, a = (
        torch.cartesian_prod(*[torch.arange(2)] * 2),
        torch.cartesian_prod(*[torch.arange(2)] * 2),
    )
    opposite = s[:, 0] != s[:, 1]
    move = torch.where(opposite == (a[:, 0] == 1).unsqueeze(1), 0.5, 0.0).double()  # [A, S']
    reward = torch.zeros(1, 4, 4, 2, dtype=torch.float64)
    reward[0, :, :, 1] = 10.0 * s[:, 1].double().unsqueeze(1)
    return TabularGame(
        (2, 2),
        (2, 2),
        move.expand(1, 4, 4, 4).clone(),
        reward,
        torch.full((1, 4), 0.25, dtype=torch.float64),
        torch.eye(2, dtype=torch.bool),
        torch.zeros(1, 2, 4, 2, dtype=torch.float64),
    )


def test_noise_alone_raises_no_more_alarms_than_stated():
    """Every action of agent 0 changes agent 1's future, but not its mean."""
    game = coin_game()
    assert not game.influence()[0, :, 0, 1].any()
    alarms, moved = 0, 0
    for seed in range(60):
        _, _, found = measure(game, states=24, steps=2, seed=seed, actions=2, repeats=4, level=0.1)
        alarms += int(found.significant[0, 1])
        moved += int(found.measured.effect[:, :, :, 0, :, 1].abs().max() > 1)
    assert moved == 60
    assert (
        alarms <= 8
    )  # one of two pairs can err, so at 0.05: binomial(60, 0.05) exceeds 8 once in 300


def test_encircle_never_accuses_the_impossible():
    """A trained or untrained policy moves only who the graphs allow, to the last bit."""
    torch.manual_seed(0)
    env = Encircle(6, num_envs=250, horizon=15, seed=0)
    actor = CategoricalActor(6, env.observation_dim, 5, hidden=16, gain=1.0)
    visited = visited_states(Encircle(6, num_envs=16, horizon=15, seed=1), actor)
    found = audit(
        env, actor, visited, actions=2, repeats=4, **QUIET
    )  # 128 rows: the last piece is not full
    impossible = ~env.influence_graph
    assert not found.effect[impossible].any()
    assert not found.significant[impossible].any()
    assert (found.effect[env.reward_graph.T] > 0).all()
    m = found.measured
    assert m.effect.shape == (16, 2, 4, 6, 5, 6)
    assert not m.effect.masked_select(~m.alternatives.unsqueeze(2).unsqueeze(-1)).any()


def test_the_first_action_alone_is_changed():
    """One step: agent i's change moves exactly the rewards that its new position enters."""
    env = Encircle(4, num_envs=64, horizon=1, seed=0)
    actor = CategoricalActor(4, env.observation_dim, 5, hidden=8)
    visited = visited_states(Encircle(4, num_envs=8, horizon=10, seed=1), actor)
    m = intervene(env, actor, visited, actions=2, repeats=2, steps=1, **QUIET)
    moved = (m.effect != 0).any(0).any(0).any(0).any(1)
    assert torch.equal(moved, env.reward_graph.T)


def test_power_grows_with_the_number_of_states():
    game = make_game("chain", n_agents=3, seed=2)
    _, _, found = measure(game, states=96)
    real = game.influence()[0].any(0) & ~torch.eye(3, dtype=torch.bool)
    few, many = found.detected(4)[real].mean(), found.detected(96)[real].mean()
    assert few < many
    assert many > 0.8


def test_agreement_by_hand():
    """Pairs (0,1) and (1,0) are real and weigh 0.9 and 0.6; the false ones weigh 0.7, 0.1, 0.1, 0.1."""
    real = torch.tensor([[1, 1, 0], [1, 1, 0], [0, 0, 1]], dtype=torch.bool)
    weight = torch.tensor([[0.0, 0.9, 0.7], [0.6, 0.0, 0.1], [0.1, 0.1, 0.0]])
    # ranked: 0.9 true, 0.7 false, 0.6 true: (1/1 + 2/3) / 2
    assert average_precision(weight, real).item() == pytest.approx(5 / 6)
    # four bins: 0.9 (|1 − .9|), 0.7 (|0 − .7|), 0.6 (|1 − .6|), three of 0.1 (|0 − .1|): (.1 + .7 + .4 + .3) / 6
    assert calibration_error(weight, real).item() == pytest.approx(1.5 / 6, abs=1e-4)
    blank = (
        torch.zeros(1, 1, 2, 3, 2, 3),
        torch.zeros(1, 1, 2, 3),
        torch.zeros(1, 1, 3).long(),
        torch.ones(1, 3, 2) / 2,
    )
    found = Audit(*[torch.zeros(3, 3)] * 4, real, torch.zeros(1, 3, 3), Interventions(*blank), 0.05)
    says = found.agreement(weight.expand(5, 3, 3))
    assert says["auroc"] == pytest.approx(7 / 8)  # of 8 comparisons 0.6 against 0.7 is lost
    assert says["share_of_true_pairs"] == pytest.approx(2 / 6)


def test_mistakes(refused):
    env = Encircle(4, num_envs=8, horizon=3, seed=0)
    actor = CategoricalActor(4, env.observation_dim, 5, hidden=8)
    visited = visited_states(env, actor)
    with refused("repeats=1", "at least 2"):
        audit(env, actor, visited, repeats=1)
    with refused("level=2", "(0, 1)"):
        audit(env, actor, visited, level=2)
    with refused("steps=0"):
        audit(env, actor, visited, steps=0)
    with refused("discrete", "TensorDictModule"):
        module = TensorDictModule(
            nn.Linear(18, 2), in_keys=[("agents", "observation")], out_keys=[("agents", "action")]
        )
        audit(env, module, visited, **QUIET)
    with refused("no states"):
        audit(env, actor, {}, **QUIET)
    with refused("number", "position"):
        audit(env, actor, {**visited, "position": visited["position"][:2]}, **QUIET)
    game = make_game("chain", n_agents=3)
    found = measure(game, states=4, steps=2, actions=2, repeats=2)[2]
    with refused("(4, 4)", "(3, 3)"):
        found.cost(torch.eye(4))
    with refused("(2, 2)", "3, 3"):
        found.agreement(torch.eye(2))
    with refused("set_state"):
        audit(dataclasses.make_dataclass("Other", [])(), actor, visited)


def test_the_recipe_audits_a_run(recipe, out, capsys, refused):
    """A report with pictures beside the checkpoint and in the MLflow run, for learned and for fixed influence."""
    client = MlflowClient(f"sqlite:///{out / 'mlflow.db'}")
    small = (
        "audit.states=4",
        "audit.actions=2",
        "audit.repeats=2",
        "audit.steps=5",
        "audit.batch=10",
    )
    for influence in ("learned", "identity"):
        assert recipe("ilvf_p", *TINY, f"out={out}", f"algorithm.influence={influence}") == 0
        capsys.readouterr()
        assert recipe("audit", "checkpoint=last", f"out={out}", *small) == 0
        text = capsys.readouterr().out
        assert "Audit of" in text
        assert "| identity (IPPO-C) |" in text
        (run,) = client.search_runs(["1"], order_by=["attributes.start_time DESC"], max_results=1)
        names = {f.path for f in client.list_artifacts(run.info.run_id, "audit")}
        assert names == {"audit/report.md", "audit/audit.png", "audit/audit.pt"}
        assert 0 <= run.data.metrics["audit/auroc"] <= 1
        assert run.data.metrics["audit/bias"] >= 0
    (folder,) = {p.parent for p in out.glob("*/audit/report.md") if "identity" in p.read_text()} & {
        Path(text.split("report and pictures: ")[1].split(",")[0])
    }
    stored = torch.load(folder / "audit.pt", weights_only=True)
    assert torch.equal(stored["influence"], torch.eye(4))
    assert stored["effect"].shape == (4, 4)
    for argument, word in (
        ("audit.states=1", "audit.states=1"),
        ("audit.level=0", "level=0"),
        ("audit.stats=3", "states"),
    ):
        assert recipe("audit", "checkpoint=last", f"out={out}", *small[1:], argument) == 2
        assert word in capsys.readouterr().err
    for name, code in (
        ("prd", 0),
        ("coma", 2),
    ):  # weights of states and actions; and no matrix at all
        assert recipe(name, *TINY, f"out={out}") == 0
        assert recipe("audit", "checkpoint=last", f"out={out}", *small) == code
    assert "no influence matrix" in capsys.readouterr().err
    assert recipe("audit") == 2
    assert "checkpoint=PATH" in capsys.readouterr().err


def test_the_theory_recipe(monkeypatch, tmp_path, capsys):
    """Prints every claim and draws the figure (the claims themselves are in test_theory.py)."""
    import theory

    monkeypatch.setattr(theory, "PICTURE", tmp_path / "variance.png")
    monkeypatch.setattr(theory, "AGENTS", range(2, 4))
    theory.main()
    text = capsys.readouterr().out
    assert all(
        word in text for word in ("Theorem 1", "Lemma 1", "Theorem 2", "Variance, chain, 3 agents")
    )
    assert (tmp_path / "variance.png").stat().st_size > 10_000
