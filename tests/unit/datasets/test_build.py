"""Data sets from a real journal, on each database: what goes in, what is left out and why, and that the same makes the same."""

import itertools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.data_sets import NOON, a_call, a_question, journalled, project_at, recipe, said

from freehold.curate import build_dataset, lineage
from freehold.datasets.build import Sources, build
from freehold.datasets.decide import decide
from freehold.datasets.dropped import Dropped, dropped_in
from freehold.datasets.gather import Shard, gather_apart
from freehold.datasets.recipe import Recipe, Splitting, read_recipe, toml_of
from freehold.datasets.scratch import Scratch
from freehold.datasets.table import batches_of, content_hash
from freehold.datasets.versions import DROPPED, ROWS, Version, find, intact
from freehold.errors import CallerError, DataError
from freehold.feedback.preference import preference_json
from freehold.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with project_at(tmp_path) as opened:
        yield opened


def rows(version: Version) -> list[dict[str, Any]]:
    return [row for table in batches_of(version.folder / ROWS) for row in table.to_pylist()]


def dropped(version: Version, *reasons: str) -> list[Dropped]:
    return list(dropped_in(version.folder / DROPPED, reasons))


def test_two_builds_of_one_recipe_give_one_hash(new_store_url: Callable[[], str], tmp_path: Path) -> None:
    """On one journal; and on another that has the same calls in another order, on either database."""
    calls = [a_call(n, group=f"g{n // 3}", subject=f"s{n % 7}", tags={"tier": "gold"}) for n in range(300)]
    calls += [a_call(300 + n, input=calls[n].input + " again") for n in range(20)]
    feedback = [said(call, value=float(n % 2)) for n, call in enumerate(calls) if n % 3 == 0]
    hashes = []
    for name, order in (("one", 1), ("other", -1)):
        (tmp_path / name).mkdir()
        with project_at(tmp_path / name, new_store_url()) as project:
            journalled(project, calls[::order], feedback[::order])
            hashes += [build_dataset(project, recipe(label_errors="flag")).manifest.hash for _ in range(2)]
            assert len(list((tmp_path / name / "datasets/triage").iterdir())) == 1
    assert len(set(hashes)) == 1


def test_several_processes_gather_what_one_does(store_url: str, tmp_path: Path) -> None:
    """Parts of the journal side by side, with tasks and answers that not every part has."""
    with project_at(tmp_path, store_url) as project:
        calls = [a_call(n, task="triage" if n < 100 else "other", output=f"answer {n % 7 if n < 150 else n}") for n in range(200)]
        calls += [a_call(200 + n, input=calls[n].input) for n in range(10)]
        journalled(project, calls, [said(call, value=1.0) for call in calls[::3]])
        sources = Sources(project.store, project.tenant, project.config, ())
        hashes = set()
        for n, folders in enumerate(((0, 210), (0, 90, 210), (0, 30, 160, 210))):
            aside = tmp_path / f"aside{n}"
            aside.mkdir()
            shards = [
                Shard(project.config, project.tenant, recipe("outcome=answered"), aside / str(first), first, last)
                for first, last in itertools.pairwise(folders)
            ]
            parts = [gather_apart(shard) for shard in shards]
            scratch = Scratch([part.kept for part in parts])
            decision = decide(scratch, recipe("outcome=answered"), ())
            kept = np.flatnonzero(decision.reason_N == 0)
            hashes.add(content_hash(scratch.digests[kept].tobytes(), decision.part_N[kept], []))
            assert len(kept) == 200
            scratch.close()
        assert hashes == {build(sources, recipe("outcome=answered"), project.datasets, NOON).manifest.hash}


def test_rows_know_all_they_came_from(project: Project) -> None:
    call = a_call(1, group="g", subject="ann", prompt="p" * 12, policy="q" * 12, tags={"tier": "gold"}, variant="small")
    feedback = [said(call, value=1.0), said(call, source="user", author="bob", value=0.0)]
    journalled(project, [call], feedback)
    version = build_dataset(project, recipe())
    (row,) = rows(version)
    assert (row["variant"], row["prompt"], row["policy"], row["source"]) == ("small", "p" * 12, "q" * 12, "import")
    assert (row["licence"], row["consent"], row["writer"], row["trains"]) == ("CC-BY-4.0", "terms-2026", "ours", "yes")
    assert "ann" not in str(row) and "bob" not in str(row)
    found = lineage(project, version, row["id"][:10])
    assert found.calls == (msgspec.structs.replace(call, output_digest=found.calls[0].output_digest),)
    assert {one.id for one in found.feedback} == {one.id for one in feedback} == set(row["feedback"])
    assert found.missing == ()


def test_each_kind_is_made_of_what_was_said(project: Project) -> None:
    plain, corrected, reviewed, chosen, worse = (a_call(n) for n in range(5))
    feedback = [
        said(corrected, kind="correction", content="other"),
        said(reviewed, value=1.0),
        said(chosen, kind="preference", content=preference_json("better_than", worse.id)),
    ]
    journalled(project, [plain, corrected, reviewed, chosen, worse], feedback)
    outputs: dict[str, set[tuple[Any, Any]]] = {}
    for kind in ("calls", "corrections", "reviewed", "preferences"):
        version = build_dataset(project, recipe(f"kind={kind}", name=kind, purpose="evaluation"))
        outputs[kind] = {(row["item"], row["output"]) for row in rows(version)}
    assert len(outputs["calls"]) == 5
    assert outputs["corrections"] == {("item 1", '"other"')}
    assert outputs["reviewed"] == {("item 1", '"other"'), ("item 2", '"fraud"'), ("item 3", '"cards"')}
    assert outputs["preferences"] == {("item 1", '"other"'), ("item 3", '"cards"')}
    pairs = {row["item"]: row for row in rows(find(project.datasets, "preferences"))}
    assert pairs["item 3"]["rejected"] == '"loans"'
    assert set(pairs["item 3"]["calls"]) == {chosen.id, worse.id}
    assert pairs["item 1"]["rejected"] == '"loans"'


def test_queries_choose_by_what_was_said_and_several_are_a_union(project: Project) -> None:
    calls = [a_call(n, tags={"tier": "gold" if n % 2 else "plain"}, customer=f"c{n}") for n in range(20)]
    journalled(project, calls, [said(call, value=float(n < 10)) for n, call in enumerate(calls)])

    def items(*sources: str) -> set[int]:
        version = build_dataset(project, recipe(*sources, name="some"))
        return {int(row["item"].split()[1]) for row in rows(version)}

    assert items("reward>=0.9") == set(range(10))
    assert items("metric.correct<1 and tag.tier=gold") == {n for n in range(10, 20) if n % 2}
    assert items("reward>=0.9 and tag.tier=gold", "customer=c12|c14") == {1, 3, 5, 7, 9, 12, 14}
    assert items("said_by=person:eve and since=2026-03-04T12:00:05Z and until=2026-03-04T12:00:08Z") == {5, 6, 7}
    assert items("customer!=c3 and reward=1") == set(range(10)) - {3}
    with pytest.raises(DataError, match="No call is what data set 'none' is to be made of: task=other"):
        build_dataset(project, recipe("task=other", name="none"))


def test_everything_that_is_left_out_is_counted_and_listed(project: Project) -> None:
    text = a_question(random.Random(0), 60)
    calls = [
        a_call(0, input=text),
        a_call(1, input=text),
        a_call(2, input=text + " too"),
        a_call(3, variant="large"),
        a_call(4, outcome="failed", output=None),
        a_call(5, input=None),
        a_call(6, input="x"),
        a_call(7, input="x" * 2_000),
        a_call(8, input="das ist nicht, was ich von der Bank wissen wollte"),
        a_call(9, input="this is what I was asking the bank for"),
        a_call(10, variant="nobody knows"),
    ]
    journalled(project, calls)
    version = build_dataset(project, recipe(least_chars=2, most_chars=1_000, languages=("en", "und")))
    by_item = {one.item: (one.reason, one.detail) for one in dropped(version)}
    kept = {row["item"] for row in rows(version)}
    best = next(row["id"] for row in rows(version) if row["item"] == "item 0")[:16]
    assert kept == {"item 0", "item 9"}
    assert by_item == {
        "item 1": ("exact duplicate", f"of the row {best}"),
        "item 2": ("near duplicate", f"of the row {best}, 0.98"),
        "item 3": ("may not train others", "theirs: no"),
        "item 4": ("no answer", ""),
        "item 5": ("content not kept", ""),
        "item 6": ("too short", "question of 1 characters"),
        "item 7": ("too long", "question of 2,000 characters"),
        "item 8": ("language", "de"),
        "item 10": ("may not train others", "nobody knows: ask"),
    }
    assert version.manifest.wanted == len(calls) == version.manifest.rows + sum(version.manifest.dropped.values())
    assert version.manifest.refused == {"nobody knows": 1, "theirs": 1}


def test_of_two_that_ask_the_same_what_people_said_is_kept(project: Project) -> None:
    first, corrected = a_call(0, input="the same question"), a_call(1, input="the same question")
    journalled(project, [first, corrected], [said(corrected, kind="correction", content="other")])
    version = build_dataset(project, recipe("task=triage", "task=triage and kind=corrections"))
    assert [(row["kind"], row["output"]) for row in rows(version)] == [("corrections", '"other"')]


def test_personal_data_is_replaced_before_anything_is_written(project: Project, tmp_path: Path) -> None:
    call = a_call(
        0, input="write to ann@example.com or call +49 170 1234567", output="sent to ann@example.com", tags={"to": "bob@example.com"}
    )
    journalled(project, [call, a_call(1)])
    version = build_dataset(project, recipe())
    assert version.manifest.personal == {"EMAIL": 3, "PHONE": 1}
    assert b"example.com" not in b"".join(path.read_bytes() for path in version.folder.iterdir())
    assert next(row["input"] for row in rows(version) if row["item"] == "item 0") == '"write to [EMAIL] or call [PHONE]"'
    without = build_dataset(project, recipe(name="without", personal="drop"))
    assert [(one.item, one.reason, one.detail) for one in dropped(without)] == [("item 0", "personal data", "EMAIL, PHONE")]


def test_terms_are_those_of_the_call_then_the_task_then_the_project(tmp_path: Path) -> None:
    calls = [
        a_call(0),
        a_call(1, tags={"licence": "CC0-1.0", "consent": "asked"}),
        a_call(2, tags={"consent": "no"}),
        a_call(3, task="other"),
    ]
    with project_at(tmp_path, more='[tasks.other]\nlicence = "MIT"\nconsent = "no"\n') as project:
        journalled(project, calls)
        version = build_dataset(project, recipe("outcome=answered"))
    assert {row["item"]: (row["licence"], row["consent"]) for row in rows(version)} == {
        "item 0": ("CC-BY-4.0", "terms-2026"),
        "item 1": ("CC0-1.0", "asked"),
        "item 2": ("CC-BY-4.0", None),
        "item 3": ("MIT", None),
    }


def test_parts_have_their_share_of_every_answer(project: Project) -> None:
    """1,000 calls with a rare answer: each part has its share of it, to a row."""
    journalled(project, [a_call(n, output="rare" if n % 20 == 0 else "usual") for n in range(1_000)])
    version = build_dataset(project, recipe(near=0.0))
    count = {part: sum(row["split"] == part and row["output"] == '"rare"' for row in rows(version)) for part in version.manifest.parts}
    assert version.manifest.parts == {"train": 800, "calibrate": 100, "test": 100}
    assert count == {"train": 40, "calibrate": 5, "test": 5}


def test_what_is_for_evaluation_is_no_training_text_of_others(project: Project) -> None:
    journalled(project, [a_call(n) for n in range(100)])
    exam = build_dataset(project, recipe("item=" + "|".join(f'"item {n}"' for n in range(10)), name="exam", purpose="evaluation"))
    assert exam.manifest.parts == {"test": 10}
    version = build_dataset(project, recipe())
    trained = {row["item"] for row in rows(version) if row["split"] != "test"}
    assert trained.isdisjoint({f"item {n}" for n in range(10)})
    assert all("exam@" in one.detail for one in dropped(version, "evaluation text"))
    assert [one.texts for one in version.manifest.evaluations if one.name.startswith("exam@")] == [10]


def test_a_recipe_that_is_stored_builds_the_same(project: Project, tmp_path: Path) -> None:
    journalled(project, [a_call(n) for n in range(50)])
    first = build_dataset(project, recipe("since=2026-01-01"))
    written = tmp_path / "recipe.toml"
    written.write_text(toml_of(first.manifest.recipe))
    for path in (written, first.folder / "manifest.json"):
        again = read_recipe(path, None, NOON)
        assert again == first.manifest.recipe
        assert build_dataset(project, again).manifest.hash == first.manifest.hash


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('name = "a"\nfrom = ["task=x"]\ncleam = 1\n', "unknown field"),
        ('name = "A b"\nfrom = ["task=x"]\n', "no name of a data set"),
        ('name = "a"\nfrom = []\n', "has no source"),
        ('name = "a"\nfrom = ["taks=x"]\n', "Did you mean 'task'"),
        ("name =", "is not one"),
    ],
)
def test_a_recipe_that_is_wrong_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(text)
    with pytest.raises(CallerError, match=message):
        read_recipe(tmp_path / "recipe.toml", None, NOON)


def test_a_version_that_was_changed_is_refused(project: Project) -> None:
    journalled(project, [a_call(n) for n in range(10)])
    version = build_dataset(project, recipe())
    path = version.folder / ROWS
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(DataError, match="was changed since"):
        intact(find(project.datasets, "triage"))


def test_nothing_is_left_of_a_build_that_failed(project: Project) -> None:
    journalled(project, [a_call(0, variant="large")])
    with pytest.raises(DataError, match="Nothing is left of the 1 rows of data set 'triage': may not train others: 1"):
        build_dataset(project, recipe())
    assert list(project.datasets.iterdir()) == []


def test_without_stratification_a_group_never_moves(project: Project) -> None:
    """Its part follows from its place alone, however the data grows."""
    journalled(project, [a_call(n) for n in range(200)])
    plan: Recipe = recipe(split=Splitting(stratify=False))
    before = {row["item"]: row["split"] for row in rows(build_dataset(project, plan))}
    journalled(project, [a_call(n) for n in range(200, 300)])
    after = {row["item"]: row["split"] for row in rows(build_dataset(project, plan))}
    assert {item: after[item] for item in before} == before
