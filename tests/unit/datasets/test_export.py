"""Data sets in the form that others read, and their cards."""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.data_sets import a_call, journalled, project_at, recipe, said

from command import freehold
from freehold.curate import build_dataset, export_dataset
from freehold.datasets.card import write_card
from freehold.datasets.export import FULL, REDACTED, Wanted, exports_of
from freehold.datasets.versions import find
from freehold.errors import CallerError
from freehold.feedback.preference import preference_json
from freehold.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    with project_at(tmp_path) as opened:
        yield opened


def lines(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text().splitlines()]


def test_openai_gets_chats_in_which_earlier_answers_weigh_nothing(project: Project, tmp_path: Path) -> None:
    turns = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "user", "content": "My card"},
    ]
    tool = {"type": "function", "function": {"name": "block", "parameters": {"type": "object", "properties": {}}}}
    calls = [
        a_call(0, input="My card was swallowed"),
        a_call(1, input=turns, output="cards"),
        a_call(2, input={"messages": turns[3:], "tools": [tool]}, output={"tool_calls": [{"name": "block", "arguments": {"card": 1}}]}),
        a_call(3, input={"message": "My loan"}, output={"queue": "loans", "urgent": False}),
    ]
    journalled(project, calls)
    build_dataset(project, recipe(near=0.0))
    export_dataset(project, "triage", Wanted("openai"), tmp_path / "out")
    found = lines(tmp_path / "out")
    assert len(found) == 4
    plain, chat, tools, typed = (
        next(line for line in found if word in json.dumps(line)) for word in ("swallowed", "Be short", "block", "urgent")
    )
    assert plain["messages"] == [
        {"role": "system", "content": "Say which queue answers."},
        {"role": "user", "content": "My card was swallowed"},
        {"role": "assistant", "content": "cards"},
    ]
    assert [message.get("weight") for message in chat["messages"]] == [None, None, 0, None, None]
    assert tools["tools"][0]["function"]["name"] == "block"
    assert json.loads(tools["messages"][-1]["tool_calls"][0]["function"]["arguments"]) == {"card": 1}
    assert typed["messages"][-1]["content"] == '{"queue":"loans","urgent":false}'


def test_anthropic_gets_the_system_apart_and_no_tools(project: Project, tmp_path: Path) -> None:
    tool = {"type": "function", "function": {"name": "block", "parameters": {"type": "object", "properties": {}}}}
    asked = {"messages": [{"role": "user", "content": "block it"}], "tools": [tool]}
    journalled(project, [a_call(0), a_call(1, input=asked)])
    build_dataset(project, recipe())
    exported = export_dataset(project, "triage", Wanted("anthropic"), tmp_path / "out")
    (line,) = lines(tmp_path / "out")
    assert line["system"] == "Say which queue answers."
    assert [message["role"] for message in line["messages"]] == ["user", "assistant"]
    assert sum(exported.left_out.values()) == 1 and "cannot be said" in next(iter(exported.left_out))


def test_pairs_have_the_columns_of_trl(project: Project, tmp_path: Path) -> None:
    better, worse = a_call(0), a_call(1)
    journalled(project, [better, worse], [said(better, kind="preference", content=preference_json("better_than", worse.id))])
    build_dataset(project, recipe("kind=preferences"))
    export_dataset(project, "triage", Wanted("preferences"), tmp_path / "out")
    (line,) = lines(tmp_path / "out")
    assert line.keys() == {"prompt", "chosen", "rejected"}
    assert [message["role"] for message in line["prompt"]] == ["system", "user"]
    assert line["chosen"] == [{"role": "assistant", "content": "cards"}]
    assert line["rejected"] == [{"role": "assistant", "content": "loans"}]


def test_spans_stand_where_the_text_has_them(project: Project, tmp_path: Path) -> None:
    text = "Anna flew from Oslo to Rome, and back to Oslo"
    journalled(project, [a_call(0, input=text, output={"person": "Anna", "city": ["Oslo", "Rome", "Oslo", "Paris"]}), a_call(1)])
    build_dataset(project, recipe())
    exported = export_dataset(project, "triage", Wanted("spans"), tmp_path / "out")
    (line,) = lines(tmp_path / "out")
    assert all(text[span["start"] : span["end"]] == span["text"] for span in line["spans"])
    assert [(span["label"], span["start"]) for span in line["spans"]] == [("person", 0), ("city", 15), ("city", 23), ("city", 41)]
    assert line["missing"] == [{"label": "city", "text": "Paris"}]
    assert sum(exported.left_out.values()) == 1


def test_tables_show_as_much_as_their_openness_allows(project: Project, tmp_path: Path) -> None:
    calls = [a_call(n, subject="ann", customer="acme", tags={"tier": "gold"}) for n in range(30)]
    journalled(project, calls, [said(calls[0], value=1.0, author="rater")])
    build_dataset(project, recipe())
    export_dataset(project, "triage", Wanted("csv"), tmp_path / "redacted")
    export_dataset(project, "triage", Wanted("huggingface", "full"), tmp_path / "full")
    with (tmp_path / "redacted/train.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert tuple(read[0]) == REDACTED
    assert len(read) == pq.read_table(tmp_path / "full/data/train.parquet").num_rows == 24
    assert tuple(pq.read_table(tmp_path / "full/data/train.parquet").column_names) == FULL
    everything = b"".join(path.read_bytes() for path in (tmp_path / "redacted").rglob("*") if path.is_file())
    assert not any(word in everything for word in (b"person:eve", b"gold", calls[0].id.encode()))
    assert b"ann" not in b"".join(path.read_bytes() for path in (tmp_path / "full").rglob("*.parquet"))


def test_rows_without_terms_stay_and_are_counted(project: Project, tmp_path: Path) -> None:
    calls = [a_call(n, tags={"consent": "no"} if n < 3 else {"licence": "none"} if n < 5 else {}) for n in range(10)]
    journalled(project, calls)
    build_dataset(project, recipe(near=0.0))
    exported = export_dataset(project, "triage", Wanted("openai"), tmp_path / "out")
    assert (sum(exported.rows.values()), exported.left_out) == (5, {"no consent": 3, "no licence": 2})
    told_otherwise = export_dataset(project, "triage", Wanted("openai", without_licence=True, without_consent=True), tmp_path / "all")
    assert (sum(told_otherwise.rows.values()), told_otherwise.left_out) == (10, {})


def test_where_nothing_may_leave_the_keys_to_write_are_named(project: Project, tmp_path: Path) -> None:
    journalled(project, [a_call(n, tags={"licence": "none"}) for n in range(5)])
    build_dataset(project, recipe(near=0.0))
    with pytest.raises(CallerError, match=r'no licence: 5\. Say licence = "\.\.\." under \[data\].* by --without-licence\. '):
        export_dataset(project, "triage", Wanted("openai"), tmp_path / "out")


def test_a_reason_that_did_not_occur_is_none_and_an_unknown_one_is_refused(project: Project, tmp_path: Path) -> None:
    journalled(project, [a_call(n) for n in range(5)])
    build_dataset(project, recipe(near=0.0))
    show = ("dataset", "show", "triage", "--project", tmp_path, "--dropped")
    assert "0 rows were left out for 'near duplicate'." in freehold(*show, "near duplicate").out
    assert freehold(*show, "language", "--json").json == []
    assert "near duplicate" in freehold(*show, "near duplicat", code=2).err


def test_answers_that_may_not_train_others_leave_in_no_form_of_training(project: Project, tmp_path: Path) -> None:
    """A data set for evaluation has them; as a table it leaves, as chats to train on it does not."""
    journalled(project, [a_call(n, variant="large") for n in range(5)])
    build_dataset(project, recipe(purpose="evaluation"))
    for form in ("openai", "anthropic"):
        with pytest.raises(CallerError, match="may not train others: theirs: 5"):
            export_dataset(project, "triage", Wanted(form), tmp_path / form)
        assert not list((tmp_path / form).rglob("*"))
    assert sum(export_dataset(project, "triage", Wanted("csv"), tmp_path / "csv").rows.values()) == 5


def test_an_export_replaces_nothing_and_is_noted(project: Project, tmp_path: Path) -> None:
    journalled(project, [a_call(n) for n in range(10)])
    build_dataset(project, recipe())
    export_dataset(project, "triage", Wanted("openai"), tmp_path / "out")
    with pytest.raises(CallerError, match="not empty"):
        export_dataset(project, "triage", Wanted("openai"), tmp_path / "out")
    (noted,) = exports_of(find(project.datasets, "triage"))
    assert (noted.format, noted.folder) == ("openai", str(tmp_path / "out"))
    assert {file.name for file in noted.files} == {path.name for path in (tmp_path / "out").iterdir()}


def test_a_card_of_statistics_holds_no_row(project: Project, tmp_path: Path) -> None:
    calls = [a_call(n, output="only one has this" if n == 0 else "usual") for n in range(20)]
    journalled(project, calls)
    version = build_dataset(project, recipe("task=triage and tag.x!=secret", near=0.0))
    write_card(version.manifest, "statistics", tmp_path / "card")
    everything = b"".join(path.read_bytes() for path in (tmp_path / "card").iterdir())
    assert not any(text in everything for text in (b"question 3", b"only one has this", b"item 3", b"tag.x"))
    assert json.loads((tmp_path / "card/statistics.json").read_bytes())["rows"] == 20


def test_croissant_has_what_its_specification_requires(project: Project, tmp_path: Path) -> None:
    """Version 1.1; every reference names something that is described, and every file has its hash. mlcroissant reads it in e2e."""
    journalled(project, [a_call(n) for n in range(30)])
    build_dataset(project, recipe())
    export_dataset(project, "triage", Wanted("huggingface"), tmp_path / "out")
    told = json.loads((tmp_path / "out/croissant.json").read_bytes())
    assert told["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert told["@type"] == "sc:Dataset"
    required = {"@context", "name", "description", "license", "url", "creator", "datePublished", "distribution"}
    assert required <= told.keys()
    assert told["license"] == ["https://spdx.org/licenses/CC-BY-4.0"]
    files = {file["@id"]: file for file in told["distribution"]}
    noted = {file.name: file.sha256 for file in exports_of(find(project.datasets, "triage"))[0].files}
    assert all(files[name]["sha256"] == noted[name] for name in files)
    fields = [field for records in told["recordSet"] for field in records["field"]]
    assert len({field["@id"] for field in fields}) == len(fields)
    assert {field["source"]["fileObject"]["@id"] for field in fields if "source" in field} <= files.keys()
    described = {records["@id"]: len(records["field"]) for records in told["recordSet"]}
    assert described == {"splits": 2, "train": len(REDACTED), "validation": len(REDACTED), "test": len(REDACTED)}


def test_the_readme_has_the_header_that_hugging_face_reads(project: Project, tmp_path: Path) -> None:
    journalled(project, [a_call(n) for n in range(30)])
    build_dataset(project, recipe())
    export_dataset(project, "triage", Wanted("huggingface"), tmp_path / "out")
    head = (tmp_path / "out/README.md").read_text().split("---\n")[1].splitlines()
    assert "license: cc-by-4.0" in head
    assert head[head.index("  data_files:") + 1 :] == [
        "  - split: train",
        '    path: "data/train.parquet"',
        "  - split: validation",
        '    path: "data/validation.parquet"',
        "  - split: test",
        '    path: "data/test.parquet"',
    ]
