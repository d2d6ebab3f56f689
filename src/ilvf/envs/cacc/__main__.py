"""python -m ilvf.envs.cacc: draw eight vehicles that slow down by the linear rule."""

from ilvf.envs import cacc
from ilvf.envs.cacc.env import CACC

print(cacc.__doc__)
scene = CACC("slow-down", ratio=2.0).eval()
scene.draw(scene.rollout(600, scene.rules["linear"]())).savefig("cacc.png", dpi=120)
print("cacc.png shows eight vehicles slowing down from 30 m/s by the linear rule")
