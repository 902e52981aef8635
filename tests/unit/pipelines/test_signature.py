"""What a task may be made of; and what it may not, said when the module is imported, with the line."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

import freehold
from freehold.errors import CallerError
from freehold.pipelines.parse import Malformed
from freehold.pipelines.signature import Misuse, Signature

HERE = r"test_signature\.py:\d+: "


class Nothing:
    """Of which pydantic knows nothing."""


@dataclass
class Place:
    name: str


def no_return(text: str): ...  # type: ignore[no-untyped-def]


def no_hint(text) -> str: ...  # type: ignore[no-untyped-def]


def no_parameter() -> str: ...


def any_number(*texts: str) -> str: ...


def any_names(**texts: str) -> str: ...


def unsupported_input(text: Nothing) -> str: ...


def unsupported_output(text: str) -> Nothing: ...


def callable_output(text: str) -> Callable[[], int]: ...


def anything(text: Any) -> str: ...


def gives_nothing(text: str) -> None: ...


def wrong_default(text: str, n: int = "three") -> str: ...  # type: ignore[assignment]


def one_by_one(text: str) -> Iterable[int]: ...


def cut_short(text: str) -> "list[": ...  # type: ignore[valid-type]  # noqa: F722


def no_such_part(text: "freehold.Imagee") -> str: ...  # type: ignore[name-defined]


def unknown_name(text: "Somewhere") -> str: ...  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (no_return, "it says no output type. Write one, such as -> str"),
        (no_hint, "parameter 'text' has no type. Write one, such as text: str"),
        (no_parameter, "it has no parameter"),
        (any_number, r"\*texts stands for any number of parameters. Name each"),
        (any_names, r"\*texts stands for any number of parameters"),
        (unsupported_input, "parameter 'text' is Nothing, which cannot travel as JSON.*Supported are str, numbers"),
        (unsupported_output, "its output is Nothing"),
        (callable_output, "its output is .*Callable"),
        (anything, "parameter 'text' is Any, which says nothing"),
        (gives_nothing, "its output is NoneType, which says nothing"),
        (wrong_default, "the default of 'n' is none of its type: .*'three'"),
        (unknown_name, "name 'Somewhere' is not defined. Types have to stand above the function"),
        (one_by_one, "its output is Iterable, whose values are gone once they were looked at. Use a list"),
        (cut_short, "its types cannot be read: SyntaxError"),
        (no_such_part, "its types cannot be read: AttributeError: .*'Imagee'"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_misuse_is_told_with_the_line(function: Callable[..., Any], why: str) -> None:
    with pytest.raises(Misuse, match=f"{HERE}'{function.__name__}' cannot be used so: {why}"):
        freehold.task(function)


def test_two_tasks_of_one_name_are_refused_with_both_lines() -> None:
    @freehold.task(name="taken")
    def one(text: str) -> str: ...

    with pytest.raises(Misuse, match=rf"{HERE}'other'.*there is a task 'taken' already, at .*test_signature\.py:\d+"):

        @freehold.task(name="taken")
        def other(text: str) -> str: ...


def test_a_body_and_rules_do_not_go_together() -> None:
    with pytest.raises(Misuse, match="it has a body and rules"):

        @freehold.task(rules="rules.csv")
        def both(text: str) -> str:
            return text


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=rf"{HERE}'of_prompt' names the prompt .*missing\.jinja, which cannot be read"):

        @freehold.task(prompt="@missing.jinja")
        def of_prompt(text: str) -> str: ...

    with pytest.raises(Misuse, match=rf"{HERE}'of_rules'.*missing\.csv cannot be read as a table of rules"):

        @freehold.task(rules=tmp_path / "missing.csv")
        def of_rules(text: str) -> str: ...


def test_a_template_and_settings_that_cannot_be_are_refused_at_import() -> None:
    with pytest.raises(Misuse, match=f"{HERE}'of_template'.*line 2: 'macro' is no part of a prompt's language"):

        @freehold.task(prompt="\n{% macro m() %}{% endmacro %}")
        def of_template(text: str) -> str: ...

    with pytest.raises(Misuse, match=f"{HERE}'of_loss'.*max_loss is 3"):

        @freehold.task(max_loss=3)
        def of_loss(text: str) -> str: ...


def test_two_variants_of_one_name_that_differ_are_refused() -> None:
    @freehold.task(variants=[freehold.vote(3, "a", name="wise"), freehold.vote(5, "a", name="wise")])
    def twice(text: str) -> str: ...

    with pytest.raises(Misuse, match=f"{HERE}'twice'.*two of its variants are called 'wise'"):
        twice.declared()


# Bodies.


def documented(text: str) -> str:
    """Say it."""


def dotted(text: str) -> str: ...


def passing(text: str) -> str:
    pass


async def documented_async(text: str) -> str:
    """Say it."""


def constant(text: str) -> int:
    """One."""
    return 1


def true(text: str) -> bool:
    return True


def echo(text: str) -> str:
    return text


async def echo_async(text: str) -> str:
    return text


@pytest.mark.parametrize("function", [documented, dotted, passing, documented_async])
def test_a_docstring_dots_and_pass_are_no_body(function: Callable[..., Any]) -> None:
    assert not Signature(function).has_body


@pytest.mark.parametrize("function", [constant, true, echo, echo_async])
def test_whatever_gives_a_value_is_one(function: Callable[..., Any]) -> None:
    assert Signature(function).has_body


def test_a_body_within_a_function_is_told_apart_too() -> None:
    outside = 3

    def closing(text: str) -> int:
        return outside

    def empty(text: str) -> int:
        """Uses nothing of it."""

    assert Signature(closing).has_body and not Signature(empty).has_body


def test_a_generator_is_no_task() -> None:
    def words(text: str) -> list[str]:  # type: ignore[misc]
        yield text

    with pytest.raises(Misuse, match="it gives value after value"):
        Signature(words)


# Arguments.


def several(text: str, *, n: int = 2, place: Place | None = None) -> str: ...


def named_only(*, text: str) -> str: ...


def test_arguments_are_bound_as_python_binds_them() -> None:
    signature = Signature(several)
    assert signature.bind(("a",), {}) == {"text": "a", "n": 2, "place": None}
    assert signature.bind((), {"text": "a", "n": 3, "place": Place("hall")}) == {"text": "a", "n": 3, "place": Place("hall")}
    with pytest.raises(TypeError, match="too many positional arguments"):
        signature.bind(("a", 3), {})
    with pytest.raises(TypeError, match="too many positional arguments"):
        Signature(named_only).bind(("a",), {})
    with pytest.raises(TypeError, match="unexpected keyword"):
        signature.bind(("a",), {"m": 1})


@pytest.mark.parametrize("wrong", [{"n": "3"}, {"n": 1.5}, {"n": True}, {"place": {"name": "hall"}}])
def test_a_value_is_of_its_type_and_is_not_made_so(wrong: dict[str, Any]) -> None:
    with pytest.raises(CallerError, match=f"Task 'several', {next(iter(wrong))}"):
        Signature(several).bind(("a",), wrong)


def test_what_the_journal_has_gives_the_arguments_again() -> None:
    signature = Signature(several)
    values = signature.bind(("a",), {"place": Place("hall")})
    assert signature.read_json(signature.json_of(values)) == values
    assert signature.read_json({"text": "a"}) == signature.bind(("a",), {})
    for wrong, why in (({"n": 1}, "needs text"), ({"text": "a", "m": 1}, "takes no m"), ("a", "takes an object"), ({"text": 1}, "text")):
        with pytest.raises(CallerError, match=why):
            signature.read_json(wrong)


def test_one_argument_is_kept_as_itself() -> None:
    signature = Signature(documented)
    assert signature.json_of({"text": "a"}) == "a"
    assert signature.read_json("a") == signature.read_json({"text": "a"}) == {"text": "a"}


@dataclass
class Said:
    text: str


def has_a_field_of_that_name(text: Said) -> str: ...


def has_any_keys(text: dict[str, str]) -> str: ...


@pytest.mark.parametrize(("task", "value"), [(has_a_field_of_that_name, Said("a")), (has_any_keys, {"text": "a"})])
def test_one_argument_with_a_key_of_its_own_name_is_itself(task: Callable[..., str], value: Any) -> None:
    """It is told by its type from an object that holds it by name."""
    signature = Signature(task)
    assert signature.read_json(signature.json_of({"text": value})) == {"text": value}
    assert signature.read_json({"text": signature.json_of({"text": value})}) == {"text": value}


# Outputs.


@dataclass
class Sized:
    name: str
    size: float


def sized(text: str) -> Sized: ...


@pytest.mark.parametrize("size", ["NaN", "Infinity", "-Infinity", "1e400", '"NaN"'])
def test_a_number_that_is_not_finite_is_no_answer(size: str) -> None:
    """JSON has none: the journal would have null in its place."""
    signature = Signature(sized)
    assert signature.read('{"name": "NaN", "size": 1.5}').value == Sized("NaN", 1.5)
    for with_steps, words in (
        (False, f'{{"name": "a", "size": {size}}}'),
        (True, f'{{"steps": "", "answer": {{"name": "a", "size": {size}}}}}'),
    ):
        with pytest.raises(Malformed, match="a number that is not finite, which JSON does not have"):
            signature.read(words, with_steps)


def optional_text(text: str) -> str | int | None: ...


def chosen(text: str) -> Literal["1", "null"]: ...


@pytest.mark.parametrize("value", ["null", "5", "a", 5, None, '"quoted"'])
def test_a_value_that_the_journal_has_is_that_value_whatever_it_looks_like(value: Any) -> None:
    signature = Signature(optional_text)
    assert signature.value_of(signature.output_json(value)) == value


def test_words_that_were_recorded_are_read_too() -> None:
    signature = Signature(chosen)
    assert signature.value_of("null") == "null" and signature.value_of('"1"') == "1"
