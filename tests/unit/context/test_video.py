"""Films: whole where a provider takes them, in chosen frames and a sound track where it does not."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.context import samples

from freehold.chat import Media, Text
from freehold.context.media import Audio, Image
from freehold.context.video import Evenly, EveryS, Frame, Sampling, Video, clock
from freehold.errors import CallerError

FRAMES = tuple(Frame(float(at_s), Image.from_bytes(samples.png(1 + at_s))) for at_s in range(10))
SOUND = Audio.from_bytes(samples.wav())
times = st.lists(st.floats(0, 1e4), min_size=1, max_size=40, unique=True).map(sorted)


def at(video: Video, sampling: Sampling | None) -> list[float]:
    """When the chosen frames are."""
    return [frame.at_s for frame in video.sampled(sampling)]


def test_frames_are_chosen_evenly_in_time() -> None:
    film = Video(frames=FRAMES)
    assert at(film, Evenly(4)) == [0, 3, 6, 9]
    assert at(film, Evenly(1)) == [4]
    assert at(film, Evenly(50)) == at(film, None) == list(range(10))


def test_even_is_even_in_time_and_not_in_number() -> None:
    crowded = Video(frames=tuple(Frame(at_s, FRAMES[0].image) for at_s in (0.0, 0.1, 0.2, 0.3, 5.0, 10.0)))
    assert at(crowded, Evenly(3)) == [0.0, 5.0, 10.0]


def test_frames_are_chosen_by_the_seconds_between_them() -> None:
    assert at(Video(frames=FRAMES), EveryS(2.5)) == [0, 3, 6, 9]


@given(times, st.integers(1, 45))
def test_as_many_even_frames_are_chosen_as_are_asked_for(times_s: list[float], n: int) -> None:
    chosen = Evenly(n).chosen(times_s)
    assert len(chosen) == min(n, len(times_s))
    assert chosen == sorted(set(chosen))
    if n > 1:
        assert {0, len(times_s) - 1} <= set(chosen)


@given(times, st.floats(0.01, 1e4))
def test_no_two_chosen_frames_are_closer_than_the_seconds_asked_for(times_s: list[float], seconds: float) -> None:
    chosen = EveryS(seconds).chosen(times_s)
    assert chosen[0] == 0
    assert all(times_s[after] - times_s[before] >= seconds for before, after in pairwise(chosen))


@pytest.mark.parametrize("make", [lambda: Evenly(0), lambda: EveryS(0), lambda: EveryS(float("nan"))])
def test_a_sampling_that_chooses_nothing_is_refused(make: object) -> None:
    with pytest.raises(CallerError, match="expected"):
        make()  # type: ignore[operator]


def test_each_frame_stands_after_its_time_and_the_sound_comes_last() -> None:
    parts = Video(frames=FRAMES[:2], sound=SOUND).parts()
    assert parts == (
        Text(text="Frame at 0:00:"), FRAMES[0].image.part(), Text(text="Frame at 0:01:"), FRAMES[1].image.part(),
        Text(text="Sound track:"), SOUND.part(),
    )  # fmt: skip
    assert len(Video(frames=FRAMES, sound=SOUND).parts(Evenly(2), takes_audio=False)) == 4


def test_a_whole_film_goes_to_who_takes_films() -> None:
    film = Video.from_bytes(samples.MP4)
    assert film.parts(takes_video=True) == (film.part(),)
    both = Video(content=samples.MP4, frames=FRAMES, sound=SOUND)
    assert [part.kind for part in both.parts(takes_video=True) if isinstance(part, Media)] == ["video"]
    assert [part.kind for part in both.parts(EveryS(5)) if isinstance(part, Media)] == ["image", "image", "audio"]
    assert len(Video(frames=FRAMES).parts(takes_video=True)) == 20


def test_a_whole_film_for_who_takes_none_says_what_to_do() -> None:
    with pytest.raises(
        CallerError, match=r"has no frames, and a provider that takes no films needs some: .* ffmpeg, and give Video\(frames="
    ):
        Video.from_bytes(samples.MP4).parts()


def test_a_film_in_frames_is_no_single_part() -> None:
    with pytest.raises(CallerError, match=r"Video\(10 frames to 0:09, with sound\) is no single part of a message; use parts\(\)"):
        Video(frames=FRAMES, sound=SOUND).part()


def test_frames_come_in_the_order_of_time() -> None:
    with pytest.raises(CallerError, match="a frame at 1 s after one at 2 s"):
        Video(frames=(FRAMES[2], FRAMES[1]))
    with pytest.raises(CallerError, match="Frame at nan s"):
        Frame(float("nan"), FRAMES[0].image)


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0, "0:00"), (7.5, "0:07.5"), (75.256, "1:15.26"), (59.999, "1:00"), (3_607, "1:00:07"), (600, "10:00")]
)
def test_a_time_is_shown_as_people_write_it(seconds: float, shown: str) -> None:
    assert clock(seconds) == shown
