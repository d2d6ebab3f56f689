"""Valid arguments of each public name, and values that are wrong for each kind of argument."""

import torch
from torch import nn

from continuous_helpers import Aim
from credit_helpers import A, D, N, gae
from ilvf import credit, modules
from ilvf.modules.options import NetworkOptions

TENSOR = torch.ones(N, 1)
WRONG = {  # kind of an argument → values that are wrong for it
    "actions": ["3", None, 0, -1, 2.5, True, [3], torch.tensor(3), modules.Box, nn.Identity()],
    "team": [modules.Box([[0.0]], [[1.0]])],
    "box": [3, None, "x", [3], nn.Identity(), modules.Box, modules.Choices(A), TENSOR],
    "bounds": [
        None,
        "x",
        1.0,
        [],
        [1.0],
        [[]],
        [[1.0], [1.0, 2.0]],
        [["x"]],
        [[None]],
        [[float("nan")]],
        [[float("inf")]],
        [[10**400]],
        [[1j]],
        torch.ones(2, 2, 2),
        torch.ones(N + 1, A),
        nn.Identity(),
    ],
    "counts": [
        None,
        "x",
        1,
        [],
        [1],
        [[]],
        [[1], [1, 2]],
        [[0]],
        [[2.0]],
        [[True]],
        [[10**9]],
        [["x"]],
    ],
    "several": [3, None, "x", [3], nn.Identity(), modules.MultiChoices, modules.Choices(A), TENSOR],
    "parts": [
        3,
        "x",
        [7, 7, 3],
        {},
        {"height": 0, "width": 1, "channels": 1},
        {"height": 1, "width": 1, "channels": 1, "depth": 1},
        {"height": 1, "width": 1, "channels": 1, "begin": -1},
        {"height": 1, "width": 1, "channels": 1, "begin": "x"},
        {"height": "x", "width": 1, "channels": 1},
        {"height": 1, "width": 1, "channels": 1, "convolutions": 99},
        {"height": 99, "width": 99, "channels": 99},
        [{"height": 1, "width": 1, "channels": 1}] * 2,
        [None],
        {"entities": 1},
        {"entities": 0, "features": 1},
        {"entities": 1, "features": 1},
        {"entities": 1, "features": 1, "mask": 1, "heads": 3},
        {"entities": 1, "features": 1, "mask": 99},
        {"entities": 1, "features": 1, "mask": "x"},
        TENSOR,
    ],
    "crossing": [[[2.0] * A] * N, [[1.0] * A] * N],
    "few": ["3", 0, -1, 2.5, True, [3], torch.tensor(3)],
    "size": ["3", None, 0, -1, 2.5, True, [3], torch.tensor(3)],
    "positive": ["x", None, float("nan"), float("inf"), 0, -1.0, True, [1.0], TENSOR],
    "not negative": ["x", None, float("nan"), float("inf"), -1.0, True, [1.0], TENSOR],
    "number": ["x", None, float("nan"), float("inf"), True, [1.0], TENSOR],
    "share": ["x", None, float("nan"), -0.1, 1.5, True, [0.5]],
    "count": ["3", None, -1, 2.5, True, [3]],
    "masking": [True],
    "group": ["cars"],
    "flag": ["yes", None, 2, 0.5, [], TENSOR],
    "word": [3, None, "", "nonsense", [], TENSOR],
    "name": [3, None, "", [], TENSOR],
    "names": [3, None, "", [], [""], [3], TENSOR],
    "module": [3, "x", object(), nn.Identity(), nn.Linear, TENSOR],
    "floats": [None, 3, "x", [[1.0]], torch.ones(2, 2, dtype=torch.int64), torch.tensor(1.0)],
    "outside": [3, "x", [1.0] * N, torch.ones(N + 1), torch.ones(N, 1), torch.ones(N).long()],
    "graph": [3, "x", [[1.0]], torch.ones(N), torch.ones(N, N + 1), torch.ones(0, 0)],
    "range": [3 * torch.ones(N, N), -torch.ones(N, N), torch.full((N, N), float("nan"))],
    "neighbours": [
        3,
        "x",
        [[0]],
        torch.tensor(3),
        torch.ones(N, 1),
        torch.zeros(N, 1, dtype=torch.int64),
        torch.arange(N + 1).unsqueeze(-1) + 1,
        torch.arange(N).unsqueeze(-1).expand(N, 2),
        torch.stack([torch.arange(N), torch.full((N,), N)], -1),
    ],
    "index": [None, 3, [[0]], torch.ones(N, 1), torch.zeros(N, 2, dtype=torch.int64)],
    "mask": [3, "x", torch.ones(2, N, 1), torch.ones(2, N, dtype=torch.bool)],
    "generator": [3, "x", object()],
    "part": [3, "threshold", credit.Soft],
    "shape": [3, None, "x", (0, 1), ("N", 1), TENSOR],
    "seed": ["x", 2.5, -1, 2**64, [], TENSOR],
    "device": [3, None, "", "gpu", [], "cuda:x"],
    "keywords": [3, "x", [1], [], {1: 2}, TENSOR],
    "task": [3, None, "", "no such task", "no_such_package:Name-v0", [], TENSOR],
    "path": [3, None, "", [], "no_such_folder", "\0", "x" * 5000, TENSOR],
    "config": [3, "env.n_agents=4", [1], [], {"nonsense": 1}, {"env.n_agents": "x"}, {1: 2}],
}
DIALS = modules.MultiChoices([[A, 2]] * N)
BOX = modules.Box(-torch.ones(N, A), torch.ones(N, A))
SIZES = {"n_agents": N, "state_dim": D, "n_actions": A}
KINDS = {"n_agents": "size", "state_dim": "size", "n_actions": "size"}


def actor():
    return modules.CategoricalActor(N, D, A, hidden=4)


def critic():
    return modules.InfluenceCritic(N, D, A, hidden=4)


def actors(**more):
    """Arguments of an actor, and their kinds."""
    values = {"n_agents": N, "observation_dim": D}
    kinds = dict.fromkeys(values, "size")
    kinds |= {"masked": "flag", "group": "name", "parts": "parts"}
    return values, {**kinds, **more}


def choosing_actors(**more):
    """Arguments of an actor over discrete actions, and their kinds."""
    values, kinds = actors(n_actions="size", **more)
    return {**values, "n_actions": A}, kinds


def box_actors(**more):
    """Arguments of an actor over a `Box`, and their kinds."""
    values, kinds = actors(**more)
    kinds["actions"] = ["box", "team"]
    return {**values, "actions": BOX}, kinds


def critics(**more):
    """Arguments of a critic, and their kinds."""
    return sizes(*TEAM, parts="parts", **more)


def acting(**more):
    """Arguments of a critic that reads actions, and their kinds."""
    values, kinds = critics(**more)
    return {**values, "actions": A}, {**kinds, "actions": ["actions", "team"]}


def sizes(*names, **more):
    """Arguments of a network that are sizes, and the kinds of all arguments."""
    return {name: SIZES[name] for name in names}, {**dict.fromkeys(names, "size"), **more}


TEAM = ("n_agents", "state_dim")
FIRST_LAYERS = ({**SIZES, "network": NetworkOptions()}, {**KINDS, "network": "module"})
LINEAR = {"n_agents": N, "fan_in": D, "fan_out": A}
LAYERS = dict.fromkeys(LINEAR, "size")
BATCH = {"num_envs": "size", "seed": "seed", "device": "device"}
STEPPED = {"task": "task", "kwargs": "keywords", "horizon": "size", "workers": "count", **BATCH}
PUBLIC = {  # name → (valid arguments, kind of each argument)
    # credit
    "local_advantage": (
        {"influence": torch.eye(N), "advantage": torch.ones(2, N, 1)},
        {"influence": "floats", "advantage": "floats"},
    ),
    "force_diagonal": ({"influence": torch.eye(N)}, {"influence": "graph"}),
    "standardise": (
        {"x": torch.randn(2, N, 1)},
        {"x": "floats", "per_agent": "flag", "mask": "mask", "eps": "not negative"},
    ),
    "Threshold": ({}, {"c": "share", "noise": "flag", "tau": "positive"}),
    "Bernoulli": ({}, {"noise": "flag", "tau": "positive"}),
    "Soft": ({}, {}),
    "InfluenceSource": ({}, {}),
    "LearnedInfluence": (
        {},
        {
            "discretise": "part",
            "orientation": "word",
            "diagonal": "flag",
            "generator": "generator",
            "writer": "module",
            "neighbours": "neighbours",
        },
    ),
    "FixedInfluence": (
        {"graph": torch.eye(N)},
        {"graph": ["graph", "range"], "sparse": "flag"},
    ),
    "SparseInfluence": (
        {"index": torch.arange(N).unsqueeze(-1), "value": torch.ones(N, 1)},
        {"index": "index", "value": "floats", "outside": "outside", "by_return": "flag"},
    ),
    "ScoreInfluence": (
        {"actor": actor()},
        {"actor": "module", "n_agents": "size", "neighbours": "neighbours"},
    ),
    "SupervisedInfluence": (
        {"test": credit.ScoreInfluence(actor())},
        {
            "test": "module",
            "discretise": "part",
            "orientation": "word",
            "diagonal": "flag",
            "generator": "generator",
        },
    ),
    "ILVFAdvantage": (
        {"inner": gae()},
        {
            "inner": "module",
            "critic": "module",
            "influence": ["graph", "range"],
            "group": "names",
            "normalize": "word",
            "shifted": "flag",
            "device": "device",
        },
    ),
    # modules
    "Actions": ({}, {}),
    "Choices": ({"number": A}, {"number": "size"}),
    "MultiChoices": ({"counts": DIALS.counts}, {"counts": "counts"}),
    "Box": (
        {"low": BOX.low, "high": BOX.high},
        {"low": ["bounds", "crossing"], "high": "bounds"},
    ),
    "actions_of": ({"env": Aim()}, {"env": "module", "group": ["name", "group"]}),
    "CategoricalActor": choosing_actors(recurrent="word"),
    "MultiCategoricalActor": (
        {"n_agents": N, "observation_dim": D, "actions": DIALS},
        {**actors(recurrent="word")[1], "actions": ["several", "team"]},
    ),
    "GreedyActor": choosing_actors(recurrent="word"),
    "GaussianActor": box_actors(
        distribution="word", scale="word", initial_scale="positive", recurrent="word"
    ),
    "DeterministicActor": box_actors(recurrent="word"),
    "NoisyActor": (
        {"actor": modules.DeterministicActor(N, D, BOX, hidden=4)},
        {"actor": "module", "noise": "word"},
    ),
    "RandomActor": (
        {"actions": BOX},
        {"actions": "actions", "masked": ["flag", "masking"], "group": "name"},
    ),
    "StateCritic": critics(
        shared_first="flag", neighbours="neighbours", attended="few", recurrent="word"
    ),
    "LocalCritic": (
        {"n_agents": N, "observation_dim": D},
        {"n_agents": "size", "observation_dim": "size", "parts": "parts"},
    ),
    "CentralCritic": critics(recurrent="word"),
    "InfluenceCritic": acting(q_depth="size", shared_first="flag", neighbours="neighbours"),
    "OwnFirst": FIRST_LAYERS,
    "SharedFirst": FIRST_LAYERS,
    "NeighbourFirst": (
        {**FIRST_LAYERS[0], "neighbours": torch.arange(N).unsqueeze(-1)},
        {**FIRST_LAYERS[1], "neighbours": "neighbours"},
    ),
    "AttendedFirst": (
        {"n_agents": N, "state_dim": D, "attended": 1, "network": NetworkOptions()},
        {**dict.fromkeys((*TEAM, "attended"), "size"), "network": "module"},
    ),
    "ActionInfluenceCritic": acting(q_depth="size"),
    "RelevanceCritic": acting(),
    "CounterfactualCritic": sizes(*TEAM, "n_actions", parts="parts"),
    "JointCritic": acting(),
    "GumbelAttention": sizes(*TEAM, depth="size", own_first="flag", candidates="size"),
    "gumbel_sigmoid": (
        {"logits": torch.zeros(2, N, N), "tau": 1.0},
        {"logits": "floats", "tau": "positive", "generator": "generator"},
    ),
    "AgentLinear": (LINEAR, {**LAYERS, "gain": "number", "share": "flag", "bias": "flag"}),
    "AgentMLP": (
        LINEAR,
        {**LAYERS, "head_gain": "number", "first": "flag", "memory": "module"},
    ),
    "Mixer": (
        {"kind": "qmix", "n_agents": N, "state_dim": D},
        {
            "kind": "word",
            "n_agents": "size",
            "state_dim": "size",
            "embed": "size",
            "input_norm": "word",
        },
    ),
    "ValueNorm": (
        {"shape": (N, 1)},
        {"shape": "shape", "beta": "share", "min_variance": "positive"},
    ),
    "RewardModel": (
        {"n_agents": N, "observation_dim": D, "actions": A},
        {"n_agents": "size", "observation_dim": "size", "actions": "actions"},
    ),
    # losses
    "PPOLoss": (
        {"actor": actor(), "critic": critic()},
        {
            "actor": "module",
            "critic": "module",
            "value_norm": "module",
            "reward_model": "module",
        },
    ),
    "ActionValueLoss": (
        {"critic": critic()},
        {
            "critic": "module",
            "group": "names",
            "state_key": "name",
            "coeff": "not negative",
            "supervision": "not negative",
            "huber_delta": "positive",
            "value_norm": "module",
        },
    ),
    "QMIXLoss": (
        {"actor": modules.GreedyActor(N, D, A), "mixer": modules.Mixer("vdn", N, D)},
        {"actor": "module", "mixer": "module"},
    ),
    "MADDPGLoss": (
        {"actor": actor(), "critic": modules.JointCritic(N, D, A)},
        {"actor": "module", "critic": "module"},
    ),
    # environments and runs
    "make_env": ({"name": "encircle", "n_agents": 4}, {"name": "word", **BATCH}),
    "Encircle": (
        {"n_agents": 4},
        {
            "n_agents": "size",
            "n_obstacles": "count",
            "angle": "word",
            "horizon": "size",
            "continuous": "flag",
            **BATCH,
        },
    ),
    "Vmas": (
        {"task": "balance"},
        {"task": "task", "kwargs": "keywords", "horizon": "size", **BATCH},
    ),
    "PettingZoo": ({"task": "mpe2.simple_spread_v3"}, STEPPED),
    "Gymnasium": ({"task": "Foraging-8x8-2p-3f-v3"}, STEPPED),
    "load_policy": (
        {"path": "no_such_folder"},
        {"path": "path", "device": "device", "temperature": "positive"},
    ),
    "Experiment": ({}, {"task": "task", "algorithm": "task", "config": "config"}),
}
PUBLIC["ILVFLoss"] = PUBLIC["PPOLoss"]
