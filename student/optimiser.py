"""What moves the weights: AdamW over those that learn, at the rate of the schedule."""

from torch.optim import AdamW
from transformers import PreTrainedModel

from student.config import Config
from student.plan import rate

__all__ = ["make_optimiser", "set_rate"]


def make_optimiser(model: PreTrainedModel, config: Config) -> AdamW:
    """The optimiser of the weights that learn; matrices are decayed, norms and biases are not."""
    learning = [weight for weight in model.parameters() if weight.requires_grad]
    matrices = [weight for weight in learning if weight.dim() >= 2]
    vectors = [weight for weight in learning if weight.dim() < 2]
    return AdamW(
        [
            {"params": matrices, "weight_decay": config.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        betas=(config.beta1, config.beta2),
        eps=config.epsilon,
        fused=True,
    )


def set_rate(optimiser: AdamW, number: int, steps: int, config: Config) -> float:
    """The rate of step `number` of `steps`, counted from 0, which the optimiser takes next."""
    now = rate(
        number,
        steps,
        highest=config.learning_rate,
        warmup_share=config.warmup_share,
        final_share=config.final_share,
    )
    for group in optimiser.param_groups:
        group["lr"] = now
    return now
