"""The names a condition may use, each with its type and one line of explanation: the vocabulary of docs/policy-language.md."""

from collections.abc import Mapping
from typing import Literal

import msgspec

from freehold.routing.syntax import ScoreField

Kind = Literal["number", "text", "bool"]


class Name(msgspec.Struct, frozen=True):
    kind: Kind
    meaning: str


SURFACE_DOC: dict[str, str] = {
    "chars": "characters",
    "words": "words: runs of letters and digits; whatever is beyond ASCII counts as a letter",
    "lines": "lines; 0 for an empty text",
    "numbers": "words that begin with a digit",
    "questions": "question marks",
    "exclamations": "exclamation marks",
    "quotes": "double quotation marks",
    "links": "web addresses: '://'",
    "question": "1 if it holds a question mark or begins with a question word (what, how, …), else 0",
    "code": "1 if it holds a ``` fence, or code symbols and = < > are 3% of its characters or more, else 0",
    "mean_word_length": "characters of a word, on average; 0 without words",
    "digits": "share of characters that are digits",
    "uppercase": "share of characters that are A to Z",
    "punctuation": "share of characters that are ASCII punctuation or symbols",
    "symbols": "share of characters that are code symbols: { } [ ] ; \\ _ ` |",
    "math": "share of characters that are = < > + * ^ %",
    "non_ascii": "share of characters beyond ASCII",
}
"""Each surface feature, and what it measures. All are plain numbers: counts as they are, shares from 0 to 1."""
COUNTED = frozenset(SURFACE_DOC) - {"chars"}
"""Those that are more than a text's length."""

CALL: Mapping[str, Name] = {
    "task": Name("text", "the task's name"),
    "deadline_left_s": Name(
        "number", "seconds until the scope of a program ends in which the call is made; absent where there is no deadline"
    ),
    "budget_left_usd": Name("number", "what may still be spent in that scope, in USD; absent where there is no budget"),
    "region": Name("text", "the region of the task's traffic that the call falls into; absent where no map was drawn"),
}
"""Known of every call, beside the surface features."""

TAG = Name("text", "a tag the caller put on the call; absent where the caller did not")

SCORES: Mapping[ScoreField, Name] = {
    "predicted_loss": Name("number", "expected loss against the reference on this call, from -1 to 1; below 0 it is better"),
    "predicted_cost": Name("number", "expected cost of the call in USD"),
    "predicted_latency_s": Name("number", "expected seconds until the answer is whole"),
}
"""Of a variant: `head.predicted_loss`; within `where` also alone, of the candidate."""

ANSWER: Mapping[str, Name] = {
    "confidence": Name("number", "the answer's own confidence, from 0 to 1; absent where the variant gives none"),
    "answer_chars": Name("number", "the length of the answer in characters"),
    "verified": Name("bool", "the task's verifier passed the answer; absent where none ran"),
}
"""Known once a variant has answered, so within `accept` only."""


def call_names(features: Mapping[str, str]) -> dict[str, Name]:
    """What a `when` may name: `features` maps each surface feature to its one line; all are numbers."""
    return dict(CALL) | {name: Name("number", meaning) for name, meaning in features.items()}


def candidate_names(features: Mapping[str, str]) -> dict[str, Name]:
    """What a `where` may name: the call's names and the candidate's scores."""
    return call_names(features) | {str(name): said for name, said in SCORES.items()}
