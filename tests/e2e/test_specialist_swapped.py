"""A tagger behind the gateway, swapped for another while everybody asks: none of them is refused, and each is answered by one or the other."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
from test_gateway import running

from command import freehold
from data_sets import a_call, journalled
from freehold.config import FILE_NAME
from freehold.project import Project
from freehold.variants import shelf
from freehold.variants.specialist import load
from taught import as_fields, bookings

TOML = """
[providers.recordings]
kind = "recorded"
[models.small]
provider = "recordings"
trains_others = "yes"
[models.frontier]
provider = "recordings"
trains_others = "yes"
[tasks.triage]
reference = "frontier"
allow_uncertified = true
"""
ROWS = bookings(150, 5)
TEXTS = [f"{row[0]} ." for row in ROWS]
POLICY = "task triage\notherwise try {name} accept confidence >= 0 then frontier\n"


def test_one_is_swapped_for_another_and_no_request_is_dropped(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).write_text(TOML)
    here = ("--project", tmp_path)
    with Project.at(tmp_path) as project:
        calls = [
            a_call(n, input=text, output=as_fields(row), item=f"item {n}") for n, (text, row) in enumerate(zip(TEXTS, ROWS, strict=True))
        ]
        journalled(project, calls)
    freehold("dataset", "build", "triage", "--from", "task=triage", *here)
    for name, l2 in (("one", 0.1), ("two", 0.3)):
        freehold("train", "triage", "--method", "tagger", "--name", name, "--set", f"l2={l2}", "--set", "rounds=1", *here)
    with Project.at(tmp_path) as project:  # the second as if it took its time, so that it answers from a process beside the worker
        shelf.add(project.store, msgspec.structs.replace(shelf.find(project.store, "default", "two"), name="three", is_quick=False))
        answerer = load(project.store, shelf.find(project.store, "default", "one"))
        expected = {text: said.output for text, said in zip(TEXTS, answerer.answer(TEXTS), strict=True) if said is not None}
    promote(tmp_path, "one")
    with running(tmp_path, [], TOML) as served:
        said: list[tuple[str, str, Any]] = []
        wrong: list[BaseException] = []
        stop = threading.Event()

        def ask_on(first: int) -> None:
            client = served.openai().with_options(max_retries=0)
            n = first
            while not stop.is_set():
                text = TEXTS[n % len(TEXTS)]
                try:
                    raw = client.chat.completions.with_raw_response.create(
                        model="freehold/triage", messages=[{"role": "user", "content": text}]
                    )
                    said.append((str(raw.headers["x-freehold-variant"]), text, json.loads(str(raw.parse().choices[0].message.content))))
                except BaseException as error:  # noqa: BLE001 it is looked at below
                    wrong.append(error)
                    return
                n += 1
                time.sleep(0.03)  # so that the commands beside it have a core, too

        threads = [threading.Thread(target=ask_on, args=(17 * k,)) for k in range(4)]
        for thread in threads:
            thread.start()
        for name in ("three", "one", "two"):
            count = len(said)
            promote(tmp_path, name)
            until = time.monotonic() + 30
            while not any(by == name for by, _, _ in said[count:]) and time.monotonic() < until and not wrong:
                time.sleep(0.05)
        freehold("specialists", "remove", "three", *here)
        time.sleep(1)
        stop.set()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert {by for by, _, _ in said} == {"one", "two", "three"}
        assert all(answer == expected[text] for by, text, answer in said if by == "one")
        assert said[-1][0] == "two"


def promote(folder: Path, name: str) -> None:
    """Has a policy ask it."""
    (folder / "own.policy").write_text(POLICY.format(name=name))
    hash = freehold("policy", "add", folder / "own.policy", "--json", "--project", folder).json["hash"]
    freehold("promote", "triage", "--policy", hash[:12], "--project", folder)
