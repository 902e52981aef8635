"""A better prompt by hand: what `freehold train TASK --method prompt` does, read from top to bottom. Asks two models; needs `pip install openai`.

    OPENAI_API_KEY=... python examples/prompt.py SMALL-MODEL LARGE-MODEL

OPENAI_BASE_URL names another provider that speaks OpenAI's words. The small model answers, and does not know a rule of the house; the large one reads what
went wrong and writes instructions. One is taken where it does better on rows that the search has not seen. Source: GEPA (Agrawal et al., 2025, arXiv
2507.19457), of which this is one line of descent, without its pool of candidates; `src/freehold/training/methods/prompt.py` has its authors' package search.
"""

import random
import sys
from collections.abc import Sequence
from typing import Any

from openai import OpenAI
from scipy.stats import binomtest

small, large = sys.argv[1:3]
client = OpenAI()

# 1. Orders, and what became of them: those that begin with Q wait in a queue, which nobody has told the model.
rng = random.Random(0)  # noqa: S311 no secret
orders = [f"{rng.choice('QXYZ')}-{rng.randint(1_000, 9_999)}" for _ in range(110)]
rows = [(order, "queued" if order.startswith("Q") else "shipped") for order in orders]
learn, choose, held_out = rows[:40], rows[40:60], rows[60:]
own = "Say what becomes of the order: queued or shipped. Answer with that word alone."


def said(instruction: str, order: str) -> str:
    """What the small model says of an order."""
    messages: list[Any] = [{"role": "system", "content": instruction}, {"role": "user", "content": order}]
    found = client.chat.completions.create(model=small, messages=messages, seed=0)
    return (found.choices[0].message.content or "").strip()


def right(instruction: str, rows: Sequence[tuple[str, str]]) -> list[bool]:
    """On which rows it is right."""
    return [said(instruction, order) == answer for order, answer in rows]


# 2. A few rows are asked, the large model reads what went wrong, and what it writes is kept where it is right more often on the rows to choose by.
best, best_right = own, sum(right(own, choose))
for n in range(3):
    some = rng.sample(learn, 8)
    cases = "\n".join(f"Question: {order}\nAnswered: {said(best, order)}\nRight: {answer}" for order, answer in some)
    ask = (
        f"I gave a model this instruction:\n{best}\n\nQuestions it was asked, what it answered, and what would have been right:\n{cases}\n\n"
        "Write a better instruction, with every rule that the cases show. Answer with the instruction alone."
    )
    written = client.chat.completions.create(model=large, messages=[{"role": "user", "content": ask}])
    candidate = (written.choices[0].message.content or "").strip()
    candidate_right = sum(right(candidate, choose))
    print(f"round {n + 1}: {candidate_right} of {len(choose)} right, {best_right} before")
    if candidate_right > best_right:
        best, best_right = candidate, candidate_right

# 3. An exact paired test on rows that the search has not seen (McNemar): where the two differ, is the new one right more often than a coin would be?
before, after = right(own, held_out), right(best, held_out)
better = sum(new and not old for old, new in zip(before, after, strict=True))
worse = sum(old and not new for old, new in zip(before, after, strict=True))
p = binomtest(better, better + worse, alternative="greater").pvalue if better + worse else 1.0
is_taken = p <= 0.05
print(f"better on {better} and worse on {worse} rows, p = {p:.2g}: {'taken' if is_taken else 'not taken'}")
print(best if is_taken else own)
print(f"{sum(after if is_taken else before)} of {len(held_out)} answers are right")
