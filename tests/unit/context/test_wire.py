"""Real files on their way: a value, a part, each provider's body, read back: the same bytes."""

import gzip
import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import msgspec
import pytest
from anthropic.types import DocumentBlockParam, ImageBlockParam
from bench import data
from openai.types.chat import ChatCompletionContentPartParam
from pydantic import TypeAdapter
from tests.unit.context import samples

from freehold.chat import ChatRequest, Media, Message, Text
from freehold.context.headers import image_size, seconds_of
from freehold.context.media import Audio, File, Image
from freehold.context.media_tokens import ANTHROPIC, OPENAI_TILES, tokens_estimate
from freehold.context.video import AnyMedia, Frame, Video, from_part
from freehold.errors import CallerError
from freehold.gateway import anthropic, openai

KINDS: dict[str, type[AnyMedia]] = {".wav": Audio, ".flac": Audio, ".pdf": File, ".txt": File, ".png": Image, ".tif": Image}


@pytest.fixture(scope="module")
def files() -> list[Path]:
    """Every file of the set."""
    try:
        folder = data.need("multimodal")
    except data.NoSharedData as error:
        pytest.skip(str(error))
    with gzip.open(folder / "manifest.jsonl.gz", "rt") as manifest:
        return [folder / json.loads(line)["file"] for line in manifest]


def request(*parts: Any) -> ChatRequest:
    """A request that holds them."""
    return ChatRequest(model="m", messages=(Message(role="user", parts=parts),))


def through(format: Any, part: Any) -> Any:
    """The part as it is read from the bytes of the body that was written of it."""
    body = msgspec.json.encode(format.write_request(request(part)))
    return format.read_request(msgspec.json.decode(body)).messages[0].parts[0]


OPENAI_TAKES = [
    Image.from_bytes(samples.png()).with_detail("low"), Image.from_url("https://e.x/a.png"), Audio.from_bytes(samples.wav()),
    Audio.from_bytes(samples.MP3), File(content=samples.PDF, name="a.pdf"), File.from_id("file_1"),
]  # fmt: skip
ANTHROPIC_TAKES = [
    Image.from_bytes(samples.jpeg()), Image.from_url("https://e.x/a.png"), Image.from_id("file_1"), File(content=samples.PDF, name="a.pdf"),
    File(content="Zażółć".encode(), name="a.txt"), File.from_url("https://e.x/a.pdf"), File.from_id("file_1"),
]  # fmt: skip


@pytest.mark.parametrize("value", OPENAI_TAKES, ids=repr)
def test_what_is_said_to_openai_is_what_its_own_library_says(value: AnyMedia) -> None:
    (said,) = openai.write_request(request(value.part()))["messages"][0]["content"]
    assert TypeAdapter(ChatCompletionContentPartParam).validate_python(said) == said
    assert through(openai, value.part()) == value.part()


@pytest.mark.parametrize("value", ANTHROPIC_TAKES, ids=repr)
def test_what_is_said_to_anthropic_is_what_its_own_library_says(value: AnyMedia) -> None:
    kind: Any = DocumentBlockParam if isinstance(value, File) else ImageBlockParam
    (said,) = anthropic.write_request(request(value.part()))["messages"][0]["content"]
    assert TypeAdapter(kind).validate_python(said) == said
    assert through(anthropic, value.part()) == value.part()


@pytest.mark.shared_data
def test_every_file_reaches_each_provider_that_takes_it_and_comes_back(files: list[Path]) -> None:
    """Speech, spoken digits, scanned pages, invoices as PDF, image and text."""
    assert {path.suffix for path in files} == KINDS.keys()
    for path in files:
        value = KINDS[path.suffix].from_path(path)
        adapter: TypeAdapter[Any] = TypeAdapter(type(value))
        assert adapter.validate_json(adapter.dump_json(value)) == value
        part = value.part()
        heard = through(openai, part)
        assert heard == part
        assert from_part(heard) == value
        assert b64decode(heard.data) == path.read_bytes()
        if isinstance(value, Audio):
            with pytest.raises(CallerError, match="audio cannot be said to Anthropic"):
                through(anthropic, heard)
        else:
            assert from_part(through(anthropic, heard)) == value


@pytest.mark.shared_data
def test_the_cost_of_every_image_and_recording_that_says_its_size_is_known(files: list[Path]) -> None:
    for path in files:
        value = KINDS[path.suffix].from_path(path)
        known = {"openai": tokens_estimate(value, OPENAI_TILES), "anthropic": tokens_estimate(value, ANTHROPIC)}
        if path.suffix == ".png":
            assert None not in known.values()
            assert image_size(value.data) == (int.from_bytes(value.data[16:20]), int.from_bytes(value.data[20:24]))
        elif isinstance(value, Audio):
            length = seconds_of(value.data)
            assert length is not None
            assert 0.1 < length < 15
            assert known["openai"] is not None
        else:
            assert known == {"openai": None, "anthropic": None}


@pytest.mark.shared_data
def test_a_film_of_scanned_pages_and_speech_is_heard_by_both(files: list[Path]) -> None:
    pages = [Image.from_path(path) for path in files if path.suffix == ".png"]
    sound = Audio.from_path(next(path for path in files if path.suffix == ".wav"))
    film = Video(frames=tuple(Frame(float(n), page) for n, page in enumerate(pages)), sound=sound)
    for format, takes_audio in ((openai, True), (anthropic, False)):
        asked = request(Text(text="What is shown?"), *film.parts(takes_audio=takes_audio))
        read = format.read_request(format.write_request(asked))
        media = [from_part(part) for part in read.messages[0].parts if isinstance(part, Media)]
        assert media == [*pages, *([sound] if takes_audio else [])]
