"""What holds of every data set, whatever the journal: parts are apart, exams are not learnt, every row has its origin, the erased are gone."""

import random
from pathlib import Path
from typing import Any

import pytest
from tests.data_sets import a_call, a_question, journalled, project_at, recipe, said

from freehold.chat import text_of
from freehold.curate import build_dataset, erase_subject, export_dataset, lineage
from freehold.datasets.export import FORMATS, Wanted
from freehold.datasets.recipe import Splitting
from freehold.datasets.table import batches_of, json_at
from freehold.datasets.versions import ROWS, Version, find, versions
from freehold.feedback.preference import preference_json
from freehold.journal.call import Call, Episode, Feedback
from freehold.journal.rows import INLINE_BYTES
from freehold.journal.write import append_episodes
from freehold.project import Project

SOURCES = ("task=triage", "kind=corrections", "kind=reviewed", "kind=preferences")


def traffic(rng: random.Random, count: int) -> tuple[list[Call], list[Feedback]]:
    """Calls in conversations whose turns hold those before them, with copies, near copies, and all kinds of things said."""
    calls: list[Call] = []
    feedback: list[Feedback] = []
    for n in range(count):
        kind = rng.random()
        earlier = rng.choice(calls) if calls else None
        fields: dict[str, Any] = {"group": f"g{rng.randrange(count // 3)}" if rng.random() < 0.7 else None}
        if earlier is not None and kind < 0.1:
            fields["input"] = earlier.input
        elif earlier is not None and kind < 0.2:
            fields["input"] = f"{text_of(earlier.input)} {a_question(rng, 2)}"
        elif earlier is not None and kind < 0.35:  # another turn, in a group of its own or not
            fields["input"] = [
                {"role": "user", "content": text_of(earlier.input)},
                {"role": "assistant", "content": str(earlier.output)},
                {"role": "user", "content": a_question(rng, rng.randint(5, 40))},
            ]
        elif earlier is not None and kind < 0.45:
            fields |= {"item": earlier.item, "variant": "small"}
        else:
            fields["input"] = a_question(rng, rng.randint(1, 60))
        if rng.random() < 0.3:
            fields["episode"] = f"e{rng.randrange(count // 5)}"
        call = a_call(n, subject=f"s{rng.randrange(20)}", **fields)
        if any(one.item == call.item and one.variant == call.variant for one in calls):
            continue
        calls.append(call)
        if rng.random() < 0.3:
            feedback.append(said(call, value=float(rng.random() < 0.7), author=f"r{rng.randrange(4)}"))
        if rng.random() < 0.2:
            feedback.append(said(call, kind="correction", content=f"corrected {a_question(rng, 3)}"))
        if earlier is not None and rng.random() < 0.1:
            feedback.append(said(call, "other", kind="preference", content=preference_json("better_than", earlier.id)))
    return calls, feedback


def rows(version: Version) -> list[dict[str, Any]]:
    return [row for table in batches_of(version.folder / ROWS) for row in table.to_pylist()]


def built(project: Project, seed: int) -> Version:
    calls, feedback = traffic(random.Random(seed), 400)
    journalled(project, calls, feedback)
    return build_dataset(project, recipe(*SOURCES, split=Splitting(train=0.6, calibrate=0.2, stratify=bool(seed % 2))))


@pytest.mark.parametrize("seed", range(4))
def test_no_group_and_no_item_is_in_two_parts(tmp_path: Path, seed: int) -> None:
    with project_at(tmp_path) as project:
        found = rows(built(project, seed))
    assert {row["split"] for row in found} == {"train", "calibrate", "test"}
    for name in ("group", "item"):
        parts: dict[str, set[str]] = {}
        for row in found:
            if row[name] is not None:
                parts.setdefault(row[name], set()).add(row["split"])
        assert all(len(one) == 1 for one in parts.values())


def plain(text: str) -> str:
    return " ".join(text.lower().split())


@pytest.mark.parametrize("seed", range(4))
def test_no_evaluation_text_is_in_a_training_part(tmp_path: Path, seed: int) -> None:
    """Neither as a whole, however short, nor within a longer text from eight words on: of its own test part, of an earlier version's, and of
    a data set for evaluation."""
    with project_at(tmp_path) as project:
        calls, feedback = traffic(random.Random(seed), 400)
        journalled(project, calls[:200], feedback)
        first = build_dataset(project, recipe(*SOURCES))
        exam = build_dataset(project, recipe("group=g1|g2|g3|g4|g5|g6|g7|g8", name="exam", purpose="evaluation"))
        journalled(project, calls[200:])
        last = build_dataset(project, recipe(*SOURCES))
    tests = [row for version in (first, exam, last) for row in rows(version) if row["split"] == "test"]
    texts = {plain(text_of(json_at(row["input"]))) for row in tests}
    trained = [plain(text_of(json_at(row["input"]))) for row in rows(last) if row["split"] in ("train", "calibrate")]
    assert len(texts) > 30 and len(trained) > 50
    assert texts.isdisjoint(trained)
    assert [(text, row) for text in texts if len(text.split()) >= 8 for row in trained if f" {text} " in f" {row} "] == []


def test_the_lineage_of_every_row_resolves(tmp_path: Path) -> None:
    with project_at(tmp_path) as project:
        version = built(project, 5)
        for row in rows(version):
            found = lineage(project, version, row["id"])
            assert found.missing == ()
            assert {call.id for call in found.calls} == set(row["calls"]) and row["calls"]
            assert {one.id for one in found.feedback} == set(row["feedback"])
            assert found.calls[0].item == row["item"]
            assert row["licence"] and row["consent"] and row["source"] and row["writer"]
            assert all(rater.split()[0] in {one.source for one in found.feedback} for rater in row["raters"])


def test_the_text_of_whoever_is_erased_is_found_nowhere(store_url: str, tmp_path: Path) -> None:
    """In no file of the project: store, log, blobs, data sets, drafts; nor in what was exported. On either database, by its bytes on SQLite
    and by all columns on PostgreSQL."""
    home, outside = tmp_path / "home", tmp_path / "outside"
    home.mkdir()
    theirs = {
        "input": "the zanzibar question about wombats in the garden of my aunt",
        "output": "quokka answer",
        "tags": {"note": "numbat tag"},
    }
    with project_at(home, store_url) as project:
        calls, feedback = traffic(random.Random(6), 150)
        hers = [
            a_call(1_000, subject="ann", **theirs),
            a_call(1_001, subject="ann", input="zanzibar " * (INLINE_BYTES // 8), output="wombats"),
            a_call(1_002, subject="ann", episode="run", input="zanzibar once more for the wombats"),
        ]
        others = a_call(1_003, input="another question that ann answered", subject="bob")
        feedback += [
            said(hers[0], kind="correction", content="a quokka correction"),
            said(hers[0], value=1.0),
            said(hers[2], kind="comment", content="a numbat comment"),
            said(others, kind="correction", content="corrected by the wombats", author="ann"),
        ]
        journalled(project, [*calls, *hers, others], feedback)
        append_episodes(project.store, [Episode(id="run", at=hers[0].at, subject="ann")])  # type: ignore[arg-type]
        for name in ("one", "two"):
            build_dataset(project, recipe(*SOURCES, name=name, most_chars=10_000_000))
        for form in FORMATS:
            if form != "spans":  # no answer here names anything in its text
                export_dataset(project, "one", Wanted(form), outside / form)
        words = (b"zanzibar", b"wombats", b"quokka", b"numbat")
        assert all(found_in(project, home, outside, word) for word in words[:3])
        (home / "datasets/.draft-dead").mkdir()
        (home / "datasets/.draft-dead/shingles").write_bytes(b"zanzibar")
        erased = erase_subject(project, "ann")
        assert erased.calls == 3 and len(erased.datasets.renewed) == 2
        assert {word: found_in(project, home, outside, word) for word in words} == {word: [] for word in words}
        assert {version.manifest.name for version in versions(project.datasets)} == {"one", "two"}
        assert (
            build_dataset(project, recipe(*SOURCES, name="one", most_chars=10_000_000)).manifest.hash
            == find(project.datasets, "one").manifest.hash
        )


def found_in(project: Project, home: Path, outside: Path, word: bytes) -> list[str]:
    """The files, and on PostgreSQL the tables, that hold a word, compressed or not."""
    import pyarrow.parquet as pq
    from sqlalchemy import select

    from freehold.store.schema import metadata

    found = []
    for path in [*home.rglob("*"), *outside.rglob("*")]:
        if path.is_file():
            data = path.read_bytes()
            if path.suffix == ".parquet":
                data += str(pq.read_table(path).to_pylist()).encode()
            if word in data:
                found.append(path.name)
    if project.store.kind == "postgresql":
        with project.store.reading() as connection:
            for table in metadata.sorted_tables:
                if any(word in str(tuple(row)).encode() for row in connection.execute(select(table))):
                    found.append(table.name)
    return found
