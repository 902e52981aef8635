"""A head by hand: what `freehold train TASK --method head` does without an embedder, read from top to bottom. Needs no download.

    python examples/head.py

People write to a desk. A linear model over hashed words learns which desk, says how sure it is, and passes on what is unlike all it knows. Sources:
LIBLINEAR (Fan et al., JMLR 2008), one temperature (Guo et al., ICML 2017); `src/freehold/training/methods/head.py` does the same from a data set.
"""

import random

import numpy as np

from freehold.routing.head import softmax
from freehold.training.heads import HASHED, classes_of, fit, out_of_fold, temperature_for

DESKS = {
    "cards": ["I lost my card", "my card was stolen in {place}", "please freeze the card", "is my card blocked ?"],
    "loans": ["may I borrow {n} pounds ?", "what is the interest on my loan", "a loan for a car in {place}"],
    "travel": ["I fly to {place} next week", "what do euros cost in {place} ?", "a fee of {n} for dollars ?"],
}

# 1. Messages, and the desk that each is for.
rng = random.Random(0)  # noqa: S311 no secret
rows = []
for _ in range(400):
    desk = rng.choice(sorted(DESKS))
    rows.append((rng.choice(DESKS[desk]).format(place=rng.choice(["Leeds", "Rome", "Oslo"]), n=rng.randint(2, 900)), desk))
texts, desks = [text for text, _ in rows[:300]], [desk for _, desk in rows[:300]]

# 2. Out of fold: what models that have not seen a message say of it. By that confidence is set right: one divisor for all margins.
answers, y_N = classes_of(desks)
fold_N = np.random.default_rng(0).permutation(len(texts)) % 5
margin_NC = out_of_fold(texts, None, y_N, len(answers), fold_N, HASHED, seed=0)
temperature = temperature_for(margin_NC, y_N)
print(f"right out of fold: {np.mean(margin_NC.argmax(axis=1) == y_N):.3f}; margins are divided by {temperature:.3f}")

# 3. What is unlike all it knows: one in fifty of its own messages may be passed on.
sure_N = softmax(margin_NC / temperature).max(axis=1)
least = float(np.quantile(sure_N, 0.02))

# 4. The head itself, of all messages.
head = fit(texts, None, y_N, len(answers), HASHED, seed=0).head(answers, temperature, None)


def answer(text: str) -> str | None:
    """The desk; None for a message that somebody else has to look at."""
    found, sure = head.answer(text)
    return str(found) if sure >= least else None


said = [(answer(text), desk) for text, desk in rows[300:]]
right = [found == desk for found, desk in said if found is not None]
print(
    f"{sum(right)} of {len(right)} answers are right; it passed on {len(said) - len(right)} messages, and 'xyzzy' as {answer('xyzzy plugh')}"
)
