"""The optimizer for small models."""

from __future__ import annotations

import copy

import torch

from training.muon import Muon, orthogonal


def test_updates_of_matrices_are_orthogonal() -> None:
    """Singular values of what comes out lie near one, for tall, wide and square matrices alike."""
    torch.manual_seed(0)
    for shape in ((3, 40, 40), (2, 96, 32), (2, 32, 96)):
        values = torch.linalg.svdvals(orthogonal(torch.randn(shape)))
        assert values.quantile(0.1) > 0.5 and values.max() < 1.3


def test_it_fits_a_linear_map() -> None:
    """A matrix by Muon's rule and a vector by AdamW's find the map that made the data."""
    torch.manual_seed(0)
    wanted, offset = torch.randn(8, 8), torch.randn(8)
    weight, bias = torch.nn.Parameter(torch.zeros(8, 8)), torch.nn.Parameter(torch.zeros(8))
    optimizer = Muon([{"params": [weight], "muon": True}, {"params": [bias]}], lr=0.05)
    losses = []
    for step in range(400):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * (1 - step / 400)
        x = torch.randn(64, 8)
        loss = (x @ weight.T + bias - x @ wanted.T - offset).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 1e-3 * losses[0]


def test_its_state_is_kept_and_taken_up() -> None:
    """A new optimizer given the old one's state makes the same next step."""

    def made() -> tuple[torch.nn.Parameter, Muon]:
        torch.manual_seed(0)
        weight = torch.nn.Parameter(torch.randn(6, 4))
        return weight, Muon([{"params": [weight], "muon": True}], lr=0.1)

    def step(weight: torch.nn.Parameter, optimizer: Muon, seed: int) -> None:
        weight.grad = torch.randn(6, 4, generator=torch.Generator().manual_seed(seed))
        optimizer.step()

    straight, first = made()
    step(straight, first, 1)
    again, second = made()
    again.data.copy_(straight.data)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    step(straight, first, 2)
    step(again, second, 2)
    assert torch.equal(straight, again)
