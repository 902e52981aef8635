"""A page's blocks of code, run as they stand there: Python as one program, commands in a shell, in a project before a scripted provider.

A line of Python that ends with `# -> VALUE` has to give what is written so; one that ends with `# raises ERROR` has to raise that.
"""

import ast
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from upstream import Said, event, events, openai_answer, whole

DOCS = Path(__file__).parents[1] / "docs"
PROJECT = """\
[providers.one]
kind = "openai"
base_url = "{url}"
[models.frontier]
provider = "one"
price = {{ input_per_mtok = 1.25, output_per_mtok = 10.0 }}
[models.cheap]
provider = "one"
price = {{ input_per_mtok = 0.1, output_per_mtok = 0.4 }}
"""
"""The models that pages speak of. `frontier` costs 325 millionths of a dollar here whatever is asked, `cheap` 18."""
_RUN = """\
import ast, asyncio, inspect, pathlib, sys, types

def same(value, said):
    assert repr(value) == said, f"the page says {said}, and it is {value!r}"

module = types.ModuleType("desk")
sys.modules["desk"] = module
vars(module).update(__file__="desk.py", _same=same)
import freehold
with freehold.use("."):
    path = sys.argv[1]
    code = compile(pathlib.Path(path).read_text(), path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    done = eval(code, vars(module))
    if inspect.iscoroutine(done):
        asyncio.run(done)
"""
_FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_GIVES = re.compile(r"^(\s*)(?:(\w+) = )?(.+?)  +# -> (.+)$")
_RAISES = re.compile(r"^(\s*)(.+?)  +# raises (\w+)$")


class Block(NamedTuple):
    """A block of code."""

    language: str
    name: str
    """The file it is, where the page says so."""
    text: str


def blocks(page: str) -> list[Block]:
    """The blocks of a page in `docs`."""
    return [Block(*found.groups(default="")) for found in _FENCE.finditer((DOCS / page).read_text(encoding="utf-8"))]


def program_of(page: str) -> str:
    """The page's Python, with what it says of values checked."""
    return "\n".join(_checked(line) for block in blocks(page) if block.language == "python" for line in block.text.splitlines()) + "\n"


def _checked(line: str) -> str:
    if found := _GIVES.match(line):
        indent, name, value, said = found.groups()
        return f"{indent}{name} = {value}; _same({name}, {said!r})" if name else f"{indent}_same(({value}), {said!r})"
    if found := _RAISES.match(line):
        indent, value, error = found.groups()
        tried = f"{indent}try:\n{indent}    {value}\n{indent}except Exception as _error:\n"
        tried += f"{indent}    assert {error!r} in [kind.__name__ for kind in type(_error).__mro__], repr(_error)\n"
        return f"{tried}{indent}else:\n{indent}    raise AssertionError('it raised nothing')"
    return line


def in_project(folder: Path, url: str, page: str) -> None:
    """Makes a project in a folder, with the files that a page shows."""
    shown = "".join(block.text for block in blocks(page) if block.language == "toml")
    (folder / "freehold.toml").write_text(PROJECT.format(url=url) + shown)
    for block in blocks(page):
        if block.name and "=" not in block.name:
            (folder / block.name).write_text(block.text)


def run_program(folder: Path, page: str) -> None:
    """Runs the page's Python."""
    (folder / "page.py").write_text(program_of(page))
    command = [sys.executable, "-W", "error", "-c", _RUN, str(folder / "page.py")]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr


def run_command(line: str, folder: Path, code: int = 0) -> str:
    """Runs a line in a shell that finds this environment's programs, and gives what it printed."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "COLUMNS": "200"}
    done = subprocess.run(["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == code, f"{line}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def answering(answers: Mapping[str, Callable[[str], Any]]) -> Callable[[Said], Iterator[bytes]]:
    """A model that answers each task by a function of the question's words. A task is known by how its system prompt begins."""

    def answer(said: Said) -> Iterator[bytes]:
        messages = said.body["messages"]
        content = messages[-1]["content"]
        words = content if isinstance(content, str) else " ".join(part.get("text", "[media]") for part in content)
        value = next(give for begins, give in answers.items() if messages[0]["content"].startswith(begins))(words)
        text = value if isinstance(value, str) else json.dumps(value)
        body = openai_answer(said.body["model"])
        body["choices"][0]["message"]["content"] = text
        if not said.body.get("stream"):
            return whole(body)
        about = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        pieces = [text[n : n + 6] for n in range(0, len(text), 6)]
        told = [event({**about, "choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": None}]}) for piece in pieces]
        end = event({**about, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        return events(*told, end, event({**about, "choices": [], "usage": body["usage"]}), b"data: [DONE]\n\n")

    return answer


def is_python(text: str) -> bool:
    """Whether it can be read as Python."""
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True
