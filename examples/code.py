"""A program that answers, by hand: what `freehold train TASK --method code` does without a model, read from top to bottom. Needs no download.

    python examples/code.py

People write to a desk. Rules of words are found on some of their messages and checked on others; those that are sure enough are written down as Python,
which is read back as data and never run. Source: Rivest, 1987, "Learning decision lists"; `src/freehold/training/methods/code.py` does the same from
a data set.
"""

import random

from freehold.training.lesson import Part, plain
from freehold.training.programs.induce import induced, kept, votes
from freehold.variants.decisions import read, written

DESKS = {
    "cards": ["I lost my card", "my card was stolen in {place}", "please freeze the card"],
    "loans": ["may I borrow {n} pounds ?", "what is the interest on my loan", "a loan for a car in {place}"],
    "travel": ["I fly to {place} , is my card fine ?", "what do euros cost in {place} ?"],
    "other": ["good day", "thank you , {n} times", "who am I talking to in {place} ?"],
}

# 1. Messages, and the desk that each is for; one in thirty was sent to the wrong one.
rng = random.Random(0)  # noqa: S311 no secret


def messages(count: int) -> Part:
    """Some of them."""
    texts, desks = [], []
    for _ in range(count):
        desk = rng.choice(sorted(DESKS))
        texts.append(rng.choice(DESKS[desk]).format(place=rng.choice(["Leeds", "Rome", "Oslo"]), n=rng.randint(2, 900)))
        desks.append(rng.choice(sorted(DESKS)) if rng.random() < 1 / 30 else desk)
    return plain(texts, desks)


train, calibrate, test = messages(600), messages(300), messages(300)

# 2. Every rule that was tried, found on three fifths of the rows to learn from and checked on the others.
precision = 0.95
tried = induced(train, precision, most_rules=20, seed=0)
print(f"{len(tried)} rules were tried; {sum(one.is_borne_out for one in tried)} held on rows that they were not found on")

# 3. Those that may stand, by what can be expected of each after the calibration rows; where none fits, words that speak for an answer.
rules = kept(tried, calibrate, precision)
program = written(rules, "Which desk a message is for.", votes(train, calibrate, rules, precision))
print(program)

# 4. The program is read as data, and answers; where it does not know it says nothing, and a dearer variant is asked.
answerer = read(program)
assert answerer is not None
said = answerer.answer(test.texts)
right = [one.output == desk for one, desk in zip(said, test.answers, strict=True) if one is not None]
print(f"{sum(right)} of {len(right)} answers are right; of {len(test)} messages it answered no others")
assert sum(right) >= 0.93 * len(right) > 0.5 * len(test)
