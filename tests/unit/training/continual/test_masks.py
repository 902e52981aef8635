"""Which answers a row's right answer competes with."""

import numpy as np
import torch
from digits import a_network, digits

from freehold.training.continual.masks import allowed, masked_cross_entropy

TAUGHT = np.array([[True, True, False, False, False], [False, True, True, True, False]])
"""The first data set has the answers 0 and 1, the second 1, 2 and 3; nobody has taught 4."""
ROWS = np.array([0, 1])
"""A replayed row of the first, and a new one of the second."""


def test_all_compete_that_any_data_set_taught() -> None:
    assert allowed("all", ROWS, TAUGHT).tolist() == [[True, True, True, True, False]] * 2


def test_those_of_a_rows_own_data_set_compete() -> None:
    assert allowed("current", ROWS, TAUGHT).tolist() == [[True, True, False, False, False], [False, True, True, True, False]]


def test_replayed_rows_compete_with_all_and_new_ones_among_themselves() -> None:
    assert allowed("replay", ROWS, TAUGHT).tolist() == [[True, True, True, True, False], [False, True, True, True, False]]


def test_the_loss_is_that_of_a_softmax_over_the_answers_that_compete() -> None:
    x_ND, y_N = digits()
    rows = np.flatnonzero(y_N < 4)[:30]
    logits = a_network()(torch.from_numpy(x_ND[rows])).detach().requires_grad_()
    competing = torch.zeros((30, 10), dtype=torch.bool)
    competing[:, :4] = True
    loss = masked_cross_entropy(logits, torch.from_numpy(y_N[rows]), competing)
    four_NC = logits.detach().numpy()[:, :4]
    p_NC = np.exp(four_NC) / np.exp(four_NC).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(loss.item(), -np.log(p_NC[np.arange(30), y_N[rows]]).mean(), rtol=1e-12)
    loss.backward()
    np.testing.assert_allclose(logits.grad[:, :4].numpy(), (p_NC - np.eye(4)[y_N[rows]]) / 30, rtol=1e-9, atol=1e-15)
    assert (logits.grad[:, 4:] == 0).all()
