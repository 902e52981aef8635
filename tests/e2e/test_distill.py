"""From what a provider says of its own answers to a small model that learnt from it: gateway, journal, data set, training, in turn."""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from test_gateway import running

from command import freehold
from simulated import a_task
from upstream import Said, openai_answer, whole

TOML = """
[data]
licence = "CC-BY-4.0"
consent = "terms of use"
[providers.one]
kind = "openai"
base_url = "{url}"
trains_others = "yes"
[models.frontier]
provider = "one"
name = "gpt-x"
[tasks.triage]
reference = "frontier"
metric = "correct"
[metrics.correct]
kind = "binary"
"""
PAIRS = a_task(120)
NAMES = [str(answer) for answer in PAIRS.answers]
TRUTH = dict(zip(PAIRS.texts, PAIRS.truth_N.tolist(), strict=True))


def believes(said: Said) -> Iterator[bytes]:
    """One token, and how probable each of two is."""
    right = TRUTH[said.body["messages"][-1]["content"]]
    body: dict[str, Any] = openai_answer("gpt-x", NAMES[right])
    if said.body.get("logprobs"):
        top = [{"token": NAMES[right], "logprob": math.log(0.8)}, {"token": NAMES[right - 1], "logprob": math.log(0.1)}]
        body["choices"][0]["logprobs"] = {"content": [{**top[0], "bytes": None, "top_logprobs": top}], "refusal": None}
    return whole(body)


def test_what_a_provider_says_of_its_answers_is_learnt(tmp_path: Path) -> None:
    with running(tmp_path, [], TOML) as served:
        served.provider.answer = believes
        client = served.openai()
        for n, text in enumerate(PAIRS.texts):
            asked: Any = {"model": "freehold/triage", "messages": [{"role": "user", "content": text}]}
            client.chat.completions.create(**asked, logprobs=n > 0, top_logprobs=2 if n > 0 else None)
        until = time.monotonic() + 20
        while len(served.calls()) < len(PAIRS.texts) and time.monotonic() < until:
            time.sleep(0.1)
        calls = {str(call.input[-1]["content"]) if isinstance(call.input, list) else str(call.input): call for call in served.calls()}
    first, second = calls[PAIRS.texts[0]], calls[PAIRS.texts[1]]
    assert first.probabilities == {}
    right = TRUTH[PAIRS.texts[1]]
    assert {name: round(p, 6) for name, p in second.probabilities.items()} == {NAMES[right]: 0.8, NAMES[right - 1]: 0.1}
    shown = freehold("calls", "show", second.id, "--project", tmp_path).out
    assert all(f"of {name}" in shown for name in (NAMES[right], NAMES[right - 1]))
    card = freehold("train", "triage", "--method", "distill", "--json", "--project", tmp_path).json
    made = card["made"]
    assert (made["teacher"], made["by"], card["format"]) == ("frontier", "head", "head")
    assert made["rows"]["by the teacher"] == card["rows"]["train"]
    assert made["rows with probabilities"] >= card["rows"]["train"] - 1
    told = freehold("train", "triage", "--method", "distill", "--set", "teacher=cheap", "--project", tmp_path, code=None)
    assert told.code != 0
    assert "none that may be learnt is an answer of 'cheap'" in told.err
