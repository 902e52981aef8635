"""Elastic weight consolidation on digits in float64, against its definition written out in numpy."""

import numpy as np
import pytest
import torch
from digits import a_network, by_differences, digits, some_places

from freehold.training.continual.ewc import as_arrays, consolidate, fisher, grown, of_arrays, penalty

ALL = torch.ones((40, 10), dtype=torch.bool)


def probabilities(model: torch.nn.Module, x_ND: np.ndarray) -> np.ndarray:
    weight, bias = (each.detach().numpy() for each in model.parameters())
    logits_NC = x_ND @ weight.T + bias
    e_NC = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True))
    return e_NC / e_NC.sum(axis=1, keepdims=True)


def test_the_fisher_of_a_softmax_regression_is_its_closed_form() -> None:
    """∂ log p(y|x) / ∂ W[c,d] is (1[y=c] - p_c) x_d; its square's mean over y drawn from p is p_c (1 - p_c) x_d²."""
    x_ND, _ = digits()
    model = a_network()
    found = fisher(model, torch.from_numpy(x_ND[:40]), ALL, None)
    p_NC = probabilities(model, x_ND[:40])
    spread_NC = p_NC * (1 - p_NC)
    np.testing.assert_allclose(found["head.weight"].numpy(), spread_NC.T @ x_ND[:40] ** 2 / 40, rtol=1e-10, atol=1e-15)
    np.testing.assert_allclose(found["head.bias"].numpy(), spread_NC.mean(axis=0), rtol=1e-10, atol=1e-15)


def test_the_fisher_of_a_network_is_the_mean_of_squared_derivatives_by_differences() -> None:
    x_ND, _ = digits()
    model = a_network(hidden=7)
    x = torch.from_numpy(x_ND[:6])
    found = fisher(model, x, ALL[:6], None)
    p_NC = torch.softmax(model(x), dim=1).detach().numpy()
    rng = np.random.default_rng(0)
    for name, parameter in model.named_parameters():
        places = some_places(tuple(parameter.shape), rng, 5)
        wanted = np.zeros(len(places))
        for n in range(6):
            for c in range(10):
                slope = by_differences(lambda n=n, c=c: torch.log_softmax(model(x[n : n + 1]), 1)[0, c].item(), parameter, places)
                wanted += p_NC[n, c] * np.square(slope) / 6
        np.testing.assert_allclose([found[name][place].item() for place in places], wanted, rtol=1e-5, atol=1e-9)


def test_drawing_one_answer_a_row_gives_the_same_on_average() -> None:
    """Over 60 draws of 40 rows; the standard error is about a fiftieth of the mean."""
    x_ND, _ = digits()
    model = a_network()
    x = torch.from_numpy(x_ND[:40])
    exact = fisher(model, x, ALL, None)["head.bias"].numpy()
    rng = np.random.default_rng(0)
    drawn = np.mean([fisher(model, x, ALL, rng)["head.bias"].numpy() for _ in range(60)], axis=0)
    np.testing.assert_allclose(drawn.sum(), exact.sum(), rtol=0.1)


def test_answers_that_do_not_compete_are_held_by_nothing() -> None:
    x_ND, _ = digits()
    allowed = ALL.clone()
    allowed[:, 5:] = False
    found = fisher(a_network(), torch.from_numpy(x_ND[:40]), allowed, None)
    assert (found["head.weight"][5:] == 0).all()
    assert (found["head.weight"][:5].sum(dim=1) > 0).all()


def test_the_penalty_and_its_gradient_are_those_of_the_definition() -> None:
    """½ Σ F (θ - θ*)², and F (θ - θ*)."""
    x_ND, _ = digits()
    model = a_network(hidden=7)
    held = consolidate(None, fisher(model, torch.from_numpy(x_ND[:10]), ALL[:10], None), model)
    assert penalty(model, held).item() == 0
    moved = a_network(seed=1, hidden=7)
    value = penalty(moved, held)
    wanted = sum(
        0.5 * (held.fisher[name].numpy() * (each.detach().numpy() - held.anchor[name].numpy()) ** 2).sum()
        for name, each in moved.named_parameters()
    )
    assert value.item() == pytest.approx(wanted, rel=1e-12)
    value.backward()
    rng = np.random.default_rng(0)
    for name, each in moved.named_parameters():
        slope = held.fisher[name] * (each.detach() - held.anchor[name])
        np.testing.assert_allclose(each.grad.numpy(), slope.numpy(), rtol=1e-12)
        places = some_places(tuple(each.shape), rng)
        by_hand = by_differences(lambda: penalty(moved, held).item(), each, places, step=1e-4)
        np.testing.assert_allclose([each.grad[place].item() for place in places], by_hand, rtol=1e-6, atol=1e-9)


def test_fishers_add_up_and_fade_and_the_anchor_is_where_the_model_is() -> None:
    x_ND, _ = digits()
    first, second = a_network(), a_network(seed=1)
    before = fisher(first, torch.from_numpy(x_ND[:10]), ALL[:10], None)
    after = fisher(second, torch.from_numpy(x_ND[10:20]), ALL[:10], None)
    held = consolidate(consolidate(None, before, first), after, second, keep=0.5)
    np.testing.assert_allclose(held.fisher["head.weight"].numpy(), (0.5 * before["head.weight"] + after["head.weight"]).numpy())
    assert torch.equal(held.anchor["head.weight"], second.head.weight)


def test_answers_that_came_later_are_free_to_move() -> None:
    """A head with two more rows is held where it had been, and by nothing in the new rows."""
    x_ND, _ = digits()
    held = consolidate(None, fisher(a_network(answers=8), torch.from_numpy(x_ND[:10]), ALL[:10, :8], None), a_network(answers=8))
    larger = a_network(seed=1, answers=10)
    penalty(larger, held).backward()
    assert (larger.head.weight.grad[8:] == 0).all()
    assert (larger.head.weight.grad[:8] != 0).any()
    assert grown(torch.ones(2, 3), torch.zeros(3, 3)).tolist() == [[1, 1, 1], [1, 1, 1], [0, 0, 0]]


def test_what_is_held_travels_as_arrays() -> None:
    x_ND, _ = digits()
    model = a_network()
    held = consolidate(None, fisher(model, torch.from_numpy(x_ND[:5]), ALL[:5], None), model)
    again = of_arrays(as_arrays(held) | {"head.weight": np.zeros(3)})
    assert again is not None
    assert torch.equal(again.fisher["head.weight"], held.fisher["head.weight"])
    assert torch.equal(again.anchor["head.bias"], held.anchor["head.bias"])
    assert of_arrays({"head.weight": np.zeros(3)}) is None
