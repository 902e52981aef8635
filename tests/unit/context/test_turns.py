"""What of a conversation stays together."""

from freehold.chat import Message, Role, Text, ToolCall, ToolResult
from freehold.context.turns import split, words_of


def said(role: Role, *parts: str | ToolCall | ToolResult) -> Message:
    return Message(role=role, parts=tuple(Text(text=part) if isinstance(part, str) else part for part in parts))


def call(id: str) -> ToolCall:
    return ToolCall(id=id, name="find", arguments="{}")


def result(id: str) -> ToolResult:
    return ToolResult(call=id, parts=(Text(text="found"),))


def test_a_turn_goes_from_the_user_to_the_user() -> None:
    talk = [
        said("system", "s"),
        said("user", "a"),
        said("assistant", "b"),
        said("user", "c"),
        said("developer", "d"),
        said("assistant", "e"),
    ]
    assert split(talk) == ((0, 4), ((1, 2), (3, 5)))


def test_what_comes_before_the_user_is_a_turn() -> None:
    assert split([said("assistant", "hello"), said("user", "hi")]).turns == ((0,), (1,))
    assert split([said("system", "s")]) == ((0,), ())


def test_calls_and_results_are_in_one_turn() -> None:
    talk = [
        said("user", "a"),
        said("assistant", call("1"), call("2")),
        said("tool", result("1")),
        said("user", result("2")),
        said("user", "b"),
    ]
    assert split(talk).turns == ((0, 1, 2, 3), (4,))


def test_where_the_user_speaks_before_the_result_comes_the_turns_are_one() -> None:
    talk = [
        said("user", "a"), said("assistant", call("1")), said("user", "b"), said("assistant", "wait"), said("user", "c"),
        said("tool", result("1")), said("user", "d"),
    ]  # fmt: skip
    assert split(talk).turns == ((0, 1, 2, 3, 4, 5), (6,))


def test_an_id_that_is_used_again_belongs_to_the_later_call() -> None:
    talk = [said("user", "a"), said("assistant", call("1")), said("tool", result("1"))] * 2
    assert split(talk).turns == ((0, 1, 2), (3, 4, 5))


def test_a_result_without_a_call_stays_where_it_is() -> None:
    assert split([said("tool", result("9")), said("user", "a"), said("tool", result("8"))]).turns == ((0,), (1, 2))


def test_what_tools_say_is_among_the_words() -> None:
    assert words_of([said("user", "a"), said("assistant", call("1")), said("tool", result("1"))]) == "a\nfind\n{}\nfound"
