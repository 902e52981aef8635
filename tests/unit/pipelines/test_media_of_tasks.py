"""Media of a task's types: as parameters they are parts where the template names them, as outputs parts of the answer."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, ValidationError
from tests.unit.context import samples

from freehold.chat import Media, Part, Text
from freehold.context.media import Audio, File, Image
from freehold.context.prompt import DEFAULT, Filling, Prompt
from freehold.context.video import Evenly, EveryS, Frame, Video
from freehold.errors import CallerError, DataError
from freehold.gateway.formats import ANTHROPIC, OPENAI
from freehold.gateway.tariff import MEDIA_TOKENS
from freehold.pipelines.media import Voice, shown_of, tokens_of
from freehold.pipelines.parse import Malformed
from freehold.pipelines.signature import Signature

PAGE, CLIP = Image.from_bytes(samples.png(512, 512)), Audio.from_bytes(samples.wav(2.0))
PAPER = File(content=samples.PDF, name="a.pdf")
FILM = Video(frames=tuple(Frame(float(n), Image.from_bytes(samples.png(n + 1, 2))) for n in range(5)), sound=CLIP)
WHOLE = Video.from_bytes(samples.MP4)


class Folder(BaseModel):
    """What holds several."""

    title: str
    """A field that is words."""
    pages: list[Image] = []
    """Fields that are not."""
    clip: Audio | None = None
    """One that may be left out."""


def said(function: Any, template: str = DEFAULT, **values: Any) -> tuple[Part, ...]:
    """What the user is heard to say."""
    signature = Signature(function)
    filling = Filling("Look.", signature.said(signature.bind((), values), OPENAI))
    return Prompt(template).messages(filling)[-1].parts


def test_a_medium_is_a_part_where_the_template_names_it() -> None:
    def look(page: Image, question: str) -> str: ...

    assert said(look, page=PAGE, question="Who?") == (Text(text="page: "), PAGE.part(), Text(text="question: Who?"))
    turned = "{{ question }} {{ page }}!"
    assert said(look, turned, page=PAGE, question="Who?") == (Text(text="Who? "), PAGE.part(), Text(text="!"))


def test_one_alone_is_the_whole_message() -> None:
    def look(page: Image) -> str: ...

    assert said(look, page=PAGE) == (PAGE.part(),)


def test_a_list_is_one_after_the_other_and_can_be_gone_through() -> None:
    def look(pages: list[Image]) -> str: ...

    assert said(look, pages=[PAGE, PAGE]) == (PAGE.part(), PAGE.part())
    through = "{% for page in pages %}- {{ page }}{% endfor %}"
    assert said(look, through, pages=[PAGE, PAGE]) == (Text(text="- "), PAGE.part(), Text(text="- "), PAGE.part())


def test_one_that_may_be_left_out_is_said_only_where_it_is_given() -> None:
    def look(question: str, page: Image | None = None) -> str: ...

    template = "{{ question }}{% if page %} Look: {{ page }}{% endif %}"
    assert said(look, template, question="Who?") == (Text(text="Who?"),)
    assert said(look, template, question="Who?", page=PAGE) == (Text(text="Who? Look: "), PAGE.part())


def test_fields_of_a_model_are_parts_in_the_midst_of_its_json() -> None:
    def look(folder: Folder) -> str: ...

    assert said(look, folder=Folder(title="T", pages=[PAGE], clip=CLIP)) == (
        Text(text='{"title":"T","pages":['), PAGE.part(), Text(text='],"clip":'), CLIP.part(), Text(text="}"),
    )  # fmt: skip
    assert said(look, "{{ folder.clip }}", folder=Folder(title="T", clip=CLIP)) == (CLIP.part(),)


@pytest.mark.parametrize(
    "annotation",
    [Annotated[Video, Evenly(2)], Annotated[Video, EveryS(4)], Annotated[Video | None, Evenly(2)]],
    ids=["evenly", "every so many seconds", "optional"],
)
def test_a_film_is_sampled_as_its_parameter_says(annotation: Any) -> None:
    def look(film: Video) -> str: ...

    look.__annotations__["film"] = annotation
    frames = [part for part in said(look, film=FILM) if isinstance(part, Media) and part.kind == "image"]
    assert frames == [FILM.frames[0].image.part(), FILM.frames[4].image.part()]


def test_the_way_to_sample_holds_for_films_within_a_list() -> None:
    def look(films: Annotated[list[Video], Evenly(1)]) -> str: ...

    assert [part.text for part in said(look, films=[FILM, FILM]) if isinstance(part, Text)] == ["Frame at 0:02:", "Sound track:"] * 2


def test_what_a_format_has_no_place_for_is_an_error_that_says_so() -> None:
    def hear(clip: Audio) -> str: ...
    def watch(film: Video) -> str: ...

    with pytest.raises(CallerError, match=r"Audio\(audio/wav.* speaks anthropic: its messages hold, beside text, a document and an image"):
        Signature(hear).said({"clip": CLIP}, ANTHROPIC)
    with pytest.raises(CallerError, match="has no frames, and a provider that takes no films needs some"):
        Signature(watch).said({"film": WHOLE}, ANTHROPIC)
    assert Signature(watch).said({"film": WHOLE}, OPENAI) == {"film": (WHOLE.part(),)}
    frames = Signature(watch).said({"film": FILM}, ANTHROPIC)["film"]
    assert isinstance(frames, tuple)
    assert {part.kind for part in frames if isinstance(part, Media)} == {"image"}


def test_the_journal_has_them_as_objects_of_json_that_are_read_back() -> None:
    def look(page: Image, folder: Folder, film: Annotated[Video, Evenly(2)]) -> str: ...

    signature = Signature(look)
    values = {"page": PAGE, "folder": Folder(title="T", pages=[PAGE], clip=CLIP), "film": FILM}
    kept = signature.json_of(values)
    assert kept["page"] == PAGE.to_json()
    assert len(kept["film"]["frames"]) == 5
    assert signature.read_json(kept) == values


def test_tokens_are_counted_by_the_rules_of_the_format_and_of_sampled_frames_alone() -> None:
    def look(page: Image, clip: Audio, film: Annotated[Video, Evenly(2)], paper: File) -> str: ...

    values = {"page": PAGE, "clip": CLIP, "film": FILM, "paper": PAPER}
    held = Signature(look).media(values)
    assert (
        tokens_of(held, OPENAI) == 256 + 20 + (2 * 255 + 20) + MEDIA_TOKENS
    )  # patches of a page, tiles of small frames, two seconds twice
    assert tokens_of(Signature(look).media(values | {"clip": CLIP}), ANTHROPIC) > 2 * MEDIA_TOKENS  # a recording has no rule there


# As output.


def test_an_output_is_the_part_of_the_answer() -> None:
    def speak(text: str) -> Annotated[Audio, Voice("ash")]: ...

    signature = Signature(speak)
    assert signature.shown is not None
    heard = Media(kind="audio", data=CLIP.part().data, file="audio_1", transcript="Good day.")
    value = signature.answered((Text(text="Here."), heard)).value
    assert (value.data, value.media_type, value.transcript) == (CLIP.data, "audio/wav", "Good day.")
    assert signature.value_of(signature.output_json(value)) == value
    assert signature.shown.asked_of("gpt", OPENAI) == {
        "openai.modalities": ["text", "audio"],
        "openai.audio": {"voice": "ash", "format": "wav"},
    }


def test_a_list_of_them_is_all_parts_of_that_kind() -> None:
    def draw(text: str) -> list[Image]: ...

    assert Signature(draw).answered((PAGE.part(), CLIP.part(), PAGE.part())).value == [PAGE, PAGE]


def test_an_answer_without_any_is_malformed_and_says_what_there_is_instead() -> None:
    def draw(text: str) -> Image: ...

    with pytest.raises(Malformed, match=r"holds no image, but 'I cannot draw\.'. Ask a model that gives an image"):
        Signature(draw).answered((Text(text="I cannot draw."),))
    with pytest.raises(Malformed, match="no image that can be read: Image has bytes of no kind"):
        Signature(draw).answered((Media(kind="image", data="AAAA"),))


def test_of_an_answer_with_words_beside_it_the_medium_is_taken() -> None:
    def draw(text: str) -> Image: ...

    assert Signature(draw).value_of({"content": "Here.", "media": [CLIP.to_json(), PAGE.to_json()]}) == PAGE
    for wrong in ("words", {"content": "Here."}, CLIP.to_json(), None):
        with pytest.raises(Malformed, match="holds no image"):
            Signature(draw).value_of(wrong)
    with pytest.raises((ValidationError, DataError)):
        Signature(draw).value_of(PAGE.to_json() | {"data": "[MEDIA]"})


def test_an_answer_in_a_format_that_holds_text_alone_cannot_be_asked_for() -> None:
    for annotation, name in ((Image, "an image"), (Audio, "a recording"), (list[File], "a document")):
        shown = shown_of(annotation)
        assert shown is not None
        with pytest.raises(CallerError, match=f"'claude' cannot be asked for {name}: .*anthropic, hold text alone"):
            shown.asked_of("claude", ANTHROPIC)


def test_any_other_type_is_no_medium() -> None:
    assert [shown_of(each) for each in (str, list[str], Folder, Image | None)] == [None] * 4
