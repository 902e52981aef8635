"""What bytes say of themselves: a media type, a size, a length, or nothing."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.context import samples

from freehold.context.headers import KNOWN, image_size, media_type_of, seconds_of

SIZED = [samples.png, samples.jpeg, samples.gif, samples.webp]


@pytest.mark.parametrize("media_type", samples.EACH)
def test_each_kind_is_told_apart(media_type: str) -> None:
    assert media_type_of(samples.EACH[media_type]) == media_type


def test_there_is_a_sample_of_each_kind() -> None:
    assert samples.EACH.keys() == KNOWN


@pytest.mark.parametrize("data", [b"", b"\0\1\2\3", b"RIFF\0\0\0\0ABCD", b"\xff\xfb", b"\xff\xe8\x90\x64", b"caf\xe9 au lait", b"a\0b"])
def test_what_shows_nothing_has_no_media_type(data: bytes) -> None:
    """Among them a frame of MPEG audio of a version that does not exist, and text that is not UTF-8."""
    assert media_type_of(data) is None


@pytest.mark.parametrize("make", SIZED)
@pytest.mark.parametrize("size", [(1, 1), (640, 480), (16_383, 9)])
def test_the_size_of_an_image_is_what_its_header_says(make: Callable[[int, int], bytes], size: tuple[int, int]) -> None:
    assert image_size(make(*size)) == size


@pytest.mark.parametrize("kind", [b"VP8 ", b"VP8L", b"VP8X"])
def test_each_kind_of_webp_says_its_size(kind: bytes) -> None:
    assert image_size(samples.webp(1_000, 700, kind)) == (1_000, 700)


@pytest.mark.parametrize("make", SIZED)
def test_the_size_of_an_image_that_is_cut_off_is_unknown(make: Callable[[], bytes]) -> None:
    assert [image_size(make()[:end]) for end in range(6)] == [None] * 6


def test_no_size_of_nothing() -> None:
    assert image_size(samples.gif(0, 5)) is None
    assert image_size(samples.PDF) is None


@pytest.mark.parametrize("make", [samples.wav, samples.flac])
def test_the_length_of_a_recording_is_what_its_header_says(make: Callable[[float], bytes]) -> None:
    assert seconds_of(make(1.25)) == 1.25


def test_a_wav_that_was_streamed_is_as_long_as_it_is() -> None:
    """Who writes one as a stream says the largest length there is."""
    data = samples.wav(1.0)
    place = data.index(b"data") + 4
    assert seconds_of(data[:place] + b"\xff\xff\xff\xff" + data[place + 4 :]) == 1.0


@pytest.mark.parametrize(
    "data", [samples.MP3, samples.png(), b"", b"RIFF\0\0\0\0WAVE", b"fLaC" + b"\0" * 30, b"RIFF\0\0\0\0WAVEdata\4\0\0\0abcd"]
)
def test_the_length_of_anything_else_is_unknown(data: bytes) -> None:
    assert seconds_of(data) is None


@given(st.sampled_from([*samples.EACH.values()]), st.binary(max_size=40), st.integers(0, 40))
def test_any_bytes_are_read_or_not_and_nothing_is_raised(start: bytes, more: bytes, end: int) -> None:
    data = start[:end] + more
    media_type_of(data)
    image_size(data)
    seconds_of(data)
