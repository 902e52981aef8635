"""Errors say who can act, and an unknown name is answered by the nearest one."""

import inspect

import pytest

from freehold import errors
from freehold.errors import (
    CallerError,
    DataError,
    FreeholdError,
    OperatorError,
    PolicyError,
    ProviderError,
    StoreBusy,
    TrainingError,
    nearest,
)


def test_every_error_is_one_of_ours_and_one_of_python_s() -> None:
    """Whoever catches ValueError or RuntimeError as usual catches ours as well."""
    found = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception) and kind is not FreeholdError]
    assert len(found) >= 8
    for kind in found:
        assert issubclass(kind, FreeholdError)
        assert any(base.__module__ == "builtins" and base not in (Exception, BaseException, object) for base in kind.__mro__), kind


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (CallerError, ValueError),
        (OperatorError, RuntimeError),
        (StoreBusy, OperatorError),
        (ProviderError, ConnectionError),
        (DataError, ValueError),
        (TrainingError, RuntimeError),
    ],
)
def test_an_error_is_also_the_built_in_its_kind_of_caller_expects(kind: type[Exception], builtin: type[Exception]) -> None:
    assert issubclass(kind, builtin)


def test_a_policy_error_names_its_place_and_keeps_it() -> None:
    error = PolicyError("there is no variant 'haed'", 3, 14)
    assert (error.line, error.column) == (3, 14)
    assert str(error) == "line 3, column 14: there is no variant 'haed'"
    assert isinstance(error, CallerError)


def test_an_unknown_name_is_answered_by_the_nearest_and_by_all_there_are() -> None:
    assert nearest("durabilty", ["url", "durability"]) == " Did you mean 'durability'? Known: durability, url."


def test_a_name_like_no_other_is_answered_by_all_there_are() -> None:
    assert nearest("zzz", ("b", "a")) == " Known: a, b."


def test_nothing_known_says_nothing() -> None:
    assert nearest("x", []) == ""


def test_a_long_list_is_cut() -> None:
    said = nearest("q", {f"name-{n:02}" for n in range(30)})
    assert said.endswith(", ….")
    assert said.count("name-") == 12
