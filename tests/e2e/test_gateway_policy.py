"""A certified policy on the road: the gateway decides as it was certified, heads and recordings answer, and promotions take effect."""

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import openai
import pytest
from test_gateway import Served, running

from command import freehold
from freehold.config import FILE_NAME
from freehold.improve import Issued, Request, add_program, certify_task
from freehold.journal.ingest import IngestOptions
from freehold.project import Project
from freehold.promotion.gate import promote, rollback
from simulated import NOW, a_task, records, write_log

PAIRS = a_task(700)
TOML = """
[project]
name = "desk"
[providers.recordings]
kind = "recorded"
[models.frontier]
provider = "recordings"
price = { input_per_mtok = 10.0, output_per_mtok = 100.0 }
[models.cheap]
provider = "recordings"
[metrics.correct]
kind = "binary"
deterministic = true
[tasks.triage]
reference = "frontier"
variants = ["frontier", "cheap", "head"]
metric = "correct"
max_loss = 0.1
allow_uncertified = true
[tasks.sort]
reference = "frontier"
variants = ["frontier"]
"""


class Desk(NamedTuple):
    """A project with a certified policy that is served."""

    served: Served
    project: Project
    issued: Issued

    def ask(self, text: str, model: str = "freehold/triage", **more: Any) -> Any:
        return self.served.openai().chat.completions.with_raw_response.create(
            model=model, messages=[{"role": "user", "content": text}], **more
        )


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    (folder / FILE_NAME).write_text(TOML)
    with Project.at(folder) as project:
        project.ingest([str(write_log(folder / "log.jsonl", records(PAIRS)))], IngestOptions(design="census"))
        issued = certify_task(project, Request("triage"))
        assert issued.certificate.certified
        promote(project.store, "default", project.task("triage"), None, "ann", NOW)
        with running(folder, [], TOML) as served:
            yield Desk(served, project, issued)


def test_it_decides_as_it_was_certified(desk: Desk) -> None:
    """The variant that answers each message, and what it says."""
    made, certificate = desk.issued.made, desk.issued.certificate
    seen = set()
    for i in range(0, 120, 2):
        raw = desk.ask(made.pairs.texts[i])
        variant = made.pairs.variants[made.choice_N[i]]
        assert (raw.headers["x-freehold-variant"], raw.headers["x-freehold-policy"]) == (variant, certificate.policy_hash)
        if variant == "head":
            assert raw.parse().choices[0].message.content == made.scorer.head_answer(made.scored, i)  # type: ignore[union-attr]
        else:
            assert raw.parse().choices[0].message.content == made.pairs.answers[made.pairs.answer_NV[i, made.choice_N[i]]]
        seen.add(variant)
    assert len(seen) >= 2 and "head" in seen


def test_the_journal_has_task_policy_and_propensity(desk: Desk) -> None:
    raw = desk.ask(PAIRS.texts[0], metadata={"tier": "gold"})
    call = desk.served.call(raw.headers["x-freehold-call"])
    assert (call.task, call.policy, call.propensity, call.source) == ("triage", desk.issued.certificate.policy_hash, 1.0, "gateway")
    assert (call.tags, call.outcome, call.variant) == ({"tier": "gold"}, "answered", raw.headers["x-freehold-variant"])
    assert call.cost_usd is not None


def test_the_command_line_shows_which_rule_decided_and_by_what(desk: Desk) -> None:
    raw = desk.ask(PAIRS.texts[0])
    named = ("calls", "show", raw.headers["x-freehold-call"], "--project", desk.served.project)
    why, shown = freehold(*named, "--json").json["decision"], freehold(*named).out
    assert (why["policy"], why["variant"]) == (raw.headers["x-freehold-policy"], raw.headers["x-freehold-variant"])
    assert f"rule:       {why['rule']} of {why['rules']}, line {why['line']}: {why['text']}\n" in shown
    assert f"fact:       head.predicted_loss = {why['scores']['head']['predicted_loss']:.6g}\n" in shown
    assert why["facts"]["chars"] == len(PAIRS.texts[0]) and why["facts"]["region"]


def test_an_answer_from_here_can_be_streamed(desk: Desk) -> None:
    whole = desk.ask(PAIRS.texts[4]).parse().choices[0].message.content
    chunks = list(
        desk.served.openai().chat.completions.create(
            model="freehold/triage", messages=[{"role": "user", "content": PAIRS.texts[4]}], stream=True
        )
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == whole
    with desk.served.anthropic().messages.stream(
        model="freehold/triage", max_tokens=9, messages=[{"role": "user", "content": PAIRS.texts[4]}]
    ) as stream:
        assert "".join(stream.text_stream) == whole


def test_what_nobody_recorded_cannot_be_replayed(desk: Desk) -> None:
    with pytest.raises(openai.BadRequestError, match="'frontier' is a recording, and nobody ever asked it this of task 'sort'"):
        desk.ask("Never heard before.", "freehold/sort")
    with pytest.raises(openai.NotFoundError, match="Did you mean 'freehold/triage'"):
        desk.ask("Hi", "freehold/traige")


def test_a_replayed_reference_that_cannot_answer_as_it_is_asked_says_why(desk: Desk) -> None:
    with pytest.raises(
        openai.BadRequestError, match=r"'frontier' of task 'triage' has no answer to this as it is asked \(logprobs: it has none"
    ):
        desk.ask(PAIRS.texts[0], logprobs=True)


def test_what_can_be_asked_is_listed_and_the_rest_says_why(desk: Desk) -> None:
    """Tasks, and no model that is replayed: a recording belongs to its task."""
    assert {model.id for model in desk.served.openai().models.list()} == {"freehold/triage", "freehold/sort"}
    with pytest.raises(openai.BadRequestError, match="'frontier' is replayed from recordings, which belong to tasks"):
        desk.ask("anything", model="frontier")
    with pytest.raises(openai.BadRequestError, match="names no model"):
        desk.ask("anything", model="")
    with pytest.raises(openai.BadRequestError, match="messages"):
        desk.served.openai().post("/chat/completions", body={"model": "freehold/sort"}, cast_to=dict[str, Any])


def test_a_cascade_asks_the_next_where_an_answer_will_not_do(desk: Desk) -> None:
    """Each step is an attempt, and both are paid for."""
    program = "task triage\nwhen chars > 0 try cheap accept answer_chars < 0 then frontier\notherwise use frontier\n"
    file = desk.project.folder / "cascade.policy"
    file.write_text(program)
    _, hash = add_program(desk.project, file)
    promote(desk.project.store, "default", desk.project.task("triage"), hash, "ann", NOW)
    raw = eventually(lambda: desk.ask(PAIRS.texts[0]), lambda raw: raw.headers["x-freehold-policy"] == hash)
    call = desk.served.call(raw.headers["x-freehold-call"])
    assert [(a.variant, a.cause) for a in call.attempts] == [("cheap", "first"), ("frontier", "escalation")]
    assert call.variant == "frontier"
    assert call.cost_usd == pytest.approx(float(PAIRS.cost_NV[0].sum()))
    rollback(desk.project.store, "default", "triage", "ann", NOW)
    eventually(lambda: desk.ask(PAIRS.texts[0]), lambda raw: raw.headers["x-freehold-policy"] == desk.issued.certificate.policy_hash)


def eventually(ask: Any, holds: Any) -> Any:
    """What is said once it holds, within some seconds."""
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if holds(found := ask()):
            return found
        time.sleep(0.1)
    raise AssertionError("it never came to hold")
