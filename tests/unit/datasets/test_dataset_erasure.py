"""A person leaves data sets: new versions without them, the old ones and the exports gone, and whoever has others named."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.data_sets import a_call, journalled, project_at, recipe, said

from freehold.curate import Erased, build_dataset, erase_dataset, erase_subject, export_dataset
from freehold.datasets.compare import compare
from freehold.datasets.export import Wanted
from freehold.datasets.table import batches_of
from freehold.datasets.versions import ROWS, Version, find, intact, versions
from freehold.errors import CallerError, TrainingError
from freehold.project import Project
from freehold.specialise import Wanted as Training
from freehold.specialise import plan_of, prepare, train
from freehold.training.run import Run, Step, run_folder
from freehold.variants import shelf


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with project_at(tmp_path) as opened:
        yield opened


def parts(version: Version) -> dict[str, str]:
    return {row["item"]: row["split"] for table in batches_of(version.folder / ROWS) for row in table.to_pylist()}


def test_a_version_is_followed_by_one_without_them(project: Project) -> None:
    journalled(project, [a_call(n, subject="ann" if n % 10 == 0 else f"s{n}") for n in range(50)])
    old = build_dataset(project, recipe())
    before = parts(old)
    erased = erase_subject(project, "ann")
    assert erased.calls == 5
    (renewed,) = erased.datasets.renewed
    (new,) = versions(project.datasets)
    assert not old.folder.exists()
    assert (renewed.old, renewed.new, renewed.rows) == (old.label, new.label, 5)
    assert parts(intact(new)) == {item: part for item, part in before.items() if int(item.split()[1]) % 10}
    assert (new.manifest.rows, new.manifest.erased, new.manifest.follows) == (45, 5, old.manifest.hash)
    assert sum(new.manifest.parts.values()) == sum(new.manifest.answers["triage"].values()) == new.manifest.groups == 45


def test_what_is_learnt_meanwhile_is_never_put_on_the_shelf(project: Project) -> None:
    """The run finds that its data set is gone, and what it has learnt by then is gone with it; so is what an earlier run left."""
    journalled(project, [a_call(n, subject="ann" if n % 10 == 0 else f"s{n}") for n in range(200)])
    build_dataset(project, recipe())
    prepared = prepare(project, plan_of(project, Training("triage", "head")))
    Run(run_folder(project.folder, "e" * 64), "e" * 64).keep({"at": np.ones(3)}, {})
    erased: list[Erased] = []

    def erase_once(step: Step) -> None:
        if not erased:
            erased.append(erase_subject(project, "ann"))

    with pytest.raises(TrainingError, match="was removed while it was learnt, as an erasure does"):
        train(project, prepared, tell=erase_once)
    assert erased[0].unfinished == (1, 1)  # one that was broken off, and the one that was under way
    assert not shelf.on_shelf(project.store, project.tenant) and not [*(project.folder / "runs").glob("*")]
    assert train(project, prepare(project, plan_of(project, Training("triage", "head")))).rows["train"] > 0


def test_data_sets_without_them_stay_as_they_are(project: Project) -> None:
    journalled(project, [a_call(n, subject="ann" if n == 3 else None) for n in range(20)])
    without = build_dataset(project, recipe('item!="item 3"', name="without"))
    build_dataset(project, recipe())
    assert [one.old.split("@")[0] for one in erase_subject(project, "ann").datasets.renewed] == ["triage"]
    assert intact(without).folder.exists()


def test_rows_that_rest_on_what_they_said_go_as_well(project: Project) -> None:
    """A correction that a person gave to somebody else's call."""
    calls = [a_call(n, subject=f"s{n}") for n in range(10)]
    journalled(
        project, calls, [said(call, kind="correction", content="other", author="ann" if n < 2 else "bob") for n, call in enumerate(calls)]
    )
    build_dataset(project, recipe("kind=corrections"))
    erased = erase_subject(project, "ann")
    assert (erased.calls, erased.said) == (0, 2)
    assert parts(find(project.datasets, "triage")).keys() == {f"item {n}" for n in range(2, 10)}


def test_rows_are_found_though_their_calls_are_gone(project: Project) -> None:
    """By the hash of whom they are about: an erasure that broke off after the journal, or calls that were kept for a shorter time."""
    journalled(project, [a_call(n, subject="ann" if n < 3 else "bob") for n in range(10)])
    version = build_dataset(project, recipe())
    kept = {path.name: path.read_bytes() for path in version.folder.iterdir()}
    erase_subject(project, "ann")
    version.folder.mkdir(parents=True)
    for name, data in kept.items():
        (version.folder / name).write_bytes(data)
    again = erase_subject(project, "ann")
    assert again.calls == 0
    assert [one.rows for one in again.datasets.renewed] == [3]


def test_exports_that_lie_where_they_were_written_go_and_others_are_named(project: Project, tmp_path: Path) -> None:
    journalled(project, [a_call(n, subject="ann" if n == 3 else None) for n in range(20)])
    build_dataset(project, recipe())
    for name in ("there", "changed", "moved"):
        export_dataset(project, "triage", Wanted("openai"), tmp_path / name)
    (tmp_path / "changed/train.jsonl").write_text("somebody's own\n")
    (tmp_path / "moved").rename(tmp_path / "elsewhere")
    erased = erase_subject(project, "ann").datasets
    assert [text.split(" (")[0] for text in erased.exports_removed] == [str(tmp_path / "there")]
    assert sorted(text.split(" (")[0] for text in erased.exports_left) == [str(tmp_path / "changed"), str(tmp_path / "moved")]
    assert not any(path.is_file() for path in (tmp_path / "there").rglob("*"))
    assert (tmp_path / "changed/train.jsonl").read_text() == "somebody's own\n"


def test_where_no_row_is_left_no_version_is(project: Project) -> None:
    journalled(project, [a_call(n, subject="ann") for n in range(3)])
    version = build_dataset(project, recipe())
    assert erase_subject(project, "ann").datasets.removed == (version.label,)
    assert versions(project.datasets) == []


def test_what_a_build_left_behind_that_died_goes(project: Project) -> None:
    journalled(project, [a_call(0, subject="ann")])
    (project.datasets / ".draft-x").mkdir(parents=True)
    (project.datasets / ".draft-x/gathered.parquet").write_bytes(b"of ann")
    erase_subject(project, "ann")
    assert list(project.datasets.glob(".draft-*")) == []


def test_a_difference_names_what_came_went_changed_and_moved(project: Project) -> None:
    journalled(project, [a_call(n) for n in range(30)])
    old = build_dataset(project, recipe('item!="item 1"', near=0.0))
    extra = [said(a_call(5), value=1.0)]
    journalled(project, [], extra)
    new = build_dataset(project, recipe('item!="item 2"', near=0.0))
    found = compare(old, new)
    assert [row.item for row in found.came] == ["item 1"]
    assert [row.item for row in found.went] == ["item 2"]
    assert [row.item for row in found.changed] == ["item 5"]
    assert found.same + len({row.id for row in (*found.changed, *found.moved)}) == 28
    assert compare(old, old).same == 29


def test_a_row_that_went_says_why_the_new_version_left_it_out(project: Project) -> None:
    journalled(project, [a_call(0, input="short"), a_call(1)])
    old = build_dataset(project, recipe())
    new = build_dataset(project, recipe(least_chars=5, most_chars=10_000, languages=("und",)))
    assert compare(old, new).went == ()
    stricter = build_dataset(project, recipe('item="item 0"|"item 1" and chars>0', most_chars=20))
    assert [(row.item, row.why) for row in compare(old, stricter).went] == [
        ("item 1", f"too long: question of {len(a_call(1).input)} characters")
    ]


def test_a_data_set_goes_with_all_its_versions_or_with_one(project: Project, tmp_path: Path) -> None:
    journalled(project, [a_call(n) for n in range(20)])
    first = build_dataset(project, recipe())
    second = build_dataset(project, recipe('item!="item 1"'))
    export_dataset(project, first.label, Wanted("csv"), tmp_path / "out")
    assert erase_dataset(project, first.label).removed == (first.label,)
    assert not list((tmp_path / "out").glob("*.csv"))
    assert [version.label for version in versions(project.datasets)] == [second.label]
    erase_dataset(project, "triage")
    with pytest.raises(CallerError, match="There is no data set 'triage'"):
        find(project.datasets, "triage")
