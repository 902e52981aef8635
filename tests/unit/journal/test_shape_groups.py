"""Calls without a task: which are of one kind, what a kind costs, and how it gets a name."""

import json
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from freehold.catalog import Catalog
from freehold.errors import CallerError, OperatorError
from freehold.journal.groups import Group, groups
from freehold.journal.ingest import IngestOptions, IngestReport, ingest
from freehold.journal.naming import already_named, name_group
from freehold.journal.redact import redact
from freehold.journal.shape import shape_of
from freehold.journal.write import append_many
from freehold.pricing.book import PriceBook
from freehold.store.open import Store

Import = Callable[..., IngestReport]
SYSTEM = "You sort support messages. Today is 3 May 2026."


def chat(text: str, system: str = SYSTEM) -> list[dict[str, str]]:
    return [{"role": "system", "content": system}, {"role": "user", "content": text}]


@pytest.fixture
def bring_in(store: Store, tmp_path: Path) -> Import:
    """Imports records as the command does, through redaction where it is asked for."""

    def run(records: list[dict[str, Any]], task: str | None = None, content: Any = "full") -> IngestReport:
        path = tmp_path / "log.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        return ingest(
            [str(path)],
            lambda calls, feedback: append_many(store, [redact(call, content) for call in calls], feedback),
            IngestOptions(task=task),
            Catalog(),
            PriceBook(),
            named=already_named(store, "default", task) if task else None,
        )

    return run


def the_group(store: Store) -> Group:
    (group,) = groups(store)
    return group


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a text", "another, longer text"),
        (chat("a"), [*chat("b"), {"role": "assistant", "content": "c"}, {"role": "user", "content": "d"}]),
        (chat("a"), chat("b", SYSTEM.replace("3 May", "14 May"))),
        (chat("a"), chat("b", SYSTEM.replace(" ", "\n  "))),
        (chat("a"), {"messages": chat("b")}),
        ({"message": "a", "locale": None}, {"locale": "en", "message": "b"}),
        ({"n": 1}, {"n": "one"}),
        (
            {"messages": chat("a"), "tools": [{"type": "function", "function": {"name": "f", "description": "x"}}]},
            {"messages": chat("b"), "functions": [{"name": "f"}]},
        ),
    ],
    ids=["texts", "turns", "numbers in the prompt", "spaces", "wrapped", "scalars, order", "kinds of scalar", "how tools are described"],
)
def test_inputs_of_one_kind_have_one_shape(one: object, other: object) -> None:
    """What differs from call to call does not count."""
    assert shape_of(one) == shape_of(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a text", chat("a text")),
        (chat("a"), chat("a", "You write poems.")),
        (chat("a"), chat("a")[1:]),
        (chat("a"), {"messages": chat("a"), "tools": [{"type": "function", "function": {"name": "f"}}]}),
        (chat("a"), {"messages": chat("a"), "response_format": {"type": "json_object"}}),
        (chat("a"), [*chat("a"), {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]),
        ({"message": "a"}, {"question": "a"}),
        ({"message": "a"}, {"message": ["a"]}),
    ],
    ids=["text or messages", "prompt", "no prompt", "tools", "form of the answer", "an image", "keys", "a list"],
)
def test_inputs_of_two_kinds_have_two_shapes(one: object, other: object) -> None:
    """What tells one function of a product from another counts."""
    assert shape_of(one) != shape_of(other)


def test_a_shape_is_the_same_in_every_process() -> None:
    """It is stored, and compared with what later imports compute."""
    assert (shape_of("x"), shape_of(chat("a"))) == ("5f03f05dea", "7d97f3c4fd")


def test_a_group_says_what_its_calls_cost_and_how_they_ran(store: Store, bring_in: Import) -> None:
    """Volume, cost with what is unknown, latency, variants, repetition, times, an example."""
    records = [
        {
            "item": str(i),
            "input": chat(f"message {i % 3}"),
            "variant": "cheap" if i < 8 else "dear",
            "cost_usd": 0.5 if i < 4 else None,
            "latency_ms": 1_000 * (i + 1) if i else None,
            "at": f"2026-01-{i + 1:02d}T00:00:00Z",
        }
        for i in range(10)
    ]
    bring_in([*records, {"item": "x", "input": "plain text", "variant": "cheap"}, {"item": "y", "input": "z", "variant": "v", "task": "t"}])
    group, text = groups(store)
    assert (group.calls, group.variants, group.id) == (10, {"cheap": 8, "dear": 2}, shape_of(chat("")))
    assert (group.cost_usd, group.mean_cost_usd, group.unknown_costs) == (2.0, 0.5, 6)
    assert (group.p50_s, group.p95_s) == (6.0, 10.0)
    assert group.repetition == pytest.approx(1 - 5 / 10)
    assert (group.first_at, group.last_at) == (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 10, tzinfo=UTC))
    assert (group.system, group.example, group.name) == (SYSTEM, "message 0", "sort-support-messages")
    assert (text.calls, text.cost_usd, text.mean_cost_usd, text.p50_s, text.first_at) == (1, None, None, None, None)
    assert (text.example, text.name, text.system, text.repetition) == ("plain text", "text", None, 0.0)


def test_a_long_example_is_cut(store: Store, bring_in: Import) -> None:
    """A list of groups stays readable."""
    bring_in([{"item": "1", "input": "word " * 10_000, "variant": "v"}])
    example = the_group(store).example
    assert example is not None
    assert len(example) == 240
    assert example.endswith("…")


def test_an_example_shows_no_more_than_the_journal_keeps(store: Store, bring_in: Import) -> None:
    """Redacted where that is the rule."""
    bring_in([{"item": "1", "input": chat("Write to jo@example.com"), "variant": "v"}], content="redacted")
    assert the_group(store).example == "Write to [EMAIL]"


def test_without_content_a_group_still_counts(store: Store, bring_in: Import) -> None:
    """Its shape was taken before the content was dropped."""
    bring_in([{"item": str(i), "input": chat("secret"), "variant": "v", "cost_usd": 1} for i in range(2)], content="none")
    group = the_group(store)
    assert (group.id, group.calls, group.cost_usd) == (shape_of(chat("")), 2, 2.0)
    assert (group.example, group.system, group.repetition, group.name) == (None, None, None, "calls")


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (chat("x", "Du sortierst Nachrichten."), "du-sortierst-nachrichten"),
        (chat("x", "日本語"), "chat"),
        ([{"role": "user", "content": "x"}], "chat"),
        ({"messages": [{"role": "user", "content": "x"}], "tools": [{"type": "function", "function": {"name": "look_up"}}]}, "look_up"),
        ({"ticket": "x", "locale": "en"}, "ticket-locale"),
        ({"1": "x"}, "chat"),
    ],
)
def test_a_group_is_offered_a_name_a_task_may_have(store: Store, bring_in: Import, asked: object, name: str) -> None:
    """From its prompt, its tools or its keys."""
    bring_in([{"item": "1", "input": asked, "variant": "v"}])
    assert the_group(store).name == name


def test_no_two_groups_are_offered_one_name(store: Store, bring_in: Import) -> None:
    """They would become one task by accident."""
    bring_in([{"item": s, "input": chat("x", f"Sort mail {s}"), "variant": "v"} for s in ("!", "?", ".")])
    assert sorted(group.name for group in groups(store)) == ["sort-mail", "sort-mail-2", "sort-mail-3"]


def test_naming_a_group_makes_it_a_task(store: Store, bring_in: Import, tmp_path: Path) -> None:
    """Its calls move, its table is written, and it is no group any more."""
    config = tmp_path / "freehold.toml"
    config.write_text('# mine\n[project]\nname = "support"   # a comment')
    bring_in([{"item": str(i), "input": chat(f"m{i}"), "variant": "v"} for i in range(3)])
    done = name_group(store, the_group(store).id[:4], "triage", config)
    assert (done.task, done.calls, done.told_twice, done.table_added) == ("triage", 3, 0, True)
    assert groups(store) == []
    text = config.read_text()
    assert text.startswith('# mine\n[project]\nname = "support"   # a comment\n\n[tasks.triage]')
    assert tomllib.loads(text)["tasks"] == {"triage": {}}


def test_a_task_that_has_its_table_keeps_it(store: Store, bring_in: Import, tmp_path: Path) -> None:
    """Nothing of the file changes."""
    config = tmp_path / "freehold.toml"
    config.write_text("[tasks.triage]\nmax_loss = 0.05\n")
    bring_in([{"item": "1", "input": chat("m"), "variant": "v"}])
    assert not name_group(store, the_group(store).id, "triage", config).table_added
    assert config.read_text() == "[tasks.triage]\nmax_loss = 0.05\n"


def test_the_added_table_shows_variants_whatever_they_are_called(store: Store, bring_in: Import, tmp_path: Path) -> None:
    """A name with a line end stays within its comment."""
    config = tmp_path / "freehold.toml"
    config.write_text("")
    bring_in([{"item": "1", "input": chat("m"), "variant": 'v"\n[tasks.evil]'}])
    name_group(store, the_group(store).id, "triage", config)
    assert tomllib.loads(config.read_text())["tasks"] == {"triage": {}}


def test_importing_again_after_naming_adds_nothing(store: Store, bring_in: Import) -> None:
    """Neither without a task, as the first time, nor with the name the group has got since."""
    records = [{"item": str(i), "input": chat(f"m{i}"), "output": "x", "variant": "v", "scores": {"correct": 1}} for i in range(5)]
    assert bring_in(records).added == 5
    name_group(store, the_group(store).id, "triage")
    for task in (None, "triage"):
        again = bring_in(records, task=task)
        assert (again.added, again.present, again.conflicts) == (0, 5, 0)
    assert groups(store) == []
    more = bring_in([*records, records[0] | {"item": "new"}], task="triage")
    assert (more.added, more.present) == (1, 5)


def test_a_change_is_a_conflict_under_the_name_too(store: Store, bring_in: Import) -> None:
    """Both imports speak of one call, so they may not differ in silence."""
    record = {"item": "1", "input": chat("m"), "output": "x", "variant": "v", "scores": {"correct": 1}}
    bring_in([record])
    name_group(store, the_group(store).id, "triage")
    report = bring_in([record | {"output": "y"}], task="triage")
    assert (report.added, report.conflicts) == (0, 1)
    assert "differs from what the journal has of it already, which stays: output" in report.conflicting[0].reason


def test_calls_the_task_has_already_stay_where_they_are(store: Store, bring_in: Import) -> None:
    """A file that came in with the task first and without it later is not counted twice."""
    records = [{"item": str(i), "input": chat(f"m{i}"), "variant": "v"} for i in range(3)]
    bring_in(records[:2], task="triage")
    bring_in(records)
    done = name_group(store, the_group(store).id, "triage")
    assert (done.calls, done.told_twice) == (1, 2)


def test_a_new_group_of_a_named_shape_is_offered_its_task(store: Store, bring_in: Import) -> None:
    """The next month's log is the same kind of call."""
    bring_in([{"item": "1", "input": chat("m"), "variant": "v"}])
    name_group(store, the_group(store).id, "triage")
    bring_in([{"item": "2", "input": chat("n"), "variant": "v"}])
    assert the_group(store).name == "triage"


def test_naming_twice_is_once(store: Store, bring_in: Import) -> None:
    """The second time there is nothing left to move."""
    bring_in([{"item": "1", "input": chat("m"), "variant": "v"}])
    shape = the_group(store).id
    name_group(store, shape, "triage")
    assert name_group(store, shape, "triage").calls == 0


@pytest.mark.parametrize(
    ("group", "task", "said"),
    [
        ("ffff", "triage", "There is no group 'ffff' without a task"),
        ("", "triage", "There is no group ''"),
        ("*", "my task", "'my task' cannot name a task"),
        ("*", "7", "cannot name a task"),
    ],
)
def test_an_unknown_group_or_impossible_name_changes_nothing(store: Store, bring_in: Import, group: str, task: str, said: str) -> None:
    """The message says what would do."""
    bring_in([{"item": "1", "input": "m", "variant": "v"}])
    with pytest.raises(CallerError, match=said):
        name_group(store, the_group(store).id if group == "*" else group, task)
    assert the_group(store).calls == 1


def test_a_configuration_that_cannot_take_a_table_keeps_the_group_unnamed(store: Store, bring_in: Import, tmp_path: Path) -> None:
    """Nothing moves before the table is written."""
    config = tmp_path / "freehold.toml"
    bring_in([{"item": "1", "input": "m", "variant": "v"}])
    for text in ("tasks = {}\n", "not toml"):
        config.write_text(text)
        with pytest.raises(OperatorError, match="cannot take a \\[tasks\\] table"):
            name_group(store, the_group(store).id, "triage", config)
        assert config.read_text() == text
    with pytest.raises(OperatorError, match="There is no"):
        name_group(store, the_group(store).id, "triage", tmp_path / "nowhere.toml")
    assert the_group(store).calls == 1


def test_tenants_do_not_see_each_others_groups(store: Store, bring_in: Import) -> None:
    """No read crosses tenants."""
    bring_in([{"item": "1", "input": "m", "variant": "v"}])
    assert groups(store, "another") == []
    with pytest.raises(CallerError, match="Every call has a task"):
        name_group(store, shape_of("m"), "triage", tenant="another")
