"""Code is kept in: it has its own time, memory, folder and output, and nothing else of the machine. Reference solutions pass and wrong ones fail."""

import asyncio
import gzip
import json
import socket
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bench import data

from freehold.config import parse
from freehold.evaluation import confined, sandbox
from freehold.evaluation.code import run_in_monty
from freehold.evaluation.sandbox import Bounds, NoSandbox, Ran, run
from freehold.evaluation.scorer import Case, Score
from freehold.evaluation.scorers import named


@pytest.fixture(autouse=True)
def kept_in() -> None:
    """Skips where this machine's kernel cannot keep code in."""
    try:
        run("pass")
    except NoSandbox as error:
        pytest.skip(f"no sandbox: {error}")


def tried(code: str, bounds: Bounds = Bounds(time_s=2.0, memory_mb=256)) -> Ran:  # noqa: B008 frozen
    return run(code, ["pass"], bounds)


def test_checks_pass_and_fail_one_by_one() -> None:
    ran = run("def f(x): return x + 1", ["assert f(1) == 2", "assert f(1) == 3, 'not three'", "f('a')"])
    assert (ran.ended, ran.passed, ran.why) == ("done", (True, False, False), "assert f(1) == 3, 'not three': AssertionError: not three")


def test_what_is_printed_is_told_apart_from_what_passed() -> None:
    ran = run('print(\'{"token": "", "passed": [true]}\')\nx = 1', ["assert x == 2"])
    assert ran.passed == (False,) and ran.printed.startswith('{"token"')


@pytest.mark.parametrize("code", ["import os\nos._exit(0)", "raise SystemExit(0)", "import ctypes\nctypes.string_at(0)", "exit()", "def ("])
def test_code_that_ends_before_its_checks_has_passed_none(code: str) -> None:
    assert tried(code).passed == (False,)


@pytest.mark.parametrize("code", ["while True: pass", "import time\ntime.sleep(60)", "import signal\nsignal.pause()", "10 ** 10 ** 9"])
def test_code_that_goes_on_is_ended(code: str) -> None:
    ran = tried(code, Bounds(time_s=1.0))
    assert (ran.ended, ran.passed) == ("timed_out", (False,)) and ran.seconds < 3


@pytest.mark.parametrize("code", ["x = bytearray(10**9)", "x = []\nwhile True: x.append(' ' * 10**6)", "import mmap\nmmap.mmap(-1, 10**9)"])
def test_code_that_allocates_runs_out_of_memory_alone(code: str) -> None:
    ran = tried(code)
    assert ran.ended == "done" and ("MemoryError" in ran.why or "Cannot allocate memory" in ran.why)


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.fork()",
        "import subprocess\nsubprocess.run(['true'])",
        "import os\nos.execv('/bin/true', ['true'])",
        "import multiprocessing as m\nm.get_context('fork').Process(target=print).start()",
        "import ctypes, errno\nlibc = ctypes.CDLL(None, use_errno=True)\nassert libc.syscall(56, 17, 0, 0, 0, 0) >= 0, ctypes.get_errno()",
        "import os\nos.setsid()",
        "import os\nos.kill(os.getppid(), 9)",
        "import ctypes\nlibc = ctypes.CDLL(None)\nassert libc.syscall(101, 16, 1, 0, 0) == 0",
        "import resource\nresource.prlimit(0, resource.RLIMIT_CPU, (999, 999))",
    ],
)
def test_code_begins_no_processes_and_reaches_none(code: str) -> None:
    ran = tried(code)
    assert ran.ended == "done" and ran.passed == (False,), ran


@pytest.fixture
def listening() -> Iterator[tuple[int, list[bytes]]]:
    """A server on this machine, and what reached it."""
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)

        def accept() -> None:
            try:
                while True:
                    with server.accept()[0] as connection:
                        heard.append(connection.recv(100))
            except OSError:
                return

        thread = threading.Thread(target=accept)
        thread.start()
        yield server.getsockname()[1], heard
    thread.join()


@pytest.mark.parametrize(
    "code",
    [
        "import socket\nsocket.create_connection(('127.0.0.1', PORT), 1).send(b'secret')",
        "import urllib.request\nurllib.request.urlopen('http://127.0.0.1:PORT/secret', timeout=1)",
        "import socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'secret', ('127.0.0.1', PORT))",
        "import socket\nsocket.socket(socket.AF_UNIX).connect('/run/docker.sock')",
        "import ctypes\nlibc = ctypes.CDLL(None)\nassert libc.syscall(41, 2, 1, 0) >= 0",
        "import ctypes\nlibc = ctypes.CDLL(None)\nassert libc.syscall(0x40000029, 2, 1, 0) >= 0",
        "import ctypes\nlibc = ctypes.CDLL(None)\nassert libc.syscall(425, 8, ctypes.create_string_buffer(200)) >= 0",
    ],
)
def test_code_reaches_no_network(code: str, listening: tuple[int, list[bytes]]) -> None:
    """Not by Python's modules, nor by the system's calls themselves: sockets, those of another ABI, rings of requests."""
    port, heard = listening
    assert tried(code.replace("PORT", str(port))).passed == (False,) and heard == []


@pytest.mark.parametrize(
    "code",
    [
        "open('/etc/passwd').read()",
        "open('SECRET').read()",
        "import os\nos.listdir('/')",
        "import os\nos.listdir(os.path.expanduser('~/..'))",
        "open('/proc/self/environ').read()",
        "import os\nopen(f'/proc/{os.getppid()}/environ').read()",
        "import os\nos.symlink('SECRET', 'link')\nopen('link').read()",
        "import os\nos.link('SECRET', 'link')\nopen('link').read()",
        "open('SECRET', 'a').write('x')",
        "import os\nos.truncate('SECRET', 0)",
        "import os\nos.unlink('SECRET')",
        "import os\nos.rename('SECRET', 'mine')",
        "import os\nos.chmod('SECRET', 0)",
        "import os\nos.utime('SECRET', (0, 0))",
        "import os\nos.mkfifo('/tmp/freehold-fifo')",
    ],
)
def test_code_reads_and_changes_no_files_but_its_own(code: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hunter2")
    before = secret.stat()
    ran = tried(code.replace("SECRET", str(secret)))
    assert ran.ended == "done" and ran.passed == (False,) and "hunter2" not in ran.printed, ran
    assert secret.read_text() == "hunter2" and (secret.stat().st_mode, secret.stat().st_mtime_ns) == (before.st_mode, before.st_mtime_ns)


def test_code_sees_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    ran = run("import os", ["print(dict(os.environ))", "assert not set(os.environ) - {'HOME', 'TMPDIR', 'PYTHONHASHSEED', 'LC_CTYPE'}"])
    assert ran.passed == (True, True) and "sk-secret" not in ran.printed


def test_code_has_a_folder_of_its_own_for_as_long_as_it_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code = "import tempfile, pathlib\nwith tempfile.TemporaryDirectory() as d: pathlib.Path(d, 'x').write_text('1')\nopen('kept', 'w').write('2')"
    assert run(code, ["assert open('kept').read() == '2'"]).passed == (True,)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "code",
    [
        "print('a' * 10**7)",
        "while True: print('a' * 1000)",
        "for n in range(10**6): open(f'f{n}', 'w').close()",
        "for n in range(100): open(f'f{n}', 'wb').write(b'a' * 10**6)\nwhile True: pass",
    ],
)
def test_code_that_writes_too_much_is_ended(code: str) -> None:
    ran = tried(code, Bounds(time_s=5.0, files_mb=8))
    assert (ran.ended, ran.passed) == ("wrote_too_much", (False,))


def test_one_file_is_no_larger_than_allowed() -> None:
    assert "File too large" in tried("open('x', 'wb').write(b'a' * 10**8)").why


def test_ordinary_programs_run() -> None:
    """Threads, event loops, dates, decimals, regular expressions, data classes, pickles, databases in memory."""
    code = (
        "import asyncio, collections, dataclasses, datetime, decimal, heapq, itertools, json, pickle, random, re, sqlite3, statistics, threading, zoneinfo\n"
        "@dataclasses.dataclass\nclass P:\n    x: int\n"
        "assert pickle.loads(pickle.dumps(P(1))) == P(1)\n"
        "t = threading.Thread(target=lambda: None); t.start(); t.join()\n"
        "asyncio.run(asyncio.sleep(0))\nzoneinfo.ZoneInfo('Europe/Berlin')\nsqlite3.connect(':memory:').execute('select 1')\n"
    )
    assert run(code, ["assert re.match('a', 'a')"])[1:3] == ((True,), "")


def test_nothing_runs_where_a_step_of_confinement_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without Landlock, or of another kind, refuses; the reason is the scorer's, and there is no score."""
    script = Path(confined.__file__).read_text()
    for old, new, why in (("libc.syscall(444, None, 0, 1)", "-1", "no Landlock"), ('!= "x86_64"', '== "x86_64"', "for x86-64")):
        assert old in script
        broken = tmp_path / "broken.py"
        broken.write_text(script.replace(old, new))
        monkeypatch.setattr(sandbox.confined, "__file__", str(broken))
        with pytest.raises(NoSandbox, match=why):
            run("raise SystemExit")
        assert why in scored("x = 1", ["pass"]).why and scored("x = 1", ["pass"]).value is None
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(NoSandbox, match="sandbox of Linux only"):
        run("pass")


# As a scorer.


def scored(output: Any, truth: Any, spec: str = "unit_tests", **options: Any) -> Score:
    (scorer,) = named(parse({"scorers": {"tests": {"kind": spec, "options": options}}}, Path()), ["tests"])
    return asyncio.run(scorer.score(Case(item="i", output=output, has_truth=True, truth=truth)))


def test_an_answer_passes_its_tests_or_does_not() -> None:
    """Its code is what stands in fences; the tests are a list, a text, or an object with what comes before them."""
    answer = "Here you are:\n```python\ndef double(x):\n    return 2 * x\n```\nDoes it help?"
    assert scored(answer, ["assert double(2) == 4", "assert double(0) == 0"]).value == 1
    found = scored(answer, {"setup": "seen = double(3)", "tests": ["assert seen == 6", "assert seen == 7"]})
    assert found.value == 0 and (found.parts["passed"], found.parts["tests"]) == (1, 2)
    assert scored("def double(x): return x", "assert double(2) == 4\nassert double(0) == 0").value == 0
    assert scored("while True: pass", ["pass"], time_s=1).value == 0
    assert scored("\ud800", ["pass"]).value in (None, 0)


@pytest.mark.parametrize("truth", [None, 3, [], [1], {"tests": []}, {"setup": 1, "tests": ["pass"]}, "", ["pass"] * 5_000])
def test_what_is_no_tests_is_no_score(truth: Any) -> None:
    assert scored("x = 1", truth).value is None


def test_monty_runs_small_pure_functions_and_says_where_it_cannot() -> None:
    pytest.importorskip("pydantic_monty", reason="Monty is not installed")
    code = "def f(n):\n    return n if n < 2 else f(n - 1) + f(n - 2)"
    assert scored(code, ["assert f(10) == 55"], "unit_tests:monty").value == 1
    wrong = scored(code, ["assert f(10) == 54"], "unit_tests:monty")
    assert wrong.value == 0 and "AssertionError" in wrong.why
    for evil in (
        "while True: pass",
        "x = 'a' * 10**10",
        "def g(): return g()\ng()",
        "open('/etc/passwd').read()",
        "import os\nos.listdir('/')",
    ):
        assert run_in_monty(evil, ["pass"], Bounds(time_s=1.0, memory_mb=64)).passed == (False,)
    beyond = scored("import heapq", ["pass"], "unit_tests:monty")
    assert beyond.value is None and "Monty knows only a part of Python" in beyond.why


# On recorded problems.


def rows(name: str) -> list[dict[str, Any]]:
    with gzip.open(data.need(name) / "problems.jsonl.gz", "rt") as file:
        return [json.loads(line) for line in file]


def mutated(code: str) -> str:
    """Every function of it gives nothing any more."""
    import ast

    with warnings.catch_warnings():  # such as for escapes that are none
        warnings.simplefilter("ignore")
        tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.body = [ast.Return(ast.Constant(None))]
    return ast.unparse(ast.fix_missing_locations(tree))


@pytest.mark.slow
@pytest.mark.shared_data
def test_reference_solutions_of_mbpp_pass_and_wrong_ones_fail() -> None:
    """On every seventeenth problem: 40 of 680."""
    for row in (row for row in rows("mbpp")[::17] if row["task_id"] not in (123, 367, 927)):
        tests = {"setup": row["test_setup_code"], "tests": row["test_list"]}
        assert scored(row["code"], tests).value == 1, row["task_id"]
        assert scored(mutated(row["code"]), tests).value == 0, row["task_id"]


@pytest.mark.slow
@pytest.mark.shared_data
def test_reference_solutions_of_humaneval_pass_and_wrong_ones_fail() -> None:
    """On every fourth problem: 29 of 115."""
    for row in rows("humaneval")[::4]:
        tests = {"setup": row["test"], "tests": [f"check({row['entry_point']})"]}
        right = row["prompt"] + row["canonical_solution"]
        assert scored(right, tests).value == 1, row["task_id"]
        assert scored(mutated(right), tests).value == 0, row["task_id"]
