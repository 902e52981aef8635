"""Answers that hold more than words: the journal keeps them the same, whichever way they came in."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.unit.context import samples

from freehold.context.media import Image
from freehold.errors import DataError
from freehold.gateway import openai_answers
from freehold.journal.call import Call
from freehold.journal.formats.completion import answer_of
from freehold.journal.read import calls
from freehold.journal.redact import redact
from freehold.journal.served import output_of
from freehold.journal.write import append_many
from freehold.store.open import open_store

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0K"}}
SOUND = {"id": "audio_1", "data": "UklGRg==", "expires_at": 1_760_000_000, "transcript": "Good day."}
KEPT_IMAGE = {"media": "image", "media_type": "image/png", "data": "iVBORw0K"}
KEPT_SOUND = {"media": "audio", "data": "UklGRg==", "transcript": "Good day."}
CASES: list[tuple[dict[str, Any], Any]] = [
    ({"content": "Here.", "images": [IMAGE]}, {"content": "Here.", "media": [KEPT_IMAGE]}),
    ({"content": None, "images": [IMAGE]}, KEPT_IMAGE),
    ({"content": None, "images": [IMAGE, IMAGE]}, {"media": [KEPT_IMAGE, KEPT_IMAGE]}),
    ({"content": None, "audio": SOUND}, KEPT_SOUND),
    ({"content": [{"type": "text", "text": "Here."}, IMAGE]}, {"content": "Here.", "media": [KEPT_IMAGE]}),
    ({"content": "Here."}, "Here."),
]


@pytest.mark.parametrize(("message", "kept"), CASES)
def test_a_call_that_was_served_and_one_that_was_imported_are_kept_alike(message: dict[str, Any], kept: Any) -> None:
    body = {"id": "c", "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}]}
    assert output_of(openai_answers.read_answer(json.dumps(body).encode())) == kept
    assert answer_of(body, None) == ("answered", kept, "")


def test_media_that_no_answer_can_hold_are_a_reason_why_a_line_is_no_record() -> None:
    with pytest.raises(DataError, match="image_url"):
        answer_of({"choices": [{"message": {"images": [{"type": "image_url"}]}}]}, None)


def test_bytes_of_media_are_not_kept_where_what_identifies_people_is_not(a_call: Callable[..., Call]) -> None:
    """Nobody looks into them: a face or a voice is taken to be there."""
    call = redact(a_call(input={"page": KEPT_IMAGE, "of": "ann@example.com"}, output=KEPT_SOUND), "redacted")
    assert call.input == {"page": KEPT_IMAGE | {"data": "[MEDIA]"}, "of": "[EMAIL]"}
    assert call.output == KEPT_SOUND | {"data": "[MEDIA]"}


def test_a_large_medium_is_a_blob_and_comes_back_as_it_was(tmp_path: Path, a_call: Callable[..., Call]) -> None:
    page = Image.from_bytes(samples.png() + bytes(200_000))
    call = a_call(input=page.to_json(), output=page.to_json())
    with open_store("sqlite:///freehold.db", tmp_path) as store:
        append_many(store, [call])
        (kept,) = list(calls(store, "default", "triage"))
        assert (kept.input, kept.output) == (call.input, call.output)
        assert Image.from_json(kept.input) == page
    assert any(file.stat().st_size > 200_000 for file in tmp_path.rglob("*") if file.is_file() and "freehold.db" not in file.name)
