"""Any value of any model is read back from its JSON, however sloppily that is written; any words are read or refused."""

import json
import re
from contextlib import suppress
from typing import Any, Literal, Optional

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, create_model

from freehold.pipelines.parse import Malformed, parse, partial

# No deadline: a busy machine is no failure.
few = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Fences and the private character that parse appends to broken texts have a meaning of their own there.
texts = st.text(st.characters(codec="utf-8", exclude_characters="`~\ue000"), max_size=20)
leaves: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, texts),
    (int, st.integers(-(10**12), 10**12)),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (bool, st.booleans()),
    (Literal["cards", "transfers", "a third"], st.sampled_from(["cards", "transfers", "a third"])),
    (Optional[str], st.none() | texts),  # noqa: UP045
]
names = st.lists(st.from_regex(r"[a-z]{1,6}_[a-z]{1,3}", fullmatch=True), min_size=1, max_size=4, unique=True)


@st.composite
def typed(draw: st.DrawFn, depth: int = 2) -> tuple[Any, Any]:
    """A type, and a value of it as JSON holds it."""
    form = draw(st.sampled_from(["leaf", "leaf", "list", "model"] if depth else ["leaf"]))
    if form == "leaf":
        kind, values = draw(st.sampled_from(leaves))
        return kind, draw(values)
    if form == "list":
        kind, values = draw(st.sampled_from(leaves))
        return list[kind], draw(st.lists(values, max_size=3))
    return draw(models(depth - 1))


@st.composite
def models(draw: st.DrawFn, depth: int = 2) -> tuple[type[BaseModel], dict[str, Any]]:
    """A model, and a value of it."""
    fields = {name: draw(typed(depth)) for name in draw(names)}
    model = create_model("Made", **{name: (kind, ...) for name, (kind, _) in fields.items()})  # type: ignore[call-overload]
    return model, {name: value for name, (_, value) in fields.items()}


def single_quoted(value: Any) -> str:
    """As Python writes it: single quotes, True, None."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"'{key}': {single_quoted(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(single_quoted, value)) + "]"
    if isinstance(value, str):
        return "'" + json.dumps(value, ensure_ascii=False)[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"
    return repr(value)


def with_commas(value: Any) -> str:
    """With a comma after every last member."""
    if isinstance(value, dict) and value:
        return "{" + "".join(f"{json.dumps(key)}: {with_commas(one)},\n" for key, one in value.items()) + "}"
    if isinstance(value, list) and value:
        return "[" + "".join(f"{with_commas(one)}," for one in value) + "]"
    return json.dumps(value)


MANGLED = {
    "as it is": json.dumps,
    "fenced": lambda value: f"```json\n{json.dumps(value, indent=1)}\n```",
    "among prose": lambda value: f"Here (as you wished) [it] is:\n{json.dumps(value, ensure_ascii=False)}\nIt's done, isn't it?",
    "single quotes": single_quoted,
    "commas": with_commas,
    "all at once": lambda value: f"So:\n```python\n{single_quoted(value)[:-1]},}} # end\n```\nDone.",
}


@few
@given(models(), st.sampled_from(sorted(MANGLED)))
def test_a_mangled_value_is_the_same_value(made: tuple[type[BaseModel], dict[str, Any]], how: str) -> None:
    model, value = made
    assert parse(MANGLED[how](value), TypeAdapter(model)).value == model.model_validate(value)


@few
@given(models(), st.integers(0, 300))
def test_a_value_that_broke_off_is_malformed_and_its_beginning_is_true(made: tuple[type[BaseModel], dict[str, Any]], at: int) -> None:
    """Where a field that has to be there hasn't come, there is no value; what has come of it is what the whole says."""
    model, value = made
    whole = json.dumps(value)
    beginning = whole[: min(at, len(whole) - 1)]
    came = partial(beginning, TypeAdapter(model))
    for name, one in (came.__dict__ if came is not None else {}).items():
        full = getattr(model.model_validate(value), name)
        if one is not None and isinstance(full, str):
            assert full.encode("utf-16", "surrogatepass").startswith(one.encode("utf-16", "surrogatepass"))
        elif one is not None and isinstance(full, int | float | bool):
            assert one == full
    last = next(reversed(value))
    if not re.search(f'"{last}"', beginning):
        with suppress(Malformed):
            raise AssertionError(parse(beginning, TypeAdapter(model)))


@few
@given(st.text(st.sampled_from("{}[]\",:'\\/*# \nab1-.`“”tnu\ue000\ud800"), max_size=60))
def test_any_words_are_read_or_refused(words: str) -> None:
    for kind in (dict[str, Any], list[str], Literal["a", "b"], int, str, Any):
        adapter: TypeAdapter[Any] = TypeAdapter(kind)
        for wrapped in (False, True):
            partial(words, adapter, wrapped=wrapped)
            with suppress(Malformed):
                parse(words, adapter, wrapped=wrapped)
