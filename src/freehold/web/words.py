"""Numbers and sentences of a report, for whoever decides. What is unknown is called unknown; an estimate is never called a certificate."""

import unicodedata
from typing import Any, Literal, TypeAlias

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

def shorten(text: str, length: int) -> str:
    """One line of at most `length` characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"

def unit(c: Certificate) -> str:
    """What is counted as one independent observation."""
    return "labelled item" if c.n_groups == c.n_items else "labelled group"

def drawn(value: Any) -> Any:
    """The same value with every text in it fit to be drawn: no control characters, no broken surrogates."""
    match value:
        case str():
            whole = value.encode("utf-8", "replace").decode("utf-8")
            return "".join(char for char in whole if char in "\n\t" or unicodedata.category(char) != "Cc")
        case dict():
            return {drawn(key): drawn(item) for key, item in value.items()}
        case list() | tuple():
            return [drawn(item) for item in value]
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
    floor, metric, reference = points(c.max_loss), name(c.metric), name(c.reference)
    match status(c):
        case "certified":
            return (
                f"Certified with {percent(c.confidence)} confidence: on traffic like this, the policy loses at most {floor} of "
                f"{metric} against {reference}."
            )
        case "estimate":
            return (
                f"An estimate, not a certificate: these labels were found rather than drawn, so nothing is proven. The floor asked for is "
                f"{floor} of {metric} against {reference}."
            )
    return f"{reference} goes on answering everything: no cheaper policy is proven to lose at most {floor} of {metric}.{missing(c, ' ')}"

def missing(c: Certificate, before: str = "") -> str:
    """What more labels are expected to do; empty where they would do nothing."""
    if status(c) == "certified" or c.labels_needed <= 0:
        return ""
    return f"{before}About {count(c.labels_needed, 'more ' + unit(c))} should be enough for a proof."

def says(c: Certificate) -> list[str]:
    """What the numbers say, one sentence each."""
    loss = f"On {count(c.n_calibrate, 'labelled item')} that nothing was chosen on"
    if c.n_calibrate_groups != c.n_calibrate:
        loss += f" ({count(c.n_calibrate_groups, 'independent group')})"
    loss += f", the policy lost {points(c.loss_calibrate)} on average."
    tail = {
        "certified": f"The true loss on such traffic is at most {points(c.loss_upper_bound)}, with {percent(c.confidence)} confidence.",
        "estimate": f"If those labels were a fair sample, the loss would be at most {points(c.loss_upper_bound)}; nothing says they are.",
        "not certified": f"The best bound the labels allow is {points(c.loss_upper_bound)}; the floor is {points(c.max_loss)}.",
    }[status(c)]
    lines = [loss + " " + tail, _unit_of_loss(c), f"The bound comes from {METHODS.get(c.method, c.method)}."]
    if c.attempt > 1:
        lines.append(f"This was attempt {c.attempt} on the same data; the bound already pays for the earlier ones.")
    if c.erased:
        lines.append(f"{count(c.erased, 'item')} behind it {'was' if c.erased == 1 else 'were'} erased since: it can no longer be recomputed.")
    return lines

def says_not(c: Certificate) -> list[str]:
    """What the numbers do not say."""
    subject = "certificate" if c.certified else "page"
    return [
        f"Nothing about other traffic: this {subject} speaks of calls exchangeable with the ones it was measured on. New products, new "
        "customers or a new season can break that.",
        f"Nothing about what {name(c.metric)} does not measure, such as tone, safety or delay.",
        f"Nothing about the truth: it compares with {name(c.reference)}. Where {name(c.reference)} is wrong, the policy may be wrong too.",
        "Nothing about a single call or a single customer: the loss is an average over traffic.",
    ]

def _unit_of_loss(c: Certificate) -> str:
    if c.metric_kind == "binary":
        return "One point is one call in a hundred: answers that got worse, less answers that got better."
    return f"One point is one hundredth of {name(c.metric)}’s range, averaged over calls."

def _number(value: float, digits: int) -> str:
    """At most so many decimals, none of them idle, a real minus sign, and no `-0`."""
    text = f"{value:,.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text.replace("-", "−")
