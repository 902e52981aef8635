"""A tagger by hand: what `freehold train TASK --method tagger` does, read from top to bottom. Needs no download.

    python examples/tagger.py

People book tables. A conditional random field learns which words say the day and how many come, and one object is made of what it finds. Source:
Lafferty, McCallum and Pereira (ICML 2001); `src/freehold/training/methods/tagger.py` does the same from a data set.
"""

import random

import numpy as np

from freehold.routing.words import word_features, words
from freehold.training.crf import fit_field
from freehold.variants.spans import form_of
from freehold.variants.tagger import WordWeights, spans_of, tags_of

DAYS = ["monday", "friday night", "may 3rd", "tomorrow"]
FRAMES = ["a table for {n} on {day}", "we are {n} , is {day} free ?", "{day} please , for {n}", "when do you open ?"]

# 1. Questions, and what is to be answered: an object whose values stand in the text.
rng = random.Random(0)  # noqa: S311 no secret
rows = []
for _ in range(250):
    frame, n, day = rng.choice(FRAMES), rng.randint(2, 30), rng.choice(DAYS)
    says = "{" in frame
    rows.append((frame.format(n=n, day=day), {"people": n if says else None, "day": day if says else None}))
train, test = rows[:200], rows[200:]

# 2. Answers as spans of their texts, and spans as tags of words: outside, or the beginning or the rest of a label.
found = form_of([answer for _, answer in train])
assert found is not None
form = found
labels = sorted(form.fields)
texts = [text for text, _ in train]
tags = [tags_of(words(text), form.spans(text, answer) or [], labels) for text, answer in train]

# 3. The field: weights of hashed features by tag, and what follows what, by maximum likelihood.
features = [word_features(text, words(text)) for text in texts]
field = fit_field(
    features, tags, len(labels), l2=0.1, rounds=2, kept=None, keep=lambda now: print(f"round {now.done}: loss {now.loss:.4f}")
)

# 4. A new text: scores of each tag at each word, the best path, its spans, and the answer that says them.
scorer = WordWeights(field.known_F, field.weight_FC)


def answer(text: str) -> tuple[object, float]:
    """What is said to a text, and how probable that is by the field."""
    path = field.chain.best(scorer.scores(text, words(text)))
    return form.assemble(text, spans_of(words(text), path.tag_T, labels)), float(np.exp(path.log_p))


right = sum(answer(text)[0] == said for text, said in test)
print(f"{right} of {len(test)} answers are right")
print(answer("we are 5 , is friday night free ?"))
