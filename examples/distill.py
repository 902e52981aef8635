"""Distillation by hand: what `freehold train TASK --method distill` does, read from top to bottom. Needs no download.

    python examples/distill.py

A dear variant answered messages to a desk, said how sure it was of each, and was wrong at times; a check found some of that. A head learns from what is left:
from the answers alone, and from how probable its teacher held each answer. Source: Hinton, Vinyals and Dean, 2015;
`src/freehold/training/methods/distill.py` does the same from recorded calls, with any method as the student.
"""

import random
from dataclasses import replace

import numpy as np

from freehold.training.beliefs import targets
from freehold.training.heads import HASHED, classes_of, fit
from freehold.training.lesson import Part, plain

DESKS = {
    "cards": ["lost", "stolen", "blocked", "swallowed"],
    "loans": ["borrow", "mortgage", "interest", "deposit"],
    "travel": ["euros", "abroad", "flight", "dollars"],
    "app": ["login", "screen", "update", "crash"],
}
WORDS = "please hello today i want to ask about the thing that my friend said when we met".split()  # noqa: SIM905

# 1. Messages: two words of the right desk, one of another, and what everybody says.
rng = random.Random(0)  # noqa: S311 no secret


def message() -> tuple[str, str, str]:
    """A message, its desk, and the one that it could be taken for."""
    desk, other = rng.sample(sorted(DESKS), 2)
    words = [*rng.sample(DESKS[desk], 2), rng.choice(DESKS[other]), *rng.choices(WORDS, k=6)]
    rng.shuffle(words)
    return " ".join(words), desk, other


# 2. The teacher takes two messages in five for the other desk, and is then in two minds; a check finds every tenth of those.
taught, truth, beliefs, found_wrong = [], [], [], []
for _ in range(500):
    text, desk, other = message()
    is_wrong = rng.random() < 0.4
    taught.append((text, other if is_wrong else desk))
    beliefs.append({other: 0.52, desk: 0.48} if is_wrong else {desk: 0.9, other: 0.1})
    found_wrong.append(is_wrong and rng.random() < 0.1)
    truth.append(desk)
kept = [n for n, wrong in enumerate(found_wrong) if not wrong]
right = np.mean([answer == desk for (_, answer), desk in zip(taught, truth, strict=True)])
print(f"the teacher is right on {right:.2f} of its messages; {len(kept)} of {len(taught)} are learnt")

# 3. Two students of the same words: one learns what was answered, the other how probable each answer was.
part = replace(plain([taught[n][0] for n in kept], [taught[n][1] for n in kept]), beliefs=tuple(beliefs[n] for n in kept))
answers, y_N = classes_of(part.answers)


def student(rows: Part, soft: bool) -> list[bool]:
    """What a head of these rows has right of new messages."""
    believed_NC = targets(rows, answers) if soft else None
    head = fit(rows.texts, None, y_N, len(answers), HASHED, 0, believed_NC).head(answers, 1.0, None)
    return [head.answer(text)[0] == desk for text, desk in tests]


tests = [message()[:2] for _ in range(400)]
hard, soft = student(part, soft=False), student(part, soft=True)
print(f"from the answers alone {np.mean(hard):.3f}, with their probabilities {np.mean(soft):.3f}")
assert np.mean(soft) > np.mean(hard)
print(f"{sum(soft)} of {len(soft)} answers are right")
