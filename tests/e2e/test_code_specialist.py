"""Programs as specialists, by the commands and over HTTP: learnt as a list, written by a model, changed by hand, released."""

from pathlib import Path
from typing import Any

import pytest
from test_gateway import running

from command import freehold
from data_sets import a_call, journalled
from freehold.config import FILE_NAME
from freehold.journal import read
from freehold.project import Project
from freehold.variants import shelf
from freehold.variants.code import SOURCE
from taught import messages
from upstream import Said, openai_answer, says, upstream

TOML = """
[data]
licence = "CC-BY-4.0"
consent = "terms"
[providers.one]
kind = "openai"
base_url = "{url}"
trains_others = "yes"
[models.frontier]
provider = "one"
name = "gpt-x"
[models.writer]
provider = "one"
name = "writer-x"
price = { input_per_mtok = 1.0, output_per_mtok = 2.0 }
[tasks.triage]
reference = "frontier"
instruction = "Say which desk."
allow_uncertified = true
"""
WRONG = "```python\ndef answer(text):\n    return 'cards'\n```"
GOOD = "```python\ndef answer(text):\n    if 'card' in text:\n        return 'cards'\n    return 'loans' if 'loan' in text or 'borrow' in text else None\n```"


def writes(said: Said) -> str:
    """Nothing but 'cards' at first; when it is shown what that gets wrong, a program that is right."""
    if said.body["model"] != "writer-x":
        return "asked elsewhere"
    return GOOD if "counterexamples" in said.body["messages"][-1]["content"] else WRONG


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / FILE_NAME).write_text(TOML.replace("{url}", "http://127.0.0.1:9"))
    with Project.at(tmp_path) as project:
        journalled(
            project,
            [a_call(n, variant="frontier", input=text, output=desk, item=f"item {n}") for n, (text, desk) in enumerate(messages(400, 3))],
        )
    freehold("dataset", "build", "triage", "--from", "task=triage", "--train", "0.5", "--calibrate", "0.3", "--project", tmp_path)
    return tmp_path


def asked(served: Any, text: str) -> tuple[str, str]:
    raw = served.openai().chat.completions.with_raw_response.create(model="freehold/triage", messages=[{"role": "user", "content": text}])
    return str(raw.headers["x-freehold-variant"]), str(raw.parse().choices[0].message.content)


def promote(folder: Path, name: str) -> None:
    (folder / "own.policy").write_text(f"task triage\notherwise try {name} accept confidence >= 0.8 then frontier\n")
    hash = freehold("policy", "add", folder / "own.policy", "--json", "--project", folder).json["hash"]
    freehold("promote", "triage", "--policy", hash[:12], "--project", folder)


def test_a_list_is_learnt_read_changed_served_and_released(home: Path, tmp_path: Path) -> None:
    here = ("--project", home)
    card = freehold("train", "triage", "--method", "code", "--name", "list", "--json", *here).json
    assert (card["format"], card["is_quick"], card["training_usd"]) == ("code", True, 0)
    assert card["tested"]["answered"] > 0.8 and card["tested"]["us_per_row"] < 1_000
    source = freehold("specialists", "show", "list", "--source", *here).out
    assert "RULES = [" in source and "def answer(text):" in source
    (home / "new.py").write_text(source.replace("RULES = [", "RULES = [\n    ('complaints', ['very angry'], [], 0.95),"))
    changed = freehold("specialists", "edit", "list", "--file", home / "new.py", "--name", "mine", "--json", *here).json
    assert changed["made"]["edited from"] == card["label"] and changed["tested"]["answered"] == card["tested"]["answered"]
    assert "+    ('complaints', ['very angry'], [], 0.95)," in freehold("specialists", "diff", "list", "mine", *here).out
    assert "same program" in freehold("specialists", "diff", "list", "list", *here).out
    (home / "new.py").write_text("def answer(text:\n")
    refused = freehold("specialists", "edit", "list", "--file", home / "new.py", *here, code=2)
    assert "The program cannot be run" in refused.err
    freehold("release", "mine", "--level", "full", "--out", home / "out", *here)
    assert freehold("specialists", "add", home / "out", "--name", "taken", "--json", *here).json["format"] == "code"
    promote(home, "taken")
    with running(home, [], TOML) as served:
        served.provider.answer = says("asked elsewhere")
        assert asked(served, "I am very angry") == ("taken", "complaints")
        assert asked(served, "hello, I want a loan") == ("taken", "loans")
        assert asked(served, "good day") == ("frontier", "asked elsewhere")


def test_a_program_that_was_tampered_with_is_not_run(home: Path) -> None:
    here = ("--project", home)
    freehold("train", "triage", "--method", "code", "--name", "list", *here)
    with Project.at(home) as project:
        (file,) = (one for one in shelf.find(project.store, "default", "list").files if one.name == SOURCE)
        path = project.store.blobs.path(file.blob)
    path.write_bytes(path.read_bytes().replace(b"RULES = [", b"RULES = [ "))
    promote(home, "list")
    assert "is damaged" in freehold("specialists", "show", "list", "--source", *here, code=None).err
    with running(home, [], TOML) as served:
        served.provider.answer = says("asked elsewhere")
        assert asked(served, "hello, I want a loan") == ("frontier", "asked elsewhere")


def test_a_model_writes_one_which_is_mended_and_answers_beside_the_worker(home: Path) -> None:
    here = ("--project", home)
    with upstream() as provider:
        provider.answer = says(writes)
        toml = TOML
        (home / FILE_NAME).write_text(toml.replace("{url}", provider.url))
        settings = ("--set", "model=writer", "--set", "rounds=3")
        estimate = freehold("train", "triage", "--method", "code", *settings, "--dry-run", "--json", *here).json["estimate"]
        assert 0.01 < estimate["usd"] < 0.1 and [one["questions"] for one in estimate["asks"]] == [1, 2]
        card = freehold("train", "triage", "--method", "code", *settings, "--name", "own", "--json", *here).json
        assert [one["right"] == one["answered"] for one in card["made"]["rounds"]] == [False, True]
        assert (card["is_quick"], card["format"]) == (False, "code")
        usage = openai_answer("writer-x")["usage"]
        assert card["training_usd"] == pytest.approx(2 * (usage["prompt_tokens"] + 2 * usage["completion_tokens"]) / 1e6, rel=0.6)
        with Project.at(home) as project:
            assert len([*read.calls(project.store, "default", "train:triage")]) == 2
        spent = freehold("train", "triage", "--method", "code", *settings, "--budget-usd", "0", *here, code=None)
        assert "budget of 0 USD is spent" in spent.err
    promote(home, "own")
    with running(home, [], toml) as served:
        served.provider.answer = says("asked elsewhere")
        assert asked(served, "hello, I want a loan") == ("own", "loans")
        assert asked(served, "good day") == ("frontier", "asked elsewhere")
        assert asked(served, "my card") == ("own", "cards")
