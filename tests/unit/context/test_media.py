"""Media as values: checked at birth, compared by content, written as JSON and as parts of a message."""

import pickle
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError
from tests.unit.context import samples

from freehold.chat import Media
from freehold.context.media import MOST_BYTES, Audio, File, Image
from freehold.context.video import AnyMedia, Frame, Video, from_part
from freehold.errors import CallerError, DataError

PNG = samples.png()
FILM = Video(
    frames=(Frame(0.0, Image.from_bytes(PNG)), Frame(1.5, Image.from_url("https://e.x/b.png"))), sound=Audio.from_bytes(samples.wav())
)
VALUES: list[AnyMedia] = [
    Image.from_bytes(PNG).with_detail("low"), Image.from_url("https://e.x/a.png?key=1"), Image.from_id("file_1"),
    Audio.from_bytes(samples.wav()), Audio(content=samples.MP3, transcript="Good day."), File.from_bytes(samples.PDF),
    File(content=samples.PDF, name="a.pdf"), File.from_url("https://e.x/a.pdf", "application/pdf"), Video.from_bytes(samples.MP4),
    Video.from_id("f"), FILM, Video(content=samples.WEBM, frames=FILM.frames),
]  # fmt: skip


class Invoice(BaseModel):
    """A task's input or output."""

    page: Image
    scans: list[File] = []
    said: Audio | None = None


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_is_the_same_after_it_was_json_or_pickled(value: AnyMedia) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(type(value))
    again = adapter.validate_json(adapter.dump_json(value))
    assert again == value == type(value).from_json(value.to_json()) == pickle.loads(pickle.dumps(value))
    assert hash(again) == hash(value)


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_union_knows_which_kind_it_is(value: AnyMedia) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(Image | Audio | File | Video)
    assert adapter.validate_json(adapter.dump_json(value)) == value


@pytest.mark.parametrize("value", [each for each in VALUES if each != FILM], ids=repr)
def test_a_value_is_the_same_after_it_was_a_part(value: AnyMedia) -> None:
    again = from_part(value.part())
    assert again == (Video(content=value.content) if isinstance(value, Video) and value.frames else value)


def test_the_json_of_an_image_is_as_documented() -> None:
    told = {"media": "image", "media_type": "image/png", "data": b64encode(PNG).decode()}
    assert Image.from_bytes(PNG).to_json() == told
    assert TypeAdapter(Image).validate_python(told) == Image.from_bytes(PNG)


def test_values_are_fields_of_models() -> None:
    invoice = Invoice(page=Image.from_bytes(PNG), scans=[File.from_bytes(samples.PDF)])
    assert invoice.page.data == PNG
    assert Invoice.model_validate_json(invoice.model_dump_json()) == invoice
    assert Invoice.model_validate(invoice.model_dump()) == invoice
    assert invoice.model_dump(mode="json")["page"]["media"] == "image"


@pytest.mark.parametrize("kind", [Image, Audio, File, Video])
def test_the_schema_describes_the_json(kind: type[AnyMedia]) -> None:
    for mode in ("validation", "serialization"):
        schema = TypeAdapter(kind).json_schema(mode=mode)  # type: ignore[arg-type]
        assert schema["title"] == kind.__name__
        needed = [way["required"] for way in schema["anyOf"]]
        assert needed[:3] == [["media", "data"], ["media", "url"], ["media", "file"]]
        assert all(way["properties"]["media"] == {"const": kind.kind} and not way["additionalProperties"] for way in schema["anyOf"])
    for value in VALUES:
        if isinstance(value, kind):
            told = value.to_json()
            assert any(set(way["required"]) <= told.keys() <= way["properties"].keys() for way in schema["anyOf"])


@pytest.mark.parametrize("media_type", samples.EACH)
def test_the_media_type_of_bytes_is_what_they_show(media_type: str) -> None:
    assert File.from_bytes(samples.EACH[media_type]).media_type == media_type


@pytest.mark.parametrize(
    ("kind", "data", "claimed", "settled"),
    [
        (Audio, samples.MP3, "audio/mp3", "audio/mpeg"), (Audio, samples.wav(), "audio/x-wav; rate=8000", "audio/wav"),
        (Audio, samples.MP4, None, "audio/mp4"), (Audio, samples.WEBM, "audio/webm", "audio/webm"), (Image, samples.jpeg(), "image/jpg", "image/jpeg"),
        (Audio, b"\xff\xfb\x90\x64\1\2", "audio/pcm", "audio/pcm"), (Image, b"<svg/>", "image/svg+xml", "image/svg+xml"),
        (File, b"a,b\n1,2\n", "text/csv", "text/csv"), (File, b"{}", "application/json", "application/json"),
        (File, b"PK\x03\x04", "application/vnd.openxmlformats-officedocument.wordprocessingml.document", None),
        (File, b"\0\1", "application/x-own", "application/x-own"), (File, samples.PDF, "application/octet-stream", "application/pdf"),
        (Video, samples.MP4, "video/3gpp", "video/3gpp"),
    ],
)  # fmt: skip
def test_a_claimed_media_type_that_fits_is_kept(kind: type[AnyMedia], data: bytes, claimed: str | None, settled: str | None) -> None:
    """By its usual name. A container may hold sound alone; samples without a header look like anything."""
    assert kind.from_bytes(data, claimed).media_type == (settled or claimed)


@pytest.mark.parametrize(
    ("kind", "data", "claimed", "said"),
    [
        (Image, PNG, "image/jpeg", "Image is said to be 'image/jpeg', and its bytes are 'image/png'"),
        (File, samples.PDF, "text/plain", "said to be 'text/plain', and its bytes are 'application/pdf'"),
        (File, b"hello", "application/pdf", "said to be 'application/pdf', and its bytes are 'text/plain'"),
        (File, b"caf\xe9", "text/plain", "its bytes are of no kind that is known here"),
        (Audio, samples.MP4, "audio/wav", "said to be 'audio/wav', and its bytes are 'video/mp4'"),
        (File, PNG, "application/x-own", "said to be 'application/x-own', and its bytes are 'image/png'"),
        (Image, samples.PDF, None, "Image is given 'application/pdf'; expected image/…. Use File for it"),
        (Audio, PNG, None, "Use Image for it"),
        (Image, b"\0\1\2", None, r"no kind that is known here \(they begin with 00 01 02\); say its media_type"),
        (File, b"", None, "has no bytes at all"),
    ],
)
def test_bytes_that_are_not_what_is_said_are_refused(kind: type[AnyMedia], data: bytes, claimed: str | None, said: str) -> None:
    with pytest.raises(DataError, match=said):
        kind.from_bytes(data, claimed)


def test_a_file_is_read_when_the_value_is_made(tmp_path: Path) -> None:
    (tmp_path / "page.bin").write_bytes(PNG)
    assert Image.from_path(tmp_path / "page.bin") == Image.from_bytes(PNG)
    assert File.from_path(str(tmp_path / "page.bin")).name == "page.bin"
    with pytest.raises(CallerError, match=r"Audio from '.*nowhere': No such file or directory; expected a file that can be read"):
        Audio.from_path(tmp_path / "nowhere")
    with pytest.raises(DataError, match="'image/wav'|said to be 'audio/wav', and its bytes are 'image/png'"):
        Audio.from_path(tmp_path / "page.bin", "audio/wav")


def test_no_value_holds_more_than_the_limit(tmp_path: Path) -> None:
    """However it comes: read from a file, given, in base64, or in many frames."""
    with (tmp_path / "large").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    half = Image.from_bytes(PNG + b"\0" * (MOST_BYTES // 2))
    for make in (
        lambda: Image.from_path(tmp_path / "large"),
        lambda: Image.from_bytes(PNG + b"\0" * MOST_BYTES),
        lambda: Image.from_json({"media": "image", "data": "A" * (MOST_BYTES // 3 * 4 + 8)}),
        lambda: Video(frames=(Frame(0, half), Frame(1, half))),
    ):
        with pytest.raises(DataError, match=r"the most is 67,108,864 \(64 MiB\)"):
            make()
    assert len(Image.from_bytes(PNG + b"\0" * (MOST_BYTES - len(PNG))).data) == MOST_BYTES


@pytest.mark.parametrize(
    "url", ["", "a.png", "data:image/png;base64,QQ==", "https://e.x/a b", "https://e.x/\n", "https:", "https://e.x/" + "a" * 9_000]
)
def test_an_address_has_to_be_one(url: str) -> None:
    with pytest.raises(CallerError, match=r"expected one (such as https|of content)"):
        Image.from_url(url)


def test_a_value_is_one_of_bytes_address_and_id() -> None:
    with pytest.raises(CallerError, match="Image has nothing; expected one of content, url, file"):
        Image()
    with pytest.raises(CallerError, match="File has content and file; expected one of"):
        File(content=samples.PDF, file="f")
    with pytest.raises(CallerError, match="detail 'hihg'. Did you mean 'high'"):
        Image.from_bytes(PNG).with_detail("hihg")


def test_what_is_not_here_has_no_bytes() -> None:
    with pytest.raises(CallerError, match=r"Image\(url='https://e.x/a.png'\) has no bytes here, because nothing is fetched"):
        _ = Image.from_url("https://e.x/a.png?secret=1").data
    with pytest.raises(CallerError, match=r"File\(file='f'\) has no bytes here"):
        _ = File.from_id("f").data


def test_a_value_shows_no_bytes_and_no_secret() -> None:
    assert repr(Image.from_bytes(PNG)) == f"Image(image/png, {len(PNG)} bytes)"
    assert "secret" not in repr(Image.from_url("https://e.x/a.png?secret=1"))


def image(**fields: Any) -> dict[str, Any]:
    """An image as JSON."""
    return {"media": "image", **fields}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ("a.png", r'Image as JSON is str; expected an object such as \{"media": "image"'),
        ({}, "Image as JSON has media 'None'; expected 'image'"),
        ({"media": "audio", "url": "https://e.x"}, "Image as JSON has media 'audio'; expected 'image'"),
        (image(), "Image has nothing; expected one of content, url, file"),
        (image(url="https://e.x", file="f"), "Image has url and file"),
        (image(dta="QQ=="), "Image as JSON has 'dta'. Did you mean 'data'"),
        (image(data=5), "data is int; expected a text"),
        (image(data=b64encode(PNG).decode()[:-1]), "no base64"),
        (image(data=b64encode(PNG).decode() + "\n"), "no base64"),
        (image(data="é" * 8), "no base64"),
        (image(data="%%%%"), r"no base64 \(.*\); expected the alphabet of RFC 4648 with padding and no spaces"),
        (image(data=""), "no bytes at all"),
        (image(data=b64encode(samples.PDF).decode()), "Image is given 'application/pdf'"),
        (image(media_type="image/gif", data=b64encode(PNG).decode()), "'image/gif', and its bytes are 'image/png'"),
        (image(url="javascript alert"), "expected one such as https"),
        (image(url="https://e.x", detail="closer"), "detail 'closer'"),
    ],
)
def test_json_from_outside_that_is_no_image_says_why(told: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(Image).validate_python(told)


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"media": "video"}, "Video has nothing"),
        ({"media": "video", "frames": 5}, "frames is int; expected a list"),
        ({"media": "video", "frames": [5]}, r"frames\[0\] is not an object of at_s and image"),
        ({"media": "video", "frames": [{"at_s": True, "image": image(url="https://e.x")}]}, r"frames\[0\].at_s is bool; expected seconds"),
        ({"media": "video", "frames": [{"at_s": -1, "image": image(url="https://e.x")}]}, "Frame at -1.0 s"),
        ({"media": "video", "frames": [{"at_s": 0, "image": {"media": "audio"}}]}, "Image as JSON has media 'audio'"),
        ({"media": "video", "url": "https://e.x", "sound": {"media": "audio", "url": "https://e.x"}}, "sound track and no frames"),
        ({"media": "video", "url": "https://e.x", "frame": []}, "'frame'. Did you mean 'frames'"),
    ],
)
def test_json_from_outside_that_is_no_film_says_why(told: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        TypeAdapter(Video).validate_python(told)


def test_a_part_of_raw_sound_needs_word_of_what_it_is() -> None:
    """OpenAI's answers do not say in which format a recording is; who asked for it knows."""
    part = Media(kind="audio", file="audio_1", data=b64encode(b"\0\1\0\1").decode(), transcript="Good day.")
    assert from_part(part, "audio/pcm16") == Audio(content=b"\0\1\0\1", media_type="audio/pcm16", transcript="Good day.")
    with pytest.raises(DataError, match="no kind that is known here .* say its media_type"):
        from_part(part)
    assert from_part(Media(kind="audio", data=b64encode(samples.wav()).decode())).media_type == "audio/wav"


def test_a_part_of_text_is_no_medium() -> None:
    with pytest.raises(DataError, match="kind 'text' is no medium"):
        from_part(Media(kind="text"))
