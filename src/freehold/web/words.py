"""Numbers and sentences of a report, for whoever decides. What is unknown is called unknown; an estimate is never called a certificate."""

import unicodedata
from typing import Any, Literal, TypeAlias

from freehold.catalog import AGREEMENT
from freehold.promotion.certificate import Certificate

Status: TypeAlias = Literal["certified", "estimate", "not certified"]

UNKNOWN = "unknown"
NBSP = "\u00a0"

_NAME_LENGTH = 48
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI", "FSI", "PDF", "PDI"})

METHODS = {
    "clopper-pearson": "exact binomial bounds (Clopper–Pearson) on how often it harms and how often it gains",
    "betting": "a betting martingale, which holds for any bounded loss at any number of labels",
}
"""What computed the bound, in words."""


def status(c: Certificate) -> Status:
    """The one word a reader has to take away."""
    if c.certified:
        return "certified"
    return "estimate" if c.estimate else "not certified"


def percent(value: float | None) -> str:
    """A share: 0.463 is `46.3 %`."""
    return UNKNOWN if value is None else f"{_number(100 * value, 1)}{NBSP}%"


def points(value: float | None) -> str:
    """A loss: 0.05 is `5 points`, one point being one in a hundred."""
    if value is None:
        return UNKNOWN
    number = _number(100 * value, 2)
    return f"{number}{NBSP}{'point' if number in ('1', '−1') else 'points'}"


def quality(value: float | None) -> str:
    """A mean score of at most 1, out of 100."""
    return UNKNOWN if value is None else f"{_number(100 * value, 1)} of 100"


def dollars(value: float | None) -> str:
    """An amount, with enough digits to tell it from nothing."""
    if value is None:
        return UNKNOWN
    if value == 0 or abs(value) >= 0.1:
        return f"${value:,.2f}"
    return f"${value:.2g}" if abs(value) >= 1e-4 else f"${value:.1e}"


def count(n: int, noun: str) -> str:
    """`1 item`, `1,234 items`."""
    return f"{n:,}{NBSP}{noun if n == 1 else noun + 's'}"


def sigmas(value: float) -> str:
    """A difference of means in standard deviations, with its sign."""
    return f"{'+' if value > 0 else ''}{_number(value, 2)}"


def name(text: str, length: int = _NAME_LENGTH) -> str:
    """Somebody's name for something, fit for the middle of a sentence: cut short, and kept from turning the sentence's direction."""
    short = shorten(text, length)
    turns = any(unicodedata.bidirectional(char) in _RIGHT_TO_LEFT for char in short)
    return f"\u2068{short}\u2069" if turns else short


def quoted(text: str) -> str:
    """A name that would read as a common word, such as a metric's."""
    return f"“{name(text)}”"


def shorten(text: str, length: int) -> str:
    """One line of at most `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def unit(c: Certificate) -> str:
    """What is counted as one independent observation."""
    return "labelled item" if c.n_groups == c.n_items else "labelled group"


def drawable(value: Any) -> Any:
    """The same value with every text in it fit to be drawn: no control characters, no broken surrogates."""
    match value:
        case str():
            whole = value.encode("utf-8", "replace").decode("utf-8")
            return "".join(char for char in whole if char in "\n\t" or unicodedata.category(char) != "Cc")
        case dict():
            return {drawable(key): drawable(item) for key, item in value.items()}
        case list() | tuple():
            return [drawable(item) for item in value]
    return value


def headline(c: Certificate) -> str:
    """The first line of the page."""
    task, reference, saving = name(c.task), name(c.reference), percent(c.saving)
    by_cost = c.saving_unit == "cost"
    match status(c):
        case "certified":
            return f"{task} can cost {saving} less" if by_cost else f"{saving} of {task}’s calls need no {reference}"
        case "estimate":
            if c.saving <= 0:
                return f"No saving is in sight for {task} yet"
            return f"{task} might cost {saving} less" if by_cost else f"{saving} of {task}’s calls might need no {reference}"
    return f"Nothing cheaper is proven for {task} yet"


def lede(c: Certificate) -> str:
    """The sentence under it: floor, status, confidence."""
    floor, metric, reference = points(c.max_loss), quoted(c.metric), name(c.reference)
    match status(c):
        case "certified":
            return (
                f"Certified with {percent(c.confidence)} confidence: on traffic like this, the policy loses at most {floor} of "
                f"{metric} against {reference}."
            )
        case "estimate":
            found = "some of these labels were" if c.label_design == "mixed" else "these labels were"
            return (
                f"An estimate, not a certificate: {found} found rather than drawn, so nothing is proven. The floor asked for is "
                f"{floor} of {metric} against {reference}."
            )
    return f"{reference} goes on answering everything: no cheaper policy is proven to lose at most {floor} of {metric}.{missing(c, ' ')}"


def missing(c: Certificate, before: str = "") -> str:
    """What more labels are expected to do; empty where a proof needs none."""
    if status(c) == "certified" or c.labels_needed == 0:
        return ""
    if c.estimate:
        some = "Labels" if c.labels_needed is None else f"About {count(c.labels_needed, unit(c))} with labels"
        return f"{before}{some} that are drawn, by `freehold label`, can turn it into a proof; found ones never do."
    if c.labels_needed is None:
        return f"{before}No number of further labels is expected to prove it: the policies lose too much."
    more = "more recorded item" if c.metric == AGREEMENT else f"more {unit(c)}"
    return f"{before}About {count(c.labels_needed, more)} should be enough for a proof."


def says(c: Certificate) -> list[str]:
    """What the numbers say, one sentence or two each."""
    lines = [_measured(c), _unit_of_loss(c), f"The bound comes from {METHODS.get(c.method, c.method)}."]
    if c.attempt > 1:
        lines.append(f"This was attempt {c.attempt} on the same data; the bound already pays for the earlier ones.")
    return lines


def says_not(c: Certificate) -> list[str]:
    """What they leave open."""
    reference = name(c.reference)
    return [
        "How it does on other traffic. It speaks of calls exchangeable with the ones it was measured on; new products, new customers or a "
        "new season can break that.",
        f"Anything that {quoted(c.metric)} does not measure, such as tone, safety or delay.",
        f"Whether {reference} is good enough. It compares with {reference}: where {reference} is wrong, the policy may be wrong as often.",
        "What happens to one call or one customer. The loss is an average over traffic.",
    ]


def _measured(c: Certificate) -> str:
    counted = count(c.n_calibrate, "labelled item")
    if c.n_calibrate_groups != c.n_calibrate:
        counted += f" ({count(c.n_calibrate_groups, 'independent group')})"
    lost = f"On {counted} kept for the proof, the policy lost {points(c.loss_calibrate)} on average."
    match status(c):
        case "certified":
            return (
                f"{lost} The bound computed from that is {points(c.loss_upper_bound)}, within the floor of {points(c.max_loss)}: so the true "
                f"loss on such traffic is at most {points(c.max_loss)}, with {percent(c.confidence)} confidence."
            )
        case "estimate":
            return (
                f"{lost} If those labels were a fair sample, it would be at most {points(c.loss_upper_bound)}; nothing says that they are."
            )
    return (
        f"{counted} do not prove that anything cheaper stays within the floor. Until something does, nothing is saved and nothing is lost."
    )


def _unit_of_loss(c: Certificate) -> str:
    if c.metric_kind == "binary":
        return "One point is one call in a hundred: answers that got worse, less answers that got better."
    return f"One point is one hundredth of the range of {quoted(c.metric)}, averaged over calls."


def _number(value: float, digits: int) -> str:
    """At most so many decimals, none of them idle, a real minus sign, and no `-0`."""
    text = f"{value:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text.replace("-", "−")
