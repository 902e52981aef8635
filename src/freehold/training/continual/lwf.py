"""Learning without forgetting: what the previous model says of new rows is learnt beside what is right.

Source: Li and Hoiem, Learning without Forgetting (TPAMI 40 (2018) 2935), eq. 2 to 4, with softened probabilities after Hinton et al. (2015).
The loss has the factor T² with which Hinton keeps gradients of one size whatever the temperature; Li and Hoiem leave that to the weight.
"""

from typing import Any, TypeAlias

Tensor: TypeAlias = Any  # torch's types are not followed


def distillation(logits_BC: Tensor, before_BC: Tensor, known_C: Tensor, temperature: float = 2.0) -> Tensor:
    """T² times the mean of -Σ p log q over the answers that the previous model knew: p its softened probabilities, q the new one's.

    Its gradient by the logits of those answers is T (q - p) / B, and 0 by all others: answers that came later are left alone.
    """
    from torch.nn.functional import log_softmax, softmax

    p_BK = softmax(before_BC[:, known_C] / temperature, dim=1)
    log_q_BK = log_softmax(logits_BC[:, known_C] / temperature, dim=1)
    return -(temperature**2) * (p_BK * log_q_BK).sum(dim=1).mean()
