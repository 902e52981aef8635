"""`freehold match test`, as somebody uses it who moves a product's traffic onto tasks without touching the product."""

import json
from pathlib import Path
from typing import Any

import pytest

from command import freehold

SORTS = "You sort support messages of a bank.\nAnswer with one word: cards, transfers or other."


def logged(n: int, system: str, model: str = "gpt-5-2025-08-07") -> dict[str, Any]:
    messages = [{"role": "system", "content": system}, {"role": "user", "content": f"question {n}"}]
    choice = {"index": 0, "message": {"role": "assistant", "content": "cards"}, "finish_reason": "stop"}
    created = 1_760_000_000 + n
    return {
        "request": {"model": "gpt-5", "messages": messages},
        "response": {"id": f"r{n}", "model": model, "created": created, "choices": [choice]},
    }


@pytest.fixture
def project(tmp_path: Path) -> Path:
    log = tmp_path / "log.jsonl"
    lines = [*(logged(n, SORTS) for n in range(5)), *(logged(n, "Write a poem.") for n in range(5, 7))]
    log.write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "freehold.toml").write_text("")
    freehold("import", log, "--project", tmp_path)
    return tmp_path


def test_rows_that_are_suggested_and_put_into_the_file_hit_what_they_were_made_from(project: Path) -> None:
    before = freehold("match", "test", "--json", "--project", project).json
    assert (before["calls"], before["unmatched"], [group["calls"] for group in before["groups"]]) == (7, 7, [5, 2])
    shown = freehold("match", "test", "--project", project).out
    assert "7 match nothing and pass through unchanged" in shown and before["groups"][0]["rows"] in shown
    (project / "freehold.toml").write_text(before["groups"][0]["rows"])
    after = freehold("match", "test", "--json", "--project", project).json
    assert ([row["calls"] for row in after["rows"]], after["unmatched"]) == ([5], 2)
    assert "hits nothing" not in freehold("match", "test", "--project", project).out
    assert freehold("match", "test", "--limit", "3", "--json", "--project", project).json["rows"][0]["calls"] == 1
    assert freehold("match", "test", "--since", "2025-10-09T08:53:26Z", "--json", "--project", project).json["calls"] == 1


def test_one_request_is_tried_with_what_the_journal_does_not_keep(project: Path) -> None:
    rows = '[tasks.sort]\n[[match]]\nsystem_prompt = "Else*"\ntask = "sort"\n[[match]]\nmodel = "gpt-*"\nheader = { x-app = "desk/*" }\ntask = "sort"\n'
    (project / "freehold.toml").write_text(rows)
    body = project / "body.json"
    body.write_text(json.dumps({"model": "gpt-5", "max_tokens": 9, "system": SORTS, "messages": []}))
    tried = ("match", "test", "--project", project, "--request", body)
    assert "No row fits" in freehold(*tried).out and "row 2, task sort: header does not fit" in freehold(*tried).out
    found = freehold(*tried, "--header", "X-App: desk/2", "--json").json
    assert (found["task"], found["row"], [row["condition"] for row in found["rows"]]) == ("sort", 2, ["system_prompt", ""])
    (project / "freehold.toml").write_text(f'[tasks.sort]\n[[match]]\nsystem_hash = "{found["system_hash"][:12]}"\ntask = "sort"\n')
    assert "Row 1 fits: task sort." in freehold(*tried).out


def test_a_command_that_cannot_be_followed_says_why(project: Path) -> None:
    assert "the journal keeps neither" in freehold("match", "test", "--header", "a: b", "--project", project, code=2).err
    body = project / "body.json"
    body.write_text("[]")
    assert "no JSON object" in freehold("match", "test", "--request", body, "--project", project, code=2).err
    body.write_text("{}")
    assert "expected 'NAME: VALUE'" in freehold("match", "test", "--request", body, "--header", "x", "--project", project, code=2).err


def test_calls_of_a_task_that_nobody_knows_name_the_nearest(project: Path) -> None:
    assert "There is no task 'sort'. No call has one yet." in freehold("calls", "--task", "sort", "--project", project, code=2).err
    (project / "freehold.toml").write_text("[tasks.sorting]")
    assert "There is no task 'sort'. Did you mean 'sorting'?" in freehold("calls", "--task", "sort", "--project", project, code=2).err
    assert "No such calls." in freehold("calls", "--task", "sorting", "--project", project).out
