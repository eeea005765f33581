"""Muon: momentum whose update is made orthogonal, which here learns in a third of the steps AdamW needs.

Source: Keller Jordan et al., "Muon: An optimizer for hidden layers in neural networks" (2024). `torch.optim.Muon` does
the same in bfloat16, matrix by matrix; on a CPU without bfloat16 units that takes as long as the training itself.
"""

from collections.abc import Iterable

import torch


class Muon(torch.optim.Optimizer):
    """For the 2-D weights of hidden layers only; matrices of one shape are handled in one batch."""

    def __init__(
        self, params: Iterable[torch.nn.Parameter], lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.01
    ) -> None:
        shapes: dict[torch.Size, list[torch.nn.Parameter]] = {}
        for parameter in params:
            shapes.setdefault(parameter.shape, []).append(parameter)
        defaults = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        super().__init__([{"params": same} for same in shapes.values()], defaults)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            weights = group["params"]
            gradient = torch.stack([w.grad for w in weights])
            average = self.state[weights[0]].setdefault("average", torch.zeros_like(gradient))
            average.lerp_(gradient, 1 - group["momentum"])
            update = orthogonal(gradient.lerp(average, group["momentum"]))
            rows, columns = weights[0].shape
            scale = group["lr"] * max(1.0, rows / columns) ** 0.5
            for weight, direction in zip(weights, update, strict=True):
                weight.mul_(1 - group["lr"] * group["weight_decay"]).add_(direction, alpha=-scale)


def orthogonal(matrices: torch.Tensor, iterations: int = 5) -> torch.Tensor:
    """Bring all singular values of [n, rows, columns] near 1 (Newton-Schulz, coefficients from the source above)."""
    wide = matrices if matrices.shape[-2] <= matrices.shape[-1] else matrices.mT
    x = wide / (wide.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(iterations):
        square = x @ x.mT
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    return x if matrices.shape[-2] <= matrices.shape[-1] else x.mT
