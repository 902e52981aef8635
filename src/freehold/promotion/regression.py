"""The regression gate: a specialist that goes on learning may not have forgotten. This, and no regulariser, is the safety argument.

It is refused where, on the test rows of all earlier data sets together, it lost more than its task allows; where on one data set, in one region
or for one answer it lost more than that beyond chance; where nothing is left to compare by; and where it answers in another manner: less often,
always the same, or at another length.
"""

from collections.abc import Sequence

from freehold.evaluation.forgetting import Manner
from freehold.promotion.gate import GateClosed
from freehold.variants.card import Card, Kept

LESS_ANSWERED = 0.1
"""Of all rows, so many more without an answer are a collapse."""
FEWER_KINDS = 0.5
"""Of the kinds of answers, a share below this is one."""
OTHER_LENGTH = 2.0
"""Texts more than so many times as long as they were, or as short, are one."""


class Forgot(GateClosed):
    """The specialist lost too much of what the one before it knew."""

    def __init__(self, message: str, card: Card, reasons: Sequence[str]) -> None:
        super().__init__(message)
        self.card = card
        """What it would have been."""
        self.reasons = tuple(reasons)
        """Why, a sentence each."""


def forgot(kept: Sequence[Kept], max_loss: float) -> list[str]:
    """Why it lost too much, a sentence each; none where it did not.

    Over all rows together the loss itself counts. A part of them counts where even the upper end of its interval is beyond what is allowed:
    there are many parts, and one of them is always unlucky.
    """
    if not kept:
        return ["nothing is left of the test rows of earlier data sets, so that nobody can say what it forgot"]
    found = []
    for one in kept:
        if one.of == "all":
            is_lost = one.after - one.before < -max_loss - 1e-12
        else:
            is_lost = one.high < -max_loss
        if is_lost:
            found.append(
                f"{_which(one)}: {one.before:.3f} before, {one.after:.3f} now, a difference between {one.low:+.3f} and {one.high:+.3f} on "
                f"{one.n:,} rows"
            )
    return found


def collapsed(before: Manner, after: Manner, shape: str) -> list[str]:
    """Why its manner of answering collapsed, a sentence each; none where it did not."""
    found = []
    if after.answered < before.answered - LESS_ANSWERED:
        found.append(f"it answers {after.answered:.0%} of earlier rows, and {before.answered:.0%} were answered before")
    if after.kinds < FEWER_KINDS * before.kinds:
        what = "kinds of answers in effect" if shape == "choice" else "of its pairs of words are different"
        found.append(f"{after.kinds:.3g} {what}, and {before.kinds:.3g} before")
    if shape != "choice" and before.chars > 0 and not 1 / OTHER_LENGTH <= after.chars / before.chars <= OTHER_LENGTH:
        found.append(f"its answers have {after.chars:.0f} characters on average, and {before.chars:.0f} before")
    return found


def refusal(card: Card, before: str, reasons: Sequence[str], max_loss: float) -> str:
    """What is said of a specialist that the gate does not let through."""
    listed = "".join(f"\n  - {reason}" for reason in reasons[:8]) + (f"\n  - and {len(reasons) - 8} more" if len(reasons) > 8 else "")
    return (
        f"'{card.name}' is not put on the shelf: it forgot more of what '{before}' knows than task '{card.task}' allows (max_loss = {max_loss:g}), "
        f"or answers in another manner.{listed}\nLearn by another way (of the method stream, kind=lda keeps sums and memory=100 replays more), "
        f"raise max_loss in [tasks.{card.task}], or run the same with --force."
    )


def _which(one: Kept) -> str:
    names = {"all": "all earlier rows", "dataset": f"data set {one.name[: one.name.find('@') + 13]}"}
    return names.get(one.of, f"{one.of} '{one.name}'")
