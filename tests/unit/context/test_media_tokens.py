"""What media cost: the examples that providers publish, and unknown where no rule tells."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.context import samples

from freehold.context.media import Audio, File, Image
from freehold.context.media_tokens import (
    ANTHROPIC,
    ANTHROPIC_HIGH,
    OPENAI_PATCHES,
    OPENAI_TILES,
    ImageRule,
    Patches,
    Tiles,
    VisualTokens,
    tokens_estimate,
)
from freehold.context.video import AnyMedia, Evenly, Frame, Video

HIGH = VisualTokens(4_784, 2_576)


@pytest.mark.parametrize(
    ("rule", "width", "height", "detail", "tokens"),
    [
        (Tiles(), 1_024, 1_024, "high", 765), (Tiles(), 2_048, 4_096, "high", 1_105), (Tiles(), 4_096, 8_192, "low", 85),
        (Tiles(), 150, 150, "", 255), (Tiles(70, 140), 1_024, 1_024, "auto", 630), (Patches(), 1_024, 1_024, "high", 1_024),
        (Patches(), 1_800, 2_400, "", 1_452), (Patches(factor=1.62), 1_800, 2_400, "", 2_353), (VisualTokens(), 200, 200, "", 64),
        (VisualTokens(), 1_000, 1_000, "", 1_296), (VisualTokens(), 1_092, 1_092, "", 1_521), (VisualTokens(), 1_920, 1_080, "", 1_560),
        (VisualTokens(), 3_840, 2_160, "", 1_560), (HIGH, 1_920, 1_080, "", 2_691), (HIGH, 3_840, 2_160, "", 4_784),
    ],
)  # fmt: skip
def test_the_published_examples_come_out(rule: ImageRule, width: int, height: int, detail: str, tokens: int) -> None:
    assert rule.tokens(width, height, detail) == tokens


@given(st.integers(1, 20_000), st.integers(1, 20_000))
def test_no_image_costs_nothing_or_more_than_the_most(width: int, height: int) -> None:
    for rule, most in ((Tiles(), 85 + 8 * 170), (Patches(), 1_536), (VisualTokens(), 1_568), (HIGH, 4_784)):
        tokens = rule.tokens(width, height, "")
        assert tokens is not None
        assert 0 < tokens <= most


@pytest.mark.parametrize("rule", [Tiles(), Patches()])
def test_a_detail_that_the_rule_does_not_speak_of_is_unknown(rule: ImageRule) -> None:
    assert rule.tokens(100, 100, "original") is None


def test_a_recording_costs_by_the_second() -> None:
    assert tokens_estimate(Audio.from_bytes(samples.wav(2.05)), OPENAI_TILES) == 21
    assert tokens_estimate(Audio.from_bytes(samples.flac(2.0)), OPENAI_PATCHES) == 20


@pytest.mark.parametrize(
    "value",
    [
        Image.from_url("https://e.x/a.png"), Image.from_bytes(b"II*\0\x08\0\0\0"), Audio.from_bytes(samples.MP3), File.from_bytes(samples.PDF),
        Video.from_bytes(samples.MP4), Video(frames=(Frame(0, Image.from_bytes(samples.png())), Frame(1, Image.from_id("f")))),
    ],
    ids=repr,
)  # fmt: skip
def test_what_no_header_tells_is_unknown_and_never_0(value: AnyMedia) -> None:
    assert tokens_estimate(value, OPENAI_TILES) is None


def test_sound_is_unknown_where_no_rule_speaks_of_it() -> None:
    assert tokens_estimate(Audio.from_bytes(samples.wav()), ANTHROPIC) is None


def test_a_film_costs_what_is_sent_of_it() -> None:
    frames = tuple(Frame(float(at_s), Image.from_bytes(samples.png(1_000, 1_000))) for at_s in range(4))
    film = Video(frames=frames, sound=Audio.from_bytes(samples.wav(1.0)))
    assert tokens_estimate(film, ANTHROPIC_HIGH, Evenly(2), takes_audio=False) == 2 * 1_296
    assert tokens_estimate(film, OPENAI_TILES) == 4 * 765 + 10
