"""What a program names by which it could reach beyond its own values."""

import pytest

from freehold.training.programs.plain import beyond

SOME = {"re": {"findall"}, "math": {"log"}}

FINE = """import re
from math import log

def answer(text):
    found = re.findall('[a-z]+', text.lower())
    return {'n': len(found), 'log': log(1 + len(found))}

def desk(text: str) -> Literal['cards', 'loans']:
    return 'cards' if 'card' in text else 'loans'
"""


def test_a_pure_function_is_plain() -> None:
    assert beyond(FINE, SOME) == []


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("import os", "imports os"),
        ("import re, socket", "imports socket"),
        ("from subprocess import run", "imports from subprocess"),
        ("from . import x", "imports from its own package"),
        ("from re import enum", "imports re.enum"),
        ("re.enum.sys.modules['os'].system('ls')", "names re.enum"),
        ("r = re; r.functools", "hands on the module re"),
        ("import re as r; r.functools", "names r.functools"),
        ("match re:\n    case object(enum=found):\n        found", "hands on the module re"),
        ("import importlib.util", "imports importlib.util"),
        ("from math import *", "imports math.*"),
        ("open('/etc/passwd')", "names open"),
        ("eval('1')", "names eval"),
        ("getattr(re, 'en' + 'um')", "names getattr"),
        ("__import__('os')", "names __import__"),
        ("().__class__.__bases__", "names .__class__"),
        ("re._parser.sys", "names ._parser"),
        ("match answer:\n    case object(__globals__=found):\n        found", "names .__globals__"),
        ("answer.ag_frame.f_builtins", "names .ag_frame"),
        ("'{0.__globals__.x}'.format(answer)", "names .format"),
        ("str(license)", "names license"),
        ("type('K', (), {})", "names type"),
        ("match answer:\n    case object(found):\n        found", "matches a class by place"),
        ("def f(text: '__import__(1)'): ...", "has a type in quotes"),
        ("def f(text) -> list['x']: ...", "has a type in quotes"),
        ("x: 'y' = 1", "has a type in quotes"),
        ("def answer(text:", "it is no Python"),
        ("x" * 3 + "(" * 5_000, "it is no Python"),
    ],
)
def test_what_reaches_beyond_is_named(line: str, said: str) -> None:
    assert any(said in one for one in beyond(f"{FINE}{line}\n", SOME))
