"""How weights follow gradients: AdamW, the paper's LAMB, and the schedule of the learning rate."""

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

type Schedule = Literal["linear", "constant", "cosine"]

OPTIMIZERS = ("adamw", "lamb")
_MAX_WEIGHT_NORM = 10.0


class Lamb(Optimizer):
    """LAMB (You et al., ICLR 2020) as the ANCE paper's code has it.

    Each tensor's step is Adam's times the norm of the weights over the norm of the step. As there,
    moments are not corrected for their start at zero, unless asked, and the norm of the weights
    counts as at most 10; a tensor whose weights or step are all zero takes Adam's step.

    Args:
        params: Parameters, or groups of them.
        lr: Learning rate.
        betas: Decay of the mean of gradients and of their squares.
        eps: Added to the root of the squares' mean.
        weight_decay: Share of the weights that is added to the step before its norm is taken.
        has_bias_correction: Correct the moments, as in Adam and in LAMB's own paper.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        has_bias_correction: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "has_bias_correction": has_bias_correction,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # noqa: ANN401 - as in torch
        """Change the weights that have a gradient.

        Args:
            closure: Computes the loss anew, with gradients; rarely of use.

        Returns:
            What the closure gives, or None.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            weights = [weight for weight in group["params"] if weight.grad is not None]
            if weights:
                self._step_group(group, weights)
        return loss

    def _step_group(self, group: dict[str, Any], weights: list[Tensor]) -> None:
        steps = self._moments(group, weights)
        if group["weight_decay"]:
            torch._foreach_add_(steps, weights, alpha=group["weight_decay"])
        weight_norms = torch._foreach_norm(weights)
        step_norms = torch._foreach_norm(steps)
        ratios = [
            _trust_ratio(weight_norm, step_norm)
            for weight_norm, step_norm in zip(weight_norms, step_norms, strict=True)
        ]
        torch._foreach_mul_(steps, ratios)
        torch._foreach_add_(weights, steps, alpha=-group["lr"])

    def _moments(self, group: dict[str, Any], weights: list[Tensor]) -> list[Tensor]:
        """Update the moments, and give Adam's step of each weight, without the learning rate."""
        for weight in weights:
            state = self.state[weight]
            if not state:
                state["step"] = 0
                state["exp_avg"] = torch.zeros_like(weight)
                state["exp_avg_sq"] = torch.zeros_like(weight)
            state["step"] += 1
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        means = [self.state[weight]["exp_avg"] for weight in weights]
        squares = [self.state[weight]["exp_avg_sq"] for weight in weights]
        beta1, beta2 = group["betas"]
        torch._foreach_mul_(means, beta1)
        torch._foreach_add_(means, gradients, alpha=1 - beta1)
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, gradients, gradients, value=1 - beta2)
        roots = torch._foreach_sqrt(squares)
        if group["has_bias_correction"]:
            numbers = [self.state[weight]["step"] for weight in weights]
            torch._foreach_div_(roots, [math.sqrt(1 - beta2**number) for number in numbers])
        torch._foreach_add_(roots, group["eps"])
        steps = torch._foreach_div(means, roots)
        if group["has_bias_correction"]:
            torch._foreach_div_(steps, [1 - beta1**number for number in numbers])
        return list(steps)


def _trust_ratio(weight_norm: Tensor, step_norm: Tensor) -> Tensor:
    """Divide the norms without waiting for a GPU to say whether one is zero."""
    clamped = weight_norm.clamp(max=_MAX_WEIGHT_NORM)
    is_zero = (clamped == 0) | (step_norm == 0)
    return torch.where(is_zero, torch.ones_like(clamped), clamped / step_norm)


def new_optimizer(
    model: nn.Module,
    name: str,
    *,
    lr: float,
    weight_decay: float = 0.0,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    has_bias_correction: bool | None = None,
) -> Optimizer:
    """Make an optimiser of a model's trained weights; biases and LayerNorm do not decay.

    Args:
        model: Whose weights to train; on its device already.
        name: ``adamw`` or ``lamb``.
        lr: Learning rate; the schedule sets it anew at each step.
        weight_decay: Share of the weights, times the learning rate, that each step takes away.
        betas: Decay of the mean of gradients and of their squares.
        eps: Added to the root of the squares' mean.
        has_bias_correction: LAMB's choice, off if None; AdamW always corrects.

    Returns:
        The optimiser, with two groups: with decay and without.

    Raises:
        ValueError: There is no such optimiser, or AdamW shall not correct.
    """
    groups = _groups(model, weight_decay)
    if name == "lamb":
        return Lamb(groups, lr, betas=betas, eps=eps, has_bias_correction=bool(has_bias_correction))
    if name != "adamw":
        raise ValueError(f"optimizer must be one of {', '.join(OPTIMIZERS)}, found {name!r}")
    if has_bias_correction is False:
        raise ValueError("adamw always corrects its moments; use lamb to leave that out")
    devices = {weight.device.type for group in groups for weight in group["params"]}
    return AdamW(groups, lr=lr, betas=betas, eps=eps, fused=devices <= {"cpu", "cuda", "mps"})


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    decayed: dict[Tensor, None] = {}
    plain: dict[Tensor, None] = {}
    for module in model.modules():
        for name, weight in module.named_parameters(recurse=False):
            if not weight.requires_grad:
                continue
            is_plain = name.endswith("bias") or isinstance(module, nn.LayerNorm)
            (plain if is_plain else decayed)[weight] = None
    return [
        {"params": list(decayed), "weight_decay": weight_decay},
        {"params": list(plain), "weight_decay": 0.0},
    ]


def learning_rate(
    step: int,
    *,
    peak: float,
    num_steps: int,
    lr_warmup_steps: int = 0,
    schedule: Schedule = "linear",
) -> float:
    """Give the learning rate of a step: a ramp up to the peak, then the schedule.

    No step is wasted on a rate of zero: the first of the ramp has peak / lr_warmup_steps, its last
    has the peak, and so has the step after it; ``linear`` and ``cosine`` would reach zero one step
    after the last.

    Args:
        step: Steps taken before this one, so the first step is 0.
        peak: The highest rate.
        num_steps: Steps of the whole training; beyond, ``linear`` and ``cosine`` give 0.
        lr_warmup_steps: Length of the ramp; one longer than the training is cut off with it.
        schedule: What follows the ramp.

    Returns:
        The rate.

    Raises:
        ValueError: A number of steps is negative, or there is no such schedule.
    """
    if min(step, num_steps, lr_warmup_steps) < 0:
        raise ValueError(
            "steps are counted from 0: "
            f"found step {step}, num_steps {num_steps}, lr_warmup_steps {lr_warmup_steps}"
        )
    if schedule not in ("linear", "constant", "cosine"):
        raise ValueError(f"schedule must be linear, constant or cosine, found {schedule!r}")
    if step < lr_warmup_steps:
        return peak * (step + 1) / lr_warmup_steps
    if schedule == "constant":
        return peak
    left = max(0, num_steps - step) / max(1, num_steps - lr_warmup_steps)
    return peak * left if schedule == "linear" else peak * (1 - math.cos(math.pi * left)) / 2
