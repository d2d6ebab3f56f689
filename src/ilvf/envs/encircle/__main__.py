"""python -m ilvf.envs.encircle: draw 50 random steps of ten agents among three obstacles."""

from ilvf.envs import encircle

print(encircle.__doc__)
scene = encircle.Encircle(n_agents=10, n_obstacles=3, seed=0)
scene.draw(scene.rollout(50)).savefig("encircle.png", dpi=120)
print("encircle.png shows 50 random steps of ten agents among three obstacles")
