"""How probable an answer was to whoever gave it: what a vote or a head says of itself, and what a model's log-probabilities come to.

Small models learn more from these than from the answer alone (Hinton, Vinyals and Dean, 2015, arXiv:1503.02531).
"""

import math
from typing import Final

from freehold.chat import JSON, ChatAnswer, canonical_json

MOST_CHARS: Final = 200
"""Of an answer that has one: a longer one is no choice among few."""
MOST_ANSWERS: Final = 500


def answer_key(output: JSON) -> str:
    """By what an answer is named among others: its words, or its canonical JSON."""
    return output if isinstance(output, str) else canonical_json(output).decode()


def probabilities_of(output: JSON, confidence: float | None, answer: ChatAnswer | None) -> dict[str, float]:
    """The probability by answer, as far as it is known; empty where nothing is. `confidence`: what who answered here says of itself; 1 says nothing.

    Of a model whose answer is one token all candidates of that token are answers; of a longer one only the answer itself is known, by the product
    over its tokens.
    """
    if output is None or len(key := answer_key(output)) > MOST_CHARS:
        return {}
    if confidence is not None:
        return {key: max(0.0, confidence)} if confidence < 1.0 else {}
    if answer is None or len(answer.choices) != 1 or (told := answer.choices[0].logprobs) is None:
        return {}
    try:
        return _by_tokens(key, told)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):  # a provider's own form of them
        return {}


def _by_tokens(key: str, told: JSON) -> dict[str, float]:
    if not isinstance(told, dict):
        return {}
    tokens = told["content"]
    if not isinstance(tokens, list) or not tokens:
        return {}
    found: dict[str, float] = {}
    if len(tokens) == 1:
        for one in tokens[0].get("top_logprobs") or ():
            name = str(one["token"]).strip()
            found[name] = found.get(name, 0.0) + math.exp(float(one["logprob"]))
    if key not in found:
        found[key] = math.exp(math.fsum(float(token["logprob"]) for token in tokens))
    return {name: min(1.0, p) for name, p in found.items() if name and math.isfinite(p)}
