"""Adapters: nothing has changed before anything is learnt, and a merged layer says what layer and adapter said together."""

import numpy as np
import torch
from digits import a_network, digits

from freehold.training.continual.adapters import change_of, elected, low_rank, summed


def test_an_adapter_that_learnt_nothing_changes_nothing() -> None:
    x = torch.from_numpy(digits()[0][:20])
    layer = a_network().head
    assert torch.equal(low_rank(layer, 3)(x), layer(x))


def test_it_alone_is_learnt() -> None:
    adapted = low_rank(a_network().head, 3)
    assert {name for name, each in adapted.named_parameters() if each.requires_grad} == {"down", "up"}


def test_the_merged_layer_says_what_both_said_together() -> None:
    x_ND, _ = digits()
    layer = a_network().head
    adapted = low_rank(layer, 3)
    with torch.no_grad():
        adapted.up.normal_()
    merged = summed(layer.weight.numpy(), [change_of(adapted)])
    said = adapted(torch.from_numpy(x_ND[:20])).detach().numpy()
    np.testing.assert_allclose(x_ND[:20] @ merged.T + layer.bias.detach().numpy(), said, rtol=1e-10)
    assert np.linalg.matrix_rank(change_of(adapted)) == 3


def test_sums_take_a_share_of_each_and_none_changes_nothing() -> None:
    base = np.ones((2, 2), np.float32)
    assert summed(base, [np.eye(2), 3 * np.eye(2)], 0.5).tolist() == [[3, 1], [1, 3]]
    assert summed(base, []).tolist() == base.tolist()
    assert elected(base, []).tolist() == base.tolist()


def test_where_changes_disagree_the_sign_with_more_weight_wins() -> None:
    """The example of the paper's figure 1: small entries are cut off, and the mean is of those that agree."""
    changes = [np.array([4.0, 0.1, -3.0, 2.0]), np.array([2.0, 0.2, 5.0, -0.1])]
    assert elected(np.zeros(4), changes, keep=0.5).tolist() == [3.0, 0.0, 5.0, 0.0]
    assert elected(np.zeros(4), changes, keep=1.0).tolist() == [3.0, 0.15000000000000002, 5.0, 2.0]
