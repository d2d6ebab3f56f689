"""python -m ilvf.envs.capture_prey: draw an episode of agents that know where the prey is."""

from ilvf.envs import capture_prey
from ilvf.envs.capture_prey.env import CapturePrey

print(capture_prey.__doc__)
scene = CapturePrey(seed=0)
episode = scene.rollout(80, scene.rules["seek"]())
scene.draw(episode).savefig("capture_prey.png", dpi=120)
scene.animate(episode, "capture_prey.gif")
print("capture_prey.png and .gif show an episode of agents that know where the prey is")
