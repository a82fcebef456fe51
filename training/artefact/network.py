"""The network of the head `artefact`: a logistic regression on piecewise linear functions."""

import torch
from torch import Tensor, nn

N_KNOTS = 6


class ArtefactModel(nn.Module):
    """Logistic regression on piecewise linear functions of each number; what is missing adds nothing."""

    def __init__(self, n_inputs: int) -> None:
        super().__init__()
        n_functions = N_KNOTS + 1
        self.register_buffer("low", torch.zeros(n_inputs))
        self.register_buffer("high", torch.ones(n_inputs))
        self.register_buffer("knots", torch.zeros(N_KNOTS, n_inputs))
        self.register_buffer("centre", torch.zeros(n_functions, n_inputs))
        self.register_buffer("coefficients", torch.zeros(n_functions, n_inputs))
        self.register_buffer("intercept", torch.zeros(()))

    def functions(self, inputs: Tensor) -> Tensor:
        """``(n, d)``, NaN where missing -> ``(n, 7, d)`` centred functions of each number, 0 where it is missing."""
        is_present = ~torch.isnan(inputs)
        known = torch.where(is_present, inputs, torch.zeros_like(inputs))
        clipped = torch.minimum(torch.maximum(known, self.low), self.high)[:, None, :]
        hinges = torch.cat([clipped, (clipped - self.knots).clamp(min=0.0)], dim=1) - self.centre
        return hinges * is_present[:, None, :].to(inputs.dtype)

    def forward(self, inputs: Tensor) -> Tensor:
        """``(n, d)`` float32, NaN where missing -> probability of being bogus ``(n,)``."""
        return torch.sigmoid((self.functions(inputs) * self.coefficients).sum(dim=(1, 2)) + self.intercept)
