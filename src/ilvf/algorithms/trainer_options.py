"""Which options of Lightning's Trainer an algorithm cannot follow."""

import lightning as L

from ilvf.errors import require


def require_trainer(trainer: L.Trainer, lr_end: float | None) -> None:
    """Raise unless an algorithm can do what a Trainer asks for.

    Args:
        lr_end: the learning rate in the last iteration, or None.

    Raises:
        UsageError: gradients are clipped by value, accumulated over batches or scaled; or `lr_end`
            is given and the number of iterations is not.
    """
    way = getattr(trainer.gradient_clip_algorithm, "value", None)
    require(
        way in (None, "norm"),
        f"gradient_clip_algorithm={way} of the Trainer: gradients are clipped by norm; leave "
        "it out",
    )
    batches = trainer.accumulate_grad_batches
    require(
        batches == 1,
        f"accumulate_grad_batches={batches} of the Trainer: every minibatch is a step; take fewer "
        "minibatches instead (options.minibatches), or a larger batch_size off-policy",
    )
    require(
        getattr(trainer.precision_plugin, "scaler", None) is None,
        f"precision={trainer.precision} of the Trainer scales the loss, so that gradients cannot "
        "be clipped; take 32-true or bf16-mixed",
    )
    iterations = trainer.max_epochs or 0
    require(
        lr_end is None or iterations > 0,
        f"lr_end={lr_end} needs the number of iterations, max_epochs of the Trainer, which is "
        f"{trainer.max_epochs}",
    )
