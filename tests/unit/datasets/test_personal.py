"""What finds personal data in rows."""

from importlib.util import find_spec

import pytest
from tests.data_sets import NOON

from freehold.datasets.example import Example
from freehold.datasets.personal import finder_of, replace_personal
from freehold.errors import OperatorError


def an_example(**fields: object) -> Example:
    plain = {
        "id": "0" * 32, "kind": "calls", "task": "triage", "item": "i", "group": None, "input": "plain", "output": "cards", "variant": "small",
        "calls": ("c",), "writer": "ours", "trains": "yes", "source": "import", "at_us": int(NOON.timestamp() * 1e6),
    }  # fmt: skip
    return Example(**plain | fields)  # type: ignore[arg-type]


def test_every_text_of_a_row_is_looked_at() -> None:
    mail = "ann@example.com"
    told = [{"role": "user", "content": [{"type": "text", "text": f"from {mail}"}]}]
    found = replace_personal(an_example(input=told, output={"to": mail}, rejected=mail, tags={"from": mail}))
    assert found.found == {"EMAIL": 4}
    assert mail not in str(found.example)
    assert found.example.input == [{"role": "user", "content": [{"type": "text", "text": "from [EMAIL]"}]}]


def test_what_stands_at_the_end_of_one_text_and_the_beginning_of_the_next_is_nothing() -> None:
    plain = an_example(input=["+49 170", "1234567"], output="4111 1111 1111", tags={"1111": "x"})
    assert replace_personal(plain).example is plain


def test_placeholders_that_were_there_are_not_counted_again() -> None:
    assert replace_personal(an_example(input="[EMAIL] wrote, and so did bob@example.com")).found == {"EMAIL": 1}


def test_another_finder_is_asked_beside_the_patterns() -> None:
    found = replace_personal(an_example(input="Ann wrote from ann@example.com"), lambda text: text.replace("Ann", "[NAME]"))
    assert found.example.input == "[NAME] wrote from [EMAIL]"
    assert found.found == {"NAME": 1, "EMAIL": 1}


@pytest.mark.skipif(find_spec("presidio_analyzer") is not None, reason="Presidio is installed")
def test_without_presidio_it_is_said_how_to_get_it() -> None:
    assert finder_of("patterns") is None
    with pytest.raises(OperatorError, match=r"pip install 'freehold\[presidio\]'"):
        finder_of("presidio")
