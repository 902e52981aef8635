"""Media on the wire: what is put before a model, and what a model gives back, in each format, whole and streamed."""

from base64 import b64encode
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from tests.unit.gateway.test_any_value import altered

from freehold.chat import JSON, ChatAnswer, ChatRequest, Choice, Chunk, Collected, Media, Message, Text, pieces_of, text_of
from freehold.errors import CallerError, DataError, ProviderError
from freehold.gateway import anthropic, anthropic_stream, openai, openai_answers, openai_stream
from freehold.gateway.sse import Event, EventReader
from freehold.gateway.tariff import size_of

PNG = b64encode(b"\x89PNG\r\n\x1a\n not looked at").decode()
IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
SOUND = {"id": "audio_1", "data": "UklGRg==", "expires_at": 1_760_000_000, "transcript": "Good day."}
encode = msgspec.json.encode


def asked(*parts: JSON, role: str = "user", **beside: JSON) -> dict[str, JSON]:
    """A request of one message in OpenAI's format."""
    return {"model": "m", "messages": [{"role": role, "content": list(parts), **beside}]}


def read(*parts: JSON, **beside: JSON) -> tuple[Any, ...]:
    """The parts of that message, after a second reading of what is written of the first."""
    request = openai.read_request(asked(*parts, **beside))
    assert openai.read_request(openai.write_request(request)) == request
    return request.messages[0].parts


def _of(*parts: Any) -> ChatRequest:
    return ChatRequest(model="m", messages=(Message(role="user", parts=parts),))


def answered(**message: JSON) -> ChatAnswer:
    """The answer that holds that message."""
    body = {"id": "i", "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}]}
    return openai_answers.read_answer(encode(body))


def streamed(*deltas: JSON) -> list[Chunk]:
    """The pieces that these deltas are read as."""
    reader, events = openai_stream.StreamReader(), EventReader()
    bodies = [{"id": "i", "model": "m", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    told = b"".join(b"data: %s\n\n" % encode(body) for body in bodies)
    return [chunk for event in events.feed(told) for chunk in reader.read(event)]


def collected(chunks: list[Chunk]) -> tuple[Any, ...]:
    """The parts of the answer they make."""
    whole = Collected()
    for chunk in chunks:
        whole.add(chunk)
    return whole.answer().choices[0].parts


def through_a_stream(chunks: list[Chunk]) -> tuple[Any, ...]:
    """The parts of the answer that somebody reads from what is written of the pieces."""
    writer, reader, events = openai_stream.StreamWriter(False), openai_stream.StreamReader(), EventReader()
    told = b"".join(map(writer.write, chunks)) + writer.end()
    return collected([chunk for event in events.feed(told) for chunk in reader.read(event)])


def test_a_video_is_said_as_vllm_and_openrouter_have_it() -> None:
    (by_bytes,) = read({"type": "video_url", "video_url": {"url": "data:video/webm;base64,GkXfow=="}})
    (by_address,) = read({"type": "video_url", "video_url": {"url": "https://example.com/a.mp4"}})
    assert by_bytes == Media(kind="video", media_type="video/webm", data="GkXfow==")
    assert by_address == Media(kind="video", url="https://example.com/a.mp4")


def test_a_recording_by_address_is_said_as_vllm_has_it() -> None:
    assert read({"type": "audio_url", "audio_url": {"url": "https://example.com/a.wav"}}) == (
        Media(kind="audio", url="https://example.com/a.wav"),
    )


@pytest.mark.parametrize(
    ("media_type", "format", "back"),
    [
        ("audio/wav", "wav", "audio/wav"), ("audio/x-wav", "wav", "audio/wav"), ("audio/mpeg", "mp3", "audio/mpeg"),
        ("audio/mp3", "mp3", "audio/mpeg"), ("audio/mp4", "m4a", "audio/mp4"), ("audio/flac", "flac", "audio/flac"),
    ],
)  # fmt: skip
def test_a_recordings_media_type_is_a_format_and_back(media_type: str, format: str, back: str) -> None:
    part = Media(kind="audio", media_type=media_type, data="QQ==")
    body = openai.write_request(_of(part))
    assert body["messages"][0]["content"][0]["input_audio"] == {"data": "QQ==", "format": format}
    assert openai.read_request(body).messages[0].parts == (msgspec.structs.replace(part, media_type=back),)


def test_a_file_is_read_with_and_without_word_of_what_it_is() -> None:
    told = read({"type": "file", "file": {"file_data": "data:application/pdf;base64,UERG", "filename": "a.pdf"}})
    assert told == (Media(kind="file", media_type="application/pdf", data="UERG", name="a.pdf"),)
    assert read({"type": "file", "file": {"file_data": "UERG"}}) == (Media(kind="file", data="UERG"),)


def test_a_data_address_that_is_no_base64_stays_an_address() -> None:
    assert read({"type": "image_url", "image_url": {"url": "data:image/svg+xml,%3Csvg/%3E"}}) == (
        Media(kind="image", url="data:image/svg+xml,%3Csvg/%3E"),
    )


def test_an_image_keeps_how_closely_to_look() -> None:
    (part,) = read({"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}})
    assert part.detail == "low"


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (Media(kind="image", file="f"), "image by a file's id cannot be said to an OpenAI-compatible provider; say its bytes"),
        (Media(kind="video", file="f"), "video by a file's id cannot be said"),
        (Media(kind="file", url="https://example.com/a.pdf"), "file by address cannot be said"),
        (Media(kind="audio", data="QQ=="), "without its format; say its media type"),
    ],
)
def test_what_openai_cannot_be_told_is_named(part: Media, said: str) -> None:
    with pytest.raises(CallerError, match=said):
        openai.write_request(_of(part))


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (
            Media(kind="audio", media_type="audio/wav", data="QQ=="),
            "audio cannot be said to Anthropic, whose messages hold text, images and",
        ),
        (Media(kind="video", data="QQ=="), "video cannot be said to Anthropic, .*; say its frames as images"),
        (Media(kind="file", media_type="application/zip", data="QQ=="), "document of type 'application/zip' .* takes PDF and plain text"),
        (Media(kind="file", media_type="text/plain", data="/w=="), "no text in UTF-8"),
        (Media(kind="file", media_type="text/plain", data="?"), "no text in UTF-8"),
    ],
)
def test_what_anthropic_cannot_be_told_is_named(part: Media, said: str) -> None:
    with pytest.raises(CallerError, match=said):
        anthropic.write_request(_of(part))


def test_a_text_is_a_document_in_its_own_words_to_anthropic() -> None:
    words = "Faktura nr: 1 — zażółć"
    part = Media(kind="file", media_type="text/plain", data=b64encode(words.encode()).decode(), name="a.txt")
    body = anthropic.write_request(_of(part))
    (block,) = body["messages"][0]["content"]
    assert block == {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": words}, "title": "a.txt"}
    assert anthropic.read_request(body).messages[0].parts == (part,)


@pytest.mark.parametrize("kind", ["image", "file"])
@pytest.mark.parametrize("where", [{"url": "https://example.com/a"}, {"file": "file_1"}, {"media_type": "image/webp", "data": "QQ=="}])
def test_images_and_documents_travel_to_anthropic_and_back(kind: Any, where: dict[str, str]) -> None:
    where = where | ({"media_type": "application/pdf"} if kind == "file" and "data" in where else {})
    part = Media(kind=kind, **where)  # type: ignore[arg-type]
    assert anthropic.read_request(anthropic.write_request(_of(part))).messages[0].parts == (part,)


def test_bytes_of_media_are_no_words_and_no_text_to_pay_for() -> None:
    for kind in ("video_url", "audio_url"):
        body = asked({"type": "text", "text": "What is it?"}, {"type": kind, kind: {"url": "data:video/mp4;base64," + "A" * 10_000}})
        assert text_of(body["messages"]) == "What is it?"
        size = size_of(body, len(encode(body)))
        assert size.media == 1
        assert size.text_bytes < 300


def test_an_answers_images_and_recording_are_parts_of_it_and_are_given_on() -> None:
    answer = answered(content="Here.", images=[{"index": 0, **IMAGE}], audio=SOUND)
    image = Media(kind="image", media_type="image/png", data=PNG)
    sound = Media(kind="audio", file="audio_1", data="UklGRg==", transcript="Good day.", expires_at=1_760_000_000)
    assert answer.choices[0].parts == (Text(text="Here."), image, sound)
    message = openai_answers.write_answer(answer)["choices"][0]["message"]
    assert (message["content"], message["images"], message["audio"]) == ("Here.", [IMAGE], SOUND)
    assert openai_answers.read_answer(encode(openai_answers.write_answer(answer))) == answer
    assert collected(list(pieces_of(answer))) == through_a_stream(list(pieces_of(answer))) == answer.choices[0].parts


def test_an_answer_that_is_a_recording_alone_has_no_content() -> None:
    message = openai_answers.write_answer(answered(content=None, audio=SOUND))["choices"][0]["message"]
    assert message["content"] is None


@pytest.mark.parametrize(
    "message", [{"images": [5]}, {"images": [{"type": "image_url"}]}, {"images": 5}, {"audio": 5}, {"audio": {"data": 5}}]
)
def test_media_that_cannot_be_read_make_it_no_answer(message: dict[str, JSON]) -> None:
    with pytest.raises(DataError, match="is no chat completion"):
        answered(**message)


@pytest.mark.parametrize("part", [Media(kind="video", data="QQ=="), Media(kind="file", file="f"), Media(kind="image", file="f")])
def test_other_media_have_no_place_in_an_answer(part: Media) -> None:
    answer = ChatAnswer(id="i", model="m", choices=(Choice(parts=(part,)),))
    with pytest.raises(CallerError, match="has no place in OpenAI's format"):
        openai_answers.write_answer(answer)
    with pytest.raises(ProviderError, match="has no place in OpenAI's format"):
        openai_stream.StreamWriter(False).write(Chunk(media=part))


def test_a_second_recording_has_no_place_in_an_answer() -> None:
    sounds = tuple(Media(kind="audio", file=id, data="QQ==") for id in ("a", "b"))
    with pytest.raises(CallerError, match="one recording"):
        openai_answers.write_answer(ChatAnswer(id="i", model="m", choices=(Choice(parts=sounds),)))


def test_anthropic_has_no_place_for_media_in_an_answer() -> None:
    with pytest.raises(CallerError, match="no place in Anthropic's format"):
        anthropic.write_answer(answered(images=[IMAGE]))
    with pytest.raises(ProviderError, match="holds image, which has no place in Anthropic's format"):
        anthropic_stream.StreamWriter().write(Chunk(media=Media(kind="image", data=PNG)))


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([b64encode(b"ab").decode(), b64encode(b"cdef").decode(), b64encode(b"g").decode()], id="each a base64 of its own"),
        pytest.param(["YWJ", "jZGV", "mZw=="], id="cut from one base64"),
    ],
)
def test_a_streamed_recording_goes_on_where_it_ended(pieces: list[str]) -> None:
    """Some servers encode each piece, some cut what is encoded."""
    deltas: list[JSON] = [{"role": "assistant", "audio": {"id": "audio_1", "transcript": "Good"}}]
    deltas += [{"audio": {"data": piece}} for piece in pieces]
    deltas += [{"audio": {"transcript": " day."}}, {"audio": {"expires_at": 1_760_000_000}}]
    chunks = streamed(*deltas)
    whole = Media(kind="audio", file="audio_1", data=b64encode(b"abcdefg").decode(), transcript="Good day.", expires_at=1_760_000_000)
    assert collected(chunks) == (whole,)
    assert through_a_stream(chunks) == (whole,)


def test_a_streamed_recording_that_is_no_base64_stays_as_it_came() -> None:
    assert collected(streamed({"audio": {"data": "a=b"}}, {"audio": {"data": "c"}})) == (Media(kind="audio", data="a=bc"),)


def test_a_recording_of_another_id_is_another_recording() -> None:
    chunks = streamed({"audio": {"id": "a", "data": "QQ=="}}, {"audio": {"id": "b", "data": "Qg=="}}, {"audio": {"data": "Qw=="}})
    assert collected(chunks) == (Media(kind="audio", file="a", data="QQ=="), Media(kind="audio", file="b", data="QkM="))


def test_streamed_images_stand_between_the_words_where_they_came() -> None:
    image = Media(kind="image", media_type="image/png", data=PNG)
    chunks = streamed(
        {"content": "Look:"}, {"content": "", "images": [IMAGE, IMAGE]}, {"content": [{"type": "text", "text": "There."}, IMAGE]}
    )
    parts = (Text(text="Look:"), image, image, Text(text="There."), image)
    assert collected(chunks) == through_a_stream(chunks) == parts


def test_what_a_model_said_aloud_goes_back_by_its_id() -> None:
    request = openai.read_request({"model": "m", "messages": [{"role": "assistant", "content": None, "audio": SOUND}]})
    assert openai.write_request(request)["messages"] == [{"role": "assistant", "content": "", "audio": {"id": "audio_1"}}]


def test_images_a_model_made_go_back_as_parts_of_what_it_said() -> None:
    request = openai.read_request({"model": "m", "messages": [{"role": "assistant", "content": "Here.", "images": [IMAGE]}]})
    said = openai.write_request(request)["messages"][0]["content"]
    assert said == [{"type": "text", "text": "Here."}, IMAGE]


ASKED = {"model": "m", "messages": [
    {"role": "user", "content": [
        {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AA=="}}, {"type": "audio_url", "audio_url": {"url": "https://e.x"}},
        {"type": "file", "file": {"file_data": "data:text/plain;base64,QQ==", "filename": "a"}}]},
    {"role": "assistant", "content": "a", "images": [IMAGE], "audio": SOUND},
]}  # fmt: skip
SAID = {"id": "i", "choices": [{"message": {"content": "a", "images": [IMAGE], "audio": SOUND}}]}
PIECE = {"id": "i", "choices": [{"index": 0, "delta": {"content": [IMAGE], "images": [IMAGE], "audio": SOUND}}]}


def test_any_value_in_any_place_of_media_is_read_or_refused() -> None:
    """Nothing else is raised, which nobody would answer for."""
    for body in altered(ASKED):
        for write in (openai.write_request, anthropic.write_request):
            with suppress(CallerError):
                encode(write(openai.read_request(body)))
    for body in altered(SAID):
        with suppress(DataError):
            answer = openai_answers.read_answer(encode(body))
            encode(openai_answers.write_answer(answer))
            with suppress(CallerError):
                anthropic.write_answer(answer)
    for body in altered(PIECE):
        for writer in (openai_stream.StreamWriter(False), anthropic_stream.StreamWriter()):
            whole = Collected()
            with suppress(ProviderError):
                for chunk in openai_stream.StreamReader().read(Event(b"", encode(body))):
                    whole.add(chunk)
                    writer.write(chunk)
            openai_answers.write_answer(whole.answer())
