"""The method `code`: a decision list without a model, and what a model writes, mended by counterexamples and kept in."""

import random
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from freehold.catalog import Sampling, Task
from freehold.chat import JSON
from freehold.errors import TrainingError
from freehold.training.asking import Heard, Turns
from freehold.training.lesson import NO_ROWS, Part, lesson_of, plain
from freehold.training.method import Job, Made, method_of, options_of
from freehold.training.programs.induce import induced, kept
from freehold.training.programs.written import code_in
from freehold.training.run import Run
from freehold.variants.card import Plan
from freehold.variants.code import SOURCE, Program, Stopped, load, sandboxed
from freehold.variants.decisions import DecisionList, Rule, Votes, read, written
from taught import TOPICS, messages

DESKS = {**TOPICS, "travel": ["going abroad", "euros", "foreign fee"]}


def asked(count: int, seed: int, noise: float = 0.0) -> Part:
    rng = random.Random(seed)
    rows = messages(count, seed, DESKS, vague=0.3)
    return plain([text for text, _ in rows], [desk if rng.random() >= noise else rng.choice(sorted(DESKS)) for _, desk in rows])


class Scripted:
    """As of `Models`: says one thing after the other, and keeps what it was asked."""

    cost_usd = 0.01

    def __init__(self, *said: str) -> None:
        self.said = list(said)
        self.asked: list[Turns] = []

    def ask(self, model: str, conversations: Sequence[Turns], sampling: Sampling) -> list[Heard]:
        self.asked += conversations
        return [Heard(self.said.pop(0) if self.said else None, "it is done") for _ in conversations]


def made(folder: Path, train: Part, calibrate: Part, models: Any = None, **said: JSON) -> Made:
    method = method_of("code")
    plan = Plan(task="desk", method="code", dataset="d@0", options=said, code="0")
    job = Job(Task(id="desk", instruction="Say which desk."), plan, lesson_of(train, calibrate, NO_ROWS), models=models)
    return method.train(job, options_of(method, said), Run(folder, plan.digest))


def test_a_list_answers_what_it_knows_and_nothing_else(tmp_path: Path) -> None:
    done = made(tmp_path, asked(600, 1), asked(300, 2))
    source = done.files[SOURCE].decode()
    assert source.count("\n") < 80
    answerer = load(done.files)
    assert isinstance(answerer, DecisionList) and answerer.is_quick
    test = asked(500, 3)
    said = answerer.answer(test.texts)
    right = [one.output == answer for one, answer in zip(said, test.answers, strict=True) if one is not None]
    assert len(right) > 0.5 * len(test)
    assert sum(right) >= 0.97 * len(right)
    assert answerer.answer(["we talked of nothing at all", ""]) == [None, None]
    assert made(tmp_path / "again", asked(600, 1), asked(300, 2)).files == done.files


def test_what_is_read_as_data_is_what_the_program_itself_does(tmp_path: Path) -> None:
    source = made(tmp_path, asked(400, 1), asked(200, 2)).files[SOURCE].decode()
    here = read(source)
    assert here is not None
    program = Program(source)
    rng = random.Random(4)
    odd = ["".join(rng.choices("abcßéİ²_- \n\t٣?!'.^$", k=40)) + rng.choice(["", "lost card", "LOST CARD?"]) for _ in range(200)]
    texts = [*asked(100, 5).texts, *odd, "x" * 5_000 + " lost card"]
    assert [None if one is None else one.output for one in here.answer(texts)] == program.outputs(texts)
    program.close()


@pytest.mark.parametrize(
    "change",
    [
        ("return None", "return open('/etc/passwd').read()"),
        ("def answer(text):", "import os\n\n\ndef answer(text):"),
        ("RULES = [", "RULES = [\n    (__import__('os').getcwd(), ['a'], [], 1.0),"),
        ("RULES = [", "RULES = [\n    ('x', [], [], 1.0),"),
        ("RULES = [", "RULES = [\n    ('x', ['a'], [], 1.5),"),
        ("text.lower()", "text.upper()"),
    ],
)
def test_what_is_no_table_in_our_frame_is_not_read_as_one(tmp_path: Path, change: tuple[str, str]) -> None:
    source = made(tmp_path, asked(300, 1), asked(150, 2)).files[SOURCE].decode()
    assert read(source) is not None
    assert read(source.replace(*change)) is None


def test_words_are_counted_alike_as_data_and_as_a_program() -> None:
    votes = Votes(
        2, 2, 0.9, tuple((desk, tuple(sorted({word for one in said for word in one.split()}))) for desk, said in DESKS.items()), "9 of 10"
    )
    source = written([Rule("fraud", ("^ fraud",), (), 0.99)], "Two tables.", votes)
    here = read(source)
    assert here is not None and here.votes == votes._replace(note="") and here.votes.sure == 0.9
    program = Program(source)
    texts = [*asked(200, 5).texts, "fraud lost card", "a a a lost", "", "card euros lost stolen", "lost card stolen"]
    said = here.answer(texts)
    assert [None if one is None else one.output for one in said] == program.outputs(texts)
    assert {"fraud", "cards", "loans", "travel"} == {str(one.output) for one in said if one is not None}
    program.close()
    assert read(source.replace("VOTES = (2, 2,", "VOTES = (2, 0,")) is None
    assert read(source.replace("'borrow'", "'borrow money'")) is None


def test_a_table_that_people_changed_is_read_on(tmp_path: Path) -> None:
    source = made(tmp_path, asked(300, 1), asked(150, 2)).files[SOURCE].decode()
    changed = read(source.replace("RULES = [", "RULES = [\n    ('complaints', ['very angry'], ['not very angry'], 0.9),  # ours"))
    assert changed is not None
    (first, second) = changed.answer(["I am very angry about a loan", "I am not very angry, I lost a loan"])
    assert first is not None and (first.output, first.confidence) == ("complaints", 0.9)
    assert second is not None and second.output == "loans"


def test_a_list_that_would_be_wrong_too_often_is_none(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"No list of rules was found that is right 98% of the time.*--set precision=0.9"):
        made(tmp_path, asked(300, 1, noise=0.6), asked(150, 2, noise=0.6))


def test_expected_precision_holds_on_rows_that_nothing_was_chosen_by() -> None:
    """Over draws with labels of which one in twenty is wrong at random: the mean share that is right is what was expected."""
    right = answered = 0
    expected = 0.0
    for seed in range(3):
        rules = kept(induced(asked(400, 10 + seed, noise=0.05), 0.9, 30, seed), asked(200, 20 + seed, noise=0.05), 0.9)
        test = asked(400, 30 + seed, noise=0.05)
        for one, answer in zip(DecisionList(rules, 0).answer(test.texts), test.answers, strict=True):
            if one is not None:
                answered, right, expected = answered + 1, right + (one.output == answer), expected + one.confidence
    assert answered > 300
    assert abs(right - expected) / answered < 0.02
    assert right >= 0.9 * answered


WRONG = "```python\ndef answer(text):\n    return 'cards' if 'card' in text else 'loans'\n```"
GOOD = """I see. Here:
```python
import re

def answer(text):
    found = [desk for desk, word in (("cards", "card"), ("loans", "loan|borrow"), ("travel", "abroad|euros|foreign")) if re.search(word, text)]
    return found[0] if len(found) == 1 else None
```
It returns None where it does not know."""


def test_a_wrong_program_is_mended_by_its_counterexamples(tmp_path: Path) -> None:
    models = Scripted(WRONG, GOOD)
    done = made(tmp_path, asked(200, 1), asked(100, 2), models, model="writer", rounds=2)
    first, second = models.asked
    assert "def answer(text)" in first[0]["content"] and '"cards", "loans", "travel"' in first[0]["content"]
    assert 'but it returned "loans"' in second[-1]["content"]
    rounds: Any = done.about["rounds"]
    assert rounds[0]["right"] < rounds[0]["answered"] and rounds[1]["right"] == rounds[1]["answered"] > 100
    answerer = load(done.files)
    assert isinstance(answerer, Program) and not answerer.is_quick
    said = answerer.answer(["I lost my card", "a loan for a card", "good day"])
    assert [None if one is None else one.output for one in said] == ["cards", None, None]
    assert said[0] is not None and 0.95 < said[0].confidence < 1
    answerer.close()


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("while True:\n        pass", "time limit"),
        ("x = 'a' * 1000\n    while True:\n        x = x + x", "limit"),
        ("import socket\n    return socket.gethostname()", "No module named 'socket'"),
        ("return open('/etc/passwd').read()", "ermission"),
        ("import os\n    return os.listdir('/')", "ermission"),
        ("return answer(text)", "recursion"),
        ("return text[10_000]", "IndexError"),
        ("return {1, 2}", "no JSON value"),
    ],
)
def test_a_program_that_does_what_it_must_not_is_stopped_and_told_why(tmp_path: Path, body: str, why: str) -> None:
    models = Scripted(f"```python\ndef answer(text):\n    {body}\n```", GOOD)
    done = made(tmp_path, asked(60, 1), asked(80, 2), models, model="writer", rounds=2)
    assert "but it failed: " in models.asked[1][-1]["content"]
    assert why in models.asked[1][-1]["content"]
    assert "import re" in done.files[SOURCE].decode()


def test_no_program_is_taken_that_is_wrong_too_often(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"No program was taken: the best of 2 answered 100 of 100 calibration rows.*98% have to be"):
        made(tmp_path, asked(100, 1), asked(100, 2), Scripted(WRONG, "no program at all"), model="writer", rounds=2)
    with pytest.raises(
        TrainingError, match=r"No program was taken.* can be expected of it, and 98% have to be"
    ):  # all are right: too few to say
        made(tmp_path, asked(100, 1), asked(50, 4), Scripted(GOOD), model="writer", rounds=1)
    with pytest.raises(TrainingError, match=r"at 98.0% on at least 48 rows, and it has 20"):
        made(tmp_path, asked(100, 1), asked(20, 4), Scripted(GOOD), model="writer", rounds=1)
    with pytest.raises(TrainingError, match="'writer' wrote no program: it is done"):
        made(tmp_path, asked(100, 1), asked(100, 2), Scripted(), model="writer")
    with pytest.raises(TrainingError, match="and it has 0. Build a data set with more"):
        made(tmp_path, asked(100, 1), NO_ROWS, Scripted(GOOD), model="writer")


def test_what_cannot_be_learnt_from_says_so(tmp_path: Path) -> None:
    one = plain(["lost card", "card stolen", "freeze my card"] * 10, ["cards"] * 30)
    contradicting = plain(["lost card"] * 30, ["cards", "loans"] * 15)
    with pytest.raises(TrainingError, match="no rows|nothing to learn"):
        made(tmp_path, NO_ROWS, NO_ROWS)
    for part in (one, contradicting):
        with pytest.raises(TrainingError):
            made(tmp_path, part, part)


def test_the_program_is_the_longest_block_or_all_that_was_said() -> None:
    assert code_in("a\n```python\nx = 1\n```\nb\n```py\ny = 2\nz = 3\n```") == "y = 2\nz = 3\n"
    assert code_in("def answer(text): ...") == "def answer(text): ...\n"


def test_nothing_of_one_text_reaches_the_next() -> None:
    program = Program("seen = []\n\ndef answer(text):\n    seen.append(text)\n    return seen[0] if len(seen) == 1 else 'seen before'\n")
    assert program.outputs(["one", "two"]) == ["one", "two"]
    assert program.outputs(["three"]) == ["three"]
    program.close()


def test_a_function_of_source_is_asked_from_threads() -> None:
    answer = sandboxed("def answer(text):\n    return len(text) if text else None\n")
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(answer, ["a" * n for n in range(1, 30)])) == list(range(1, 30))
    assert answer("") is None
    with pytest.raises(Stopped, match="ZeroDivisionError"):
        sandboxed("def answer(text):\n    return 1 // 0\n")("x")


FORKS = """
import os
from freehold import sandboxed
answer = sandboxed("def answer(text): return len(text)")
if os.fork() == 0:
    print(answer("four"), flush=True)
    os._exit(0)
os.wait()
print(answer("three"))
"""


def test_a_file_with_one_is_imported_before_workers_are_forked() -> None:
    ran = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == "4\n5\n"


def test_what_is_no_number_is_no_answer() -> None:
    program = Program("def answer(text):\n    return float(text)\n")
    said = program.outputs(["nan", "inf", "1.5"])
    assert [isinstance(one, Stopped) for one in said] == [True, True, False] and said[2] == 1.5
    program.close()
