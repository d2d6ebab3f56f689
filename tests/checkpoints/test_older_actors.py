"""Actors of checkpoints that have been made before their arguments changed."""

from dataclasses import asdict

import torch

from ilvf.checkpoints.policy import actor_of, arguments_of
from ilvf.checkpoints.verify import ACTOR
from ilvf.modules import CategoricalActor
from ilvf.modules.images import Image

IMAGE = Image(channels=1, height=5, width=5, begin=2)


def test_an_image_was_an_argument_of_its_own():
    actor = CategoricalActor(2, 27, 3, hidden=8, parts=IMAGE)
    arguments = arguments_of(actor)
    del arguments["parts"]
    weights = {f"{ACTOR}{name}": value for name, value in actor.state_dict().items()}
    content = {"state_dict": weights, "ilvf": {"actor": {**arguments, "image": asdict(IMAGE)}}}
    observation = torch.randn(4, 2, 27)
    found = actor_of(content, "old.ckpt")
    assert torch.equal(found.outputs(observation), actor.outputs(observation))
