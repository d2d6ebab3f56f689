"""Shared by the tests of the off-policy losses: sizes, losses with small networks, transitions."""

import torch

from helpers import random_transitions
from ilvf.losses import MADDPGLoss, QMIXLoss
from ilvf.modules import CategoricalActor, GreedyActor, JointCritic, Mixer

B = 6  # rows
N = 3  # agents
DO = 5  # numbers of an observation
D = 4  # numbers of a state
A = 3  # actions


def transitions(rows=B, terminated=False):
    """Transitions that fit the losses below."""
    return random_transitions(rows, N, DO, D, A, terminated)


def qmix_loss(kind="qmix", **options):
    """A loss without normalization, whose targets differ from the networks that they follow."""
    actor = GreedyActor(N, DO, A, hidden=8)
    mixer = Mixer(kind, N, D, embed=4)
    loss = QMIXLoss(actor, mixer, **{"normalize_values": False, **options})
    perturb(loss.target_actor, loss.target_mixer)
    return loss


def maddpg_loss(**options):
    """A loss without normalization, whose targets differ from the networks that they follow."""
    actor = CategoricalActor(N, DO, A, hidden=8, gain=1.0)
    critic = JointCritic(N, D, A, hidden=8)
    loss = MADDPGLoss(actor, critic, **{"normalize_values": False, **options})
    perturb(loss.target_actor, loss.target_critic)
    return loss


def perturb(*modules):
    """Change all parameters a little."""
    for module in modules:
        for p in module.parameters():
            p.data += 0.3 * torch.randn_like(p)
