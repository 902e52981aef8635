"""The reference page of the policy language says all there is, and what it shows is true."""

import re
from pathlib import Path

import pytest

from freehold.errors import PolicyError
from freehold.routing.check import Scope, check
from freehold.routing.decide import compile_program, variants_used
from freehold.routing.features import SURFACE_DOC
from freehold.routing.names import ANSWER, CALL, SCORES, TAG, Name
from freehold.routing.program import MAX_BYTES, MAX_DEPTH, MAX_RULES, parse
from freehold.routing.syntax import COMPARATORS, is_fact_name
from freehold.routing.tokens import KEYWORDS

PAGE = (Path(__file__).parents[2] / "docs" / "policy-language.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```policy\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
GRAMMAR = re.search(r"^```ebnf\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
NONSENSE = re.findall(r"^\| `(task [^`]*)` \| (line .*?) \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("source", EXAMPLES)
def test_every_example_parses_fits_its_task_and_compiles(source: str) -> None:
    program = parse(source)
    variants = variants_used(program)
    check(program, Scope(program.task, variants, variants[-1]))
    compile_program(program)


def test_the_example_of_the_design_comes_first() -> None:
    assert len(EXAMPLES) >= 3
    assert parse(EXAMPLES[0]).task == "triage"


@pytest.mark.parametrize("word", [*KEYWORDS, *COMPARATORS, "(", ")", ",", "tag."])
def test_every_keyword_and_sign_stands_in_the_grammar(word: str) -> None:
    assert GRAMMAR is not None and f'"{word}"' in GRAMMAR.group(1)


NAMES = CALL | {"tag.<name>": TAG} | {str(name): said for name, said in SCORES.items()} | ANSWER


@pytest.mark.parametrize(("name", "said"), NAMES.items())
def test_every_name_is_documented_with_its_type_and_meaning(name: str, said: Name) -> None:
    assert f"| `{name}` | {said.kind} | {said.meaning} |" in PAGE


@pytest.mark.parametrize(("name", "meaning"), SURFACE_DOC.items())
def test_every_surface_feature_is_documented_and_can_be_written(name: str, meaning: str) -> None:
    assert re.search(f"^{name} +{re.escape(meaning)}$", PAGE, re.MULTILINE)
    assert is_fact_name(name) and name not in NAMES


@pytest.mark.parametrize(("source", "message"), NONSENSE)
def test_nonsense_is_told_what_the_page_says(source: str, message: str) -> None:
    with pytest.raises(PolicyError) as caught:
        parse(source)
    assert str(caught.value) == message


def test_the_limits_are_those_of_the_page() -> None:
    assert NONSENSE
    assert f"At most {MAX_BYTES // 1024} KiB, {MAX_RULES:,} rules, and {MAX_DEPTH} levels" in PAGE
