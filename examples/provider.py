"""A model tuned by its provider, by hand: what `freehold train TASK --method provider` does, read from top to bottom. Needs `pip install openai`.

    OPENAI_API_KEY=... python examples/provider.py gpt-4o-mini-2024-07-18

OPENAI_BASE_URL names another provider that speaks OpenAI's words. Rows are written as chats and uploaded, a job is begun and followed to its end, and the new
model is asked under its own name. It costs what the provider bills for tuning. Source: OpenAI's guide to supervised fine-tuning;
`src/freehold/training/methods/provider.py` does the same from a data set, leaves out what may not leave the machine, and goes on after a failure.
"""

import json
import random
import sys
import time
from typing import Any

from openai import OpenAI

base = sys.argv[1]
client = OpenAI()
DESKS = {
    "cards": ["I lost my card in {place}", "my card was stolen", "freeze the card, I am in {place}"],
    "loans": ["may I borrow {n} pounds?", "the interest on my loan of {n}", "a loan for a car in {place}"],
}
INSTRUCTION = "Say which desk the message is for."

# 1. Messages with their desks, as chats: what the model is told, what it is asked, and what it is to say.
rng = random.Random(0)  # noqa: S311 no secret


def message() -> tuple[str, str]:
    """A message and its desk."""
    desk = rng.choice(sorted(DESKS))
    return rng.choice(DESKS[desk]).format(place=rng.choice(["Leeds", "Rome", "Oslo"]), n=rng.randint(2, 900)), desk


def asked(text: str) -> list[Any]:
    """The chat up to the answer."""
    return [{"role": "system", "content": INSTRUCTION}, {"role": "user", "content": text}]


lines = [json.dumps({"messages": [*asked(text), {"role": "assistant", "content": desk}]}) for text, desk in (message() for _ in range(60))]
tests = [message() for _ in range(40)]

# 2. They are uploaded, and the provider learns them.
file = client.files.create(file=("rows.jsonl", "\n".join(lines).encode(), "application/jsonl"), purpose="fine-tune")
job = client.fine_tuning.jobs.create(model=base, training_file=file.id, suffix="desk", seed=0)

# 3. The job is looked at until it is over.
while job.status not in ("succeeded", "failed", "cancelled"):
    time.sleep(float(sys.argv[2]) if len(sys.argv) > 2 else 10.0)
    job = client.fine_tuning.jobs.retrieve(job.id)
    print(f"{job.id}: {job.status}")
assert job.status == "succeeded" and job.fine_tuned_model, job.error
print(f"{job.fine_tuned_model}: {job.trained_tokens or 0:,} tokens were learnt")

# 4. The new model is asked.
right = 0
for text, desk in tests:
    found = client.chat.completions.create(model=job.fine_tuned_model, messages=asked(text))
    right += (found.choices[0].message.content or "").strip() == desk
print(f"{right} of {len(tests)} answers are right")
