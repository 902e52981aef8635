"""The nouns of one exchange: usage that adds up, and the words that routing looks at."""

import msgspec
import pytest

from freehold.chat import Media, Usage, canonical_json, is_messages, key_of, media_json, media_part, system_text_of, text_of
from freehold.errors import DataError

ASKED = [
    {"role": "system", "content": "You sort support messages."},
    {"role": "developer", "content": "Answer with one word."},
    {"role": "user", "content": "My card was swallowed."},
    {"role": "assistant", "content": "cards"},
    {"role": "user", "content": "And now?"},
]


def test_fresh_tokens_are_the_input_that_touched_no_cache() -> None:
    assert Usage(input_tokens=1000, cached_read=600, cached_write=100, output_tokens=5).fresh_tokens == 300


@pytest.mark.parametrize(
    ("usage", "said"),
    [
        ({"input_tokens": -1}, "negative"),
        ({"input_tokens": 10, "cached_read": 6, "cached_write": 5}, "more than input_tokens 10"),
        ({"cached_read": 1}, "more than input_tokens 0"),
        ({"output_tokens": 3, "reasoning_tokens": 4}, "more than output_tokens 3"),
        ({"input_tokens": 5, "input_by_modality": {"text": 3, "image": 1}}, "has to sum to 5"),
        ({"output_tokens": 5, "output_by_modality": {"text": 6, "audio": -1}}, "no negative part"),
        ({"input_tokens": 5, "input_by_modality": {}}, "has to sum to 5"),
    ],
)
def test_a_usage_that_does_not_add_up_is_refused(usage: dict[str, object], said: str) -> None:
    """At birth, whether made in Python or read from a file."""
    with pytest.raises(DataError, match=said):
        Usage(**usage)  # type: ignore[arg-type]
    with pytest.raises(msgspec.ValidationError, match=said):
        msgspec.convert(usage, Usage)


def test_a_usage_with_a_part_we_do_not_know_is_refused_when_read() -> None:
    """A part that we dropped silently would be tokens that cost nothing."""
    with pytest.raises(msgspec.ValidationError, match="cache_read_tokens"):
        msgspec.convert({"input_tokens": 5, "cache_read_tokens": 5}, Usage)


def test_text_is_itself() -> None:
    assert text_of("My card was swallowed.") == "My card was swallowed."


def test_of_messages_the_words_of_the_task_are_left_out() -> None:
    assert text_of(ASKED) == "My card was swallowed.\ncards\nAnd now?"
    assert text_of({"messages": ASKED, "tools": [{"name": "lookup"}]}) == text_of(ASKED)
    assert system_text_of(ASKED) == "You sort support messages.\nAnswer with one word."


def test_what_is_no_messages_has_no_system_text() -> None:
    assert system_text_of("You sort") == ""
    assert system_text_of({"question": "Why?"}) == ""


def test_of_content_parts_only_the_words_count() -> None:
    """Neither types, ids nor bytes of files: an id is different in every call and means nothing."""
    content = [
        {"type": "text", "text": "What is this?", "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image", "source": {"type": "base64", "data": "AAAA"}},
        {"type": "tool_result", "tool_use_id": "toolu_01", "content": [{"type": "text", "text": "a cat"}]},
        {"type": "tool_use", "id": "toolu_02", "name": "lookup", "input": {"breed": "Manx"}},
    ]
    assert text_of([{"role": "user", "content": content}]) == "What is this?\na cat\nlookup\nManx"


def test_a_message_without_content_has_no_words() -> None:
    assert text_of([{"role": "user", "content": "Hi"}, {"role": "assistant", "content": None, "tool_calls": [{"id": "x"}]}]) == "Hi"


def test_of_an_object_all_texts_and_numbers_count_in_order() -> None:
    """Also where it has a field called `type` or `text`: it is the caller's own object, not a content part."""
    assert text_of({"type": "refund", "text": "Give it back", "amount": 12.5, "urgent": True, "note": None}) == "refund\nGive it back\n12.5"
    assert text_of({"type": "document", "title": "Terms"}) == "document\nTerms"


def test_numbers_keep_their_digits() -> None:
    """An order number is a number of seven digits, not 1.23457e+06."""
    assert text_of({"order": 1234567, "price": 0.1, "whole": 3.0, "big": 2**80}) == f"1234567\n0.1\n3\n{2**80}"


@pytest.mark.parametrize("value", [[], [{"content": "no role"}], [{"role": 1}], ["text"], {"role": "user"}, "text", None])
def test_what_is_no_list_of_messages(value: object) -> None:
    assert not is_messages(value)


def test_canonical_json_is_one_byte_string_for_equal_values() -> None:
    assert canonical_json({"b": [1, {"y": None, "x": "é"}], "a": 1}) == '{"a":1,"b":[1,{"x":"é","y":null}]}'.encode()
    assert canonical_json({"b": 1, "a": 2}) == canonical_json({"a": 2, "b": 1})


IMAGE = {"media": "image", "media_type": "image/png", "data": "iVBORw0K"}
SOUND = {"media": "audio", "data": "UklGRg==", "transcript": "Good day."}


def test_the_bytes_of_media_are_no_words_and_what_is_said_in_them_is() -> None:
    assert text_of({"page": IMAGE, "question": "Who?"}) == "Who?"
    assert text_of([IMAGE, SOUND]) == "Good day."
    assert text_of({"media": "video", "frames": [{"at_s": 0.0, "image": IMAGE}], "sound": SOUND}) == "Good day."
    assert text_of({"media": "social", "data": "likes"}) == "social\nlikes"  # somebody's own words


def test_two_inputs_of_the_same_words_and_other_media_are_told_apart() -> None:
    """By recordings and memories, in either form of an input."""
    other = IMAGE | {"data": "R0lGODlh"}
    assert key_of({"page": IMAGE, "question": "Who?"}) != key_of({"page": other, "question": "Who?"})
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0K"}}
    asked = [{"role": "user", "content": [{"type": "text", "text": "Who?"}, part]}]
    assert key_of(asked) != key_of([{"role": "user", "content": "Who?"}]) == "Who?"
    assert key_of(asked).startswith("Who?\0")


def test_a_part_of_a_message_is_an_object_and_back_without_the_ids_made_up_for_it() -> None:
    sound = Media(kind="audio", data="UklGRg==", file="audio_1", transcript="Good day.", expires_at=1)
    assert media_json(sound) == SOUND
    assert media_part(SOUND) == Media(kind="audio", data="UklGRg==", transcript="Good day.")
    assert media_json(Media(kind="file", file="file_1")) == {"media": "file", "file": "file_1"}
    with pytest.raises(DataError, match="several|frames"):
        media_part({"media": "video", "frames": []})
