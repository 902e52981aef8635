"""A specialist given to others: what leaves and what stays, what is told of whom, and that it is the same where it arrives."""

import random
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.data_sets import a_call, journalled, project_at, recipe, said

from freehold.catalog import Variant
from freehold.context import prompts
from freehold.curate import build_dataset, erase_dataset, erase_subject
from freehold.datasets.table import batches_of
from freehold.errors import CallerError, DataError
from freehold.project import Project
from freehold.promotion.certify import Certification
from freehold.promotion.records import add_certificate
from freehold.release import Asked, add, release
from freehold.specialise import Wanted, plan_of, prepare, train
from freehold.variants import shelf
from freehold.variants.card import Base, Card, Kept
from freehold.variants.specialist import load
from simulated import a_task as simulated_task
from simulated import certified

NOW = datetime(2026, 6, 1, tzinfo=UTC)
QUEUES = {"cards": "my card was swallowed", "loans": "how much may I borrow", "fraud": "somebody took my money"}
WORDS = ["in", "the", "town", "last", "week", "again", "please", "help", "me", "now", "or", "then"]
OTHER = """
[tasks.other]
reference = "large"
"""


def question(n: int) -> str:
    queue = list(QUEUES)[n % 3]
    return f"{QUEUES[queue]} {' '.join(random.Random(n).choices(WORDS, k=12))} {n}"


def calls(first: int, count: int, **fields: Any) -> list[Any]:
    return [a_call(n, input=question(n), output=list(QUEUES)[n % 3], **fields) for n in range(first, first + count)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a head that learnt from 90 rows, of which people judged some; ten have no licence, ten no consent, ten are another task's."""
    folder = tmp_path_factory.mktemp("desk")
    with project_at(folder, more=OTHER) as project:
        plain = calls(0, 90, subject="sam")[:1] + calls(1, 89)
        unlicensed, refused, others = (
            calls(100, 10, tags={"licence": "no"}),
            calls(200, 10, tags={"consent": "no"}),
            calls(300, 10, task="other"),
        )
        judged = [said(call, source=f"person:{name}") for call in plain[:20] for name in ("Ann Miller", "bob")]
        journalled(project, plain + unlicensed + refused + others, judged)
        build_dataset(project, recipe("task=triage", "task=other", near=0.0, exact=False))
        train(project, prepare(project, plan_of(project, Wanted("triage", "head"))), "sorter")
    return folder


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Iterator[Project]:
    """The same, to be changed."""
    subprocess.run(["cp", "-r", str(made), str(tmp_path / "desk")], check=True)
    with Project.at(tmp_path / "desk") as opened:
        yield opened


@pytest.fixture
def other(tmp_path: Path) -> Iterator[Project]:
    """Somebody else's project."""
    (tmp_path / "theirs").mkdir()
    with project_at(tmp_path / "theirs") as opened:
        yield opened


def again(project: Project, name: str = "changed", **changes: Any) -> Card:
    """Another specialist, like the first but for something."""
    card = msgspec.structs.replace(shelf.find(project.store, project.tenant, "sorter"), name=name, **changes)
    shelf.add(project.store, card)
    return card


def written(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def rows(folder: Path) -> list[dict[str, Any]]:
    return [row for path in sorted((folder / "data/data").glob("*.parquet")) for table in batches_of(path) for row in table.to_pylist()]


def test_one_folder_holds_all_of_it_and_its_hashes(project: Project, tmp_path: Path) -> None:
    released = release(project, Asked(name="sorter", level="full"), tmp_path / "out")
    assert list(released.files) == [*[name for name in written(tmp_path / "out") if name != "SHA256SUMS"], "SHA256SUMS"]
    assert {"README.md", "SHA256SUMS", "annotation.json", "card.json", "head.safetensors", "plan.toml", "recipe.toml"} <= set(
        released.files
    )
    assert {"data/README.md", "data/croissant.json", "data/statistics.json", "data/data/train.parquet"} <= set(released.files)
    done = subprocess.run(
        ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path / "out", check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("level", ["full", "redacted"])
def test_rows_that_may_not_leave_stay_and_are_counted(project: Project, tmp_path: Path, level: str) -> None:
    released = release(project, Asked(name="sorter", level=level), tmp_path / "out")  # type: ignore[arg-type]
    assert released.left_out == {"no consent": 10, "no licence": 10, "of another task": 10}
    assert sum(released.rows.values()) == len(rows(tmp_path / "out")) == 90
    assert {row["task"] for row in rows(tmp_path / "out")} == {"triage"}
    assert "no licence | 10" in (tmp_path / "out/README.md").read_text()


def test_rows_leave_that_are_said_to(project: Project, tmp_path: Path) -> None:
    asked = Asked(name="sorter", without_licence=True, without_consent=True)
    assert sum(release(project, asked, tmp_path / "out").rows.values()) == 110


def test_answers_of_whoever_forbids_to_train_others_stay(tmp_path: Path) -> None:
    with project_at(tmp_path) as project:
        journalled(project, calls(0, 90))
        build_dataset(project, recipe(near=0.0))
        train(project, prepare(project, plan_of(project, Wanted("triage", "head"))), "sorter")
        version = next((project.datasets / "triage").iterdir())
        _forbid(version)
        with pytest.raises(CallerError, match="may not train others: ours: 90"):
            release(project, Asked(name="sorter", level="full"), tmp_path / "out")


def _forbid(version: Path) -> None:
    """Makes every row of a version one whose writer was not asked, as an older Freehold may have left it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from freehold.datasets.versions import Manifest, file_of

    table = pq.read_table(version / "rows.parquet")
    column = pa.array(["no"] * len(table), type=table.schema.field("trains").type)
    pq.write_table(table.set_column(table.schema.get_field_index("trains"), table.schema.field("trains"), column), version / "rows.parquet")
    manifest = msgspec.json.decode((version / "manifest.json").read_bytes(), type=Manifest)
    files = tuple(file_of(version / file.name) for file in manifest.files)
    (version / "manifest.json").write_bytes(msgspec.json.encode(msgspec.structs.replace(manifest, files=files)))


def test_where_nothing_may_leave_a_full_release_is_refused_and_says_what_to_do(tmp_path: Path) -> None:
    with project_at(tmp_path) as project:
        (tmp_path / "freehold.toml").write_text(
            (tmp_path / "freehold.toml").read_text().replace("[data]", "[gateway]").replace("licence =", "# ").replace("consent =", "# ")
        )
    with Project.at(tmp_path) as project:
        journalled(project, calls(0, 90))
        build_dataset(project, recipe(near=0.0))
        train(project, prepare(project, plan_of(project, Wanted("triage", "head"))), "sorter")
        with pytest.raises(CallerError, match=r"no licence: 90.*\[data\].*--level statistics"):
            release(project, Asked(name="sorter", level="full"), tmp_path / "out")
        assert not (tmp_path / "out").exists()
        released = release(project, Asked(name="sorter", level="statistics"), tmp_path / "out")
    assert (released.rows, (tmp_path / "out/data/croissant.json").is_file()) == ({}, True)
    assert not (tmp_path / "out/data/data").exists()


def test_what_learnt_from_rows_that_are_gone_is_released_without_any(project: Project, tmp_path: Path) -> None:
    erase_dataset(project, "triage")
    with pytest.raises(CallerError, match=r"no longer there.*Train it again"):
        release(project, Asked(name="sorter"), tmp_path / "out")
    release(project, Asked(name="sorter", level="statistics"), tmp_path / "out")
    assert "no longer there" in (tmp_path / "out/README.md").read_text()
    assert not (tmp_path / "out/data").exists()


def test_what_belongs_to_one_person_alone_is_nobody_elses(project: Project, tmp_path: Path) -> None:
    again(project, subject="5a", over="sorter")
    with pytest.raises(CallerError, match=r"belongs to one person or customer alone.*freehold take.*'sorter'"):
        release(project, Asked(name="changed"), tmp_path / "out")


def test_nothing_is_replaced(project: Project, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("mine")
    with pytest.raises(CallerError, match="there and not empty"):
        release(project, Asked(name="sorter"), tmp_path / "out")
    assert written(tmp_path / "out") == ["mine"]


@pytest.mark.parametrize("level", ["full", "redacted", "statistics"])
def test_people_are_told_by_pseudonym_and_number(project: Project, tmp_path: Path, level: str) -> None:
    released = release(project, Asked(name="sorter", level=level), tmp_path / "out")  # type: ignore[arg-type]
    told = msgspec.json.decode((tmp_path / "out/annotation.json").read_bytes())
    assert (released.raters, told["people"], set(told["labels"])) == (2, 2, {"rater-1", "rater-2"})
    assert sum(told["labels"].values()) == 40
    everything = b"".join((tmp_path / "out" / name).read_bytes() for name in written(tmp_path / "out") if not name.endswith(".parquet"))
    everything += repr(rows(tmp_path / "out") if level != "statistics" else "").encode()
    assert b"Ann" not in everything and b"person:bob" not in everything
    if level == "full":
        raters = {rater for row in rows(tmp_path / "out") for rater in msgspec.json.decode(row["raters"])}
        assert raters == {"person:rater-1", "person:rater-2"}


def test_below_full_openness_nothing_tells_where_rows_came_from(project: Project, tmp_path: Path, plain: Certification) -> None:
    card = shelf.find(project.store, project.tenant, "sorter")
    certificate = msgspec.structs.replace(plain.certificate, specialists={card.name: card.hash}, share={card.name: 0.4})
    add_certificate(project.store, certificate, "spec")
    for level in ("full", "redacted"):
        released = release(project, Asked(name="sorter", level=level), tmp_path / level)  # type: ignore[arg-type]
        assert released.certificate == certificate.id
        assert certificate.claim in (tmp_path / level / "README.md").read_text()
    full, redacted = (msgspec.json.decode((tmp_path / level / "certificate.json").read_bytes()) for level in ("full", "redacted"))
    assert full["policy_source"] == certificate.policy_source
    assert redacted["abridged"] and "policy_source" not in redacted and redacted["claim"] == certificate.claim
    assert 'from = ["task=other","task=triage"]' in (tmp_path / "full/recipe.toml").read_text()
    assert "task=other" not in (tmp_path / "redacted/recipe.toml").read_text()
    assert "[clean]" in (tmp_path / "redacted/recipe.toml").read_text()


@pytest.fixture(scope="module")
def plain() -> Certification:
    return certified(simulated_task(600))


def test_a_certificate_of_another_that_had_its_name_is_not_shown(project: Project, tmp_path: Path, plain: Certification) -> None:
    add_certificate(project.store, msgspec.structs.replace(plain.certificate, specialists={"sorter": "another"}), "spec")
    assert release(project, Asked(name="sorter"), tmp_path / "out").certificate is None
    assert "No certificate names it" in (tmp_path / "out/README.md").read_text()


def test_the_card_for_people_tells_what_it_kept_its_base_and_its_program(project: Project, tmp_path: Path) -> None:
    source = b'def answer(text):\n    return "cards" if "card" in text else None\n'
    files = shelf.store_files(project.store, {"answer.py": source})
    kept = (Kept(name="triage@1", n=50, before=0.9, after=0.88, low=-0.05, high=0.01),)
    base = Base(name="tiny-bert", licence="Apache-2.0", openness="weights", sha256="ab")
    again(project, format="code", files=files, kept=kept, base=base)
    release(project, Asked(name="changed"), tmp_path / "out")
    page = (tmp_path / "out/README.md").read_text()
    assert "| triage@1 | 50 | 0.900 | 0.880 | -0.050 to +0.010 |" in page
    assert "Base model: tiny-bert, licence Apache-2.0, its weights alone, SHA-256 ab." in page
    assert source.decode().rstrip() in page
    assert (tmp_path / "out/answer.py").read_bytes() == source


def test_paths_of_this_machine_stay_here(project: Project, tmp_path: Path) -> None:
    card = shelf.find(project.store, project.tenant, "sorter")
    again(project, plan=msgspec.structs.replace(card.plan, embedder="/home/ann/minilm", base="/data/bases/tiny"))
    release(project, Asked(name="changed"), tmp_path / "out")
    told = (tmp_path / "out/card.json").read_text() + (tmp_path / "out/plan.toml").read_text() + (tmp_path / "out/README.md").read_text()
    assert "minilm" in told and "/home" not in told and "/data/bases" not in told


def test_answers_that_are_rare_are_told_at_full_openness_alone(project: Project, tmp_path: Path) -> None:
    tested = shelf.find(project.store, project.tenant, "sorter").tested
    assert tested is not None
    again(project, tested=msgspec.structs.replace(tested, answers={"cards": (9, 1.0), "divorce of Mrs X": (1, 0.0)}))
    for level in ("full", "redacted"):
        release(project, Asked(name="changed", level=level), tmp_path / level)  # type: ignore[arg-type]
    assert "divorce" in (tmp_path / "full/card.json").read_text()
    assert "divorce" not in (tmp_path / "redacted/card.json").read_text()


def test_what_quotes_rows_that_stay_does_not_leave(project: Project, tmp_path: Path) -> None:
    """A program with a question of its data set in it: that may leave where the row does, and the refused leave nothing behind."""
    quoted, stays = question(5), question(200)
    again(project, "few", format="code", files=shelf.store_files(project.store, {"answer.json": msgspec.json.encode([f'"{quoted}"'])}))
    again(project, "more", format="code", files=shelf.store_files(project.store, {"answer.py": f"x = '''{stays}'''".encode()}))
    release(project, Asked(name="few", level="redacted"), tmp_path / "few")
    with pytest.raises(CallerError, match=r"'answer.json' of the specialist quotes 1 rows"):
        release(project, Asked(name="few", level="statistics"), tmp_path / "statistics")
    with pytest.raises(CallerError, match=r"'answer.py' of the specialist quotes 1 rows"):
        release(project, Asked(name="more", level="full"), tmp_path / "more")
    assert not (tmp_path / "statistics").exists() and not (tmp_path / "more").exists()


def test_a_file_called_as_one_of_a_release_is_refused(project: Project, tmp_path: Path) -> None:
    again(project, files=shelf.store_files(project.store, {"README.md": b"mine"}))
    with pytest.raises(DataError, match="has a file called 'README.md'"):
        release(project, Asked(name="changed"), tmp_path / "out")


def test_erasing_a_person_reaches_what_was_released(project: Project, tmp_path: Path) -> None:
    release(project, Asked(name="sorter", level="full"), tmp_path / "out")
    erased = erase_subject(project, "sam")
    assert any(str(tmp_path / "out/data") in told for told in erased.datasets.exports_removed)
    assert not list((tmp_path / "out/data/data").glob("*.parquet"))


# In another project


def test_where_it_arrives_it_answers_the_same_and_has_its_card(project: Project, other: Project, tmp_path: Path) -> None:
    release(project, Asked(name="sorter"), tmp_path / "out")
    mine = shelf.find(project.store, project.tenant, "sorter")
    theirs = add(other, tmp_path / "out", expected=mine.hash[:12])
    assert theirs == shelf.find(other.store, other.tenant, "sorter")
    assert (theirs.hash, theirs.plan, theirs.rows) == (mine.hash, mine.plan, mine.rows)
    assert theirs.tested is not None and mine.tested is not None and theirs.tested.measures == mine.tested.measures
    texts = [question(n) for n in range(500, 540)]
    assert load(other.store, theirs).answer(texts) == load(project.store, mine).answer(texts)
    assert add(other, tmp_path / "out") == theirs
    assert add(other, tmp_path / "out", name="from-afar").hash == mine.hash
    assert [card.name for card in shelf.on_shelf(other.store, other.tenant)] == ["sorter", "from-afar"]


@pytest.mark.parametrize("file", ["head.safetensors", "card.json", "README.md", "annotation.json", "data/croissant.json"])
def test_what_was_changed_on_the_way_is_refused(project: Project, other: Project, tmp_path: Path, file: str) -> None:
    release(project, Asked(name="sorter"), tmp_path / "out")
    data = bytearray((tmp_path / "out" / file).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "out" / file).write_bytes(data)
    with pytest.raises(DataError, match=r"is not what SHA256SUMS says.*anew from its source"):
        add(other, tmp_path / "out")
    assert shelf.on_shelf(other.store, other.tenant) == []


def test_weights_that_were_changed_are_refused_though_the_sums_were_as_well(project: Project, other: Project, tmp_path: Path) -> None:
    release(project, Asked(name="sorter"), tmp_path / "out")
    path = tmp_path / "out/head.safetensors"
    path.write_bytes(path.read_bytes() + b"\0")
    (tmp_path / "out/SHA256SUMS").unlink()
    with pytest.raises(DataError, match="is not what the card says"):
        add(other, tmp_path / "out")


def test_another_one_than_was_expected_is_refused(project: Project, other: Project, tmp_path: Path) -> None:
    release(project, Asked(name="sorter"), tmp_path / "out")
    with pytest.raises(DataError, match="not one with the hash 0000"):
        add(other, tmp_path / "out", expected="0000")


@pytest.mark.parametrize("line", ["0" * 64 + "  ../freehold.toml", "0" * 64, "nonsense"])
def test_sums_that_name_no_file_of_the_folder_are_refused(project: Project, other: Project, tmp_path: Path, line: str) -> None:
    release(project, Asked(name="sorter"), tmp_path / "out")
    with (tmp_path / "out/SHA256SUMS").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(DataError, match="names no file of the folder"):
        add(other, tmp_path / "out")


def test_a_format_that_nobody_reads_here_is_refused(project: Project, other: Project, tmp_path: Path) -> None:
    again(project, format="oracle")
    release(project, Asked(name="changed"), tmp_path / "out")
    with pytest.raises(DataError, match="of the format 'oracle', which this Freehold does not read"):
        add(other, tmp_path / "out")


def test_what_is_no_release_is_refused(other: Project, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is no specialist"):
        add(other, tmp_path)


def test_a_prompt_travels_with_the_one_that_is_asked_in_it(project: Project, other: Project, tmp_path: Path) -> None:
    words = "{% block system %}Say which queue.{% endblock %}{% block user %}{{ input }}{% endblock %}"
    hash = prompts.keep(project.store, project.tenant, "triage", words, NOW)
    again(project, "asked", format="model", files=(), variant=Variant(id="asked", model="small", prompt=hash))
    release(project, Asked(name="asked"), tmp_path / "out")
    assert (tmp_path / "out/prompt.txt").read_text() == words
    theirs = add(other, tmp_path / "out", name="renamed")
    assert theirs.variant == Variant(id="renamed", model="small", prompt=hash)
    assert [one.text for one in prompts.versions(other.store, other.tenant, "triage")] == [words]
    (tmp_path / "out/SHA256SUMS").unlink()
    (tmp_path / "out/prompt.txt").write_text("{% block user %}{{ input }} or else{% endblock %}")
    with pytest.raises(DataError, match="is not the prompt"):
        add(other, tmp_path / "out", name="third")
