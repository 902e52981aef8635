"""Learning without forgetting on digits in float64, against its definition written out in numpy."""

import numpy as np
import pytest
import torch
from digits import a_network, by_differences, digits, some_places

from freehold.training.continual.lwf import distillation

KNOWN = torch.tensor([0, 1, 2, 3, 4, 5])


def softened(logits_NC: np.ndarray, temperature: float) -> np.ndarray:
    e_NC = np.exp(logits_NC / temperature - (logits_NC / temperature).max(axis=1, keepdims=True))
    return e_NC / e_NC.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_the_loss_is_that_of_the_definition(temperature: float) -> None:
    """T² times the mean of -Σ p log q over the answers that were known."""
    x_ND, _ = digits()
    x = torch.from_numpy(x_ND[:50])
    new, old = a_network(seed=1)(x).detach(), a_network()(x).detach()
    p_NK, q_NK = (softened(each.numpy()[:, :6], temperature) for each in (old, new))
    wanted = temperature**2 * -(p_NK * np.log(q_NK)).sum(axis=1).mean()
    assert distillation(new, old, KNOWN, temperature).item() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_its_gradient_is_the_difference_of_what_both_say(temperature: float) -> None:
    """T (q - p) / B by the logits of known answers, 0 by those that came later."""
    x_ND, _ = digits()
    x = torch.from_numpy(x_ND[:50])
    new, old = a_network(seed=1)(x).detach().requires_grad_(), a_network()(x).detach()
    distillation(new, old, KNOWN, temperature).backward()
    p_NK, q_NK = (softened(each.detach().numpy()[:, :6], temperature) for each in (old, new))
    np.testing.assert_allclose(new.grad[:, :6].numpy(), temperature * (q_NK - p_NK) / 50, rtol=1e-9, atol=1e-14)
    assert (new.grad[:, 6:] == 0).all()


def test_its_gradient_by_parameters_is_that_by_differences() -> None:
    x_ND, _ = digits()
    x = torch.from_numpy(x_ND[:20])
    model, old = a_network(seed=1, hidden=7), a_network(hidden=7)(x).detach()
    distillation(model(x), old, KNOWN).backward()
    rng = np.random.default_rng(0)
    for each in model.parameters():
        places = some_places(tuple(each.shape), rng)
        by_hand = by_differences(lambda: distillation(model(x), old, KNOWN).item(), each, places)
        np.testing.assert_allclose([each.grad[place].item() for place in places], by_hand, rtol=1e-5, atol=1e-9)


def test_a_model_that_still_says_the_same_is_not_pulled_anywhere() -> None:
    x_ND, _ = digits()
    logits = a_network()(torch.from_numpy(x_ND[:20])).detach().requires_grad_()
    distillation(logits, logits.detach().clone(), KNOWN).backward()
    assert logits.grad.abs().max().item() < 1e-15
