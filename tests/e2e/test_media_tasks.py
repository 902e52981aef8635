"""Typed tasks about files: each kind travels to a provider of each format and back, over real sockets, and the journal knows it again."""

import gzip
import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import pytest
from bench import data
from pydantic import BaseModel
from test_gateway import Served, running
from tests.unit.context import samples

import freehold
from freehold import Audio, Evenly, File, Frame, Image, Video, Voice
from freehold.chat import Media
from freehold.context.video import AnyMedia, from_part
from freehold.gateway import anthropic, openai
from freehold.pipelines.failure import BudgetSpent, StepFailed
from freehold.pipelines.run import Run, Steps
from freehold.pipelines.scope import Scope, current, entered
from freehold.pipelines.signature import Misuse
from upstream import Said, Upstream, anthropic_answer, openai_answer, upstream, whole

TOML = """
[providers.one]
kind = "openai"
base_url = "{url}"
[providers.two]
kind = "anthropic"
base_url = "{url}"
[models.gpt]
provider = "one"
price = {{ input_per_mtok = 1.0, output_per_mtok = 1.0 }}
{more}
[models.claude]
provider = "two"
price = {{ input_per_mtok = 1.0, output_per_mtok = 1.0 }}
"""
KINDS: dict[str, type[AnyMedia]] = {".wav": Audio, ".flac": Audio, ".pdf": File, ".txt": File, ".png": Image, ".tif": Image}


class Invoice(BaseModel):
    """Fields of an invoice."""

    issuer: str
    """Who sent it."""
    amount: float | None = None
    """What is to be paid."""
    currency: str
    """In which currency."""


@freehold.task(name="media_hear", reference="gpt")
def hear(clip: Audio) -> str:
    """Write down what is said."""


@freehold.task(name="media_hear_claude", reference="claude")
def hear_claude(clip: Audio) -> str:
    """Write down what is said."""


@freehold.task(name="media_read", reference="gpt")
def read_page(page: Image) -> str:
    """Write down what is written."""


@freehold.task(name="media_read_claude", reference="claude")
def read_page_claude(page: Image) -> str:
    """Write down what is written."""


@freehold.task(name="media_fields", reference="gpt")
def fields(paper: File | Image, language: str) -> Invoice:
    """Give the invoice's fields."""


@freehold.task(name="media_fields_claude", reference="claude")
def fields_claude(paper: File | Image, language: str) -> Invoice:
    """Give the invoice's fields."""


@freehold.task(name="media_watch", reference="gpt")
def watch(film: Annotated[Video, Evenly(2)]) -> str:
    """Say what happens."""


@freehold.task(name="media_watch_all", reference="gpt")
def watch_all(film: Video) -> str:
    """Say what happens."""


@freehold.task(name="media_watch_claude", reference="claude")
def watch_claude(film: Annotated[Video, Evenly(2)]) -> str:
    """Say what happens."""


@freehold.task(name="media_speak", reference="gpt")
def speak(text: str) -> Annotated[Audio, Voice("ash")]:
    """Say it."""


@freehold.task(name="media_draw", reference="gpt")
def draw(text: str) -> Image:
    """Draw it."""


@freehold.task(name="media_write", reference="gpt")
def write(text: str) -> File:
    """Write a document."""


@freehold.task(name="media_draw_claude", reference="claude")
def draw_claude(text: str) -> Image:
    """Draw it."""


@contextmanager
def at_work(folder: Path, more: str = "") -> Iterator[Upstream]:
    """A provider of both formats, and a project that asks it, while the block lasts."""
    with upstream() as provider:
        (folder / "freehold.toml").write_text(TOML.format(url=provider.url, more=more))
        with freehold.use(folder):
            yield provider


def heard(said: Said) -> list[AnyMedia]:
    """The media in a request, read as its format says."""
    format: Any = anthropic if said.path.endswith("/messages") else openai
    messages = format.read_request(said.body).messages
    return [from_part(part) for message in messages for part in message.parts if isinstance(part, Media)]


def saying(words: str, **beside: Any) -> Callable[[Said], Iterator[bytes]]:
    """A provider that says so in either format, and what stands beside it in OpenAI's."""

    def answer(said: Said) -> Iterator[bytes]:
        if said.path.endswith("/messages"):
            return whole(anthropic_answer("m") | {"content": [{"type": "text", "text": words}]})
        body = openai_answer("m")
        body["choices"][0]["message"] |= {"content": words or None} | beside
        return whole(body)

    return answer


def at_data_address(value: AnyMedia) -> str:
    return f"data:{value.media_type};base64,{b64encode(value.data).decode()}"


@pytest.fixture(scope="module")
def files() -> list[tuple[AnyMedia, dict[str, Any]]]:
    """Every file of the set, and what is known of it."""
    try:
        folder = data.need("multimodal")
    except data.NoSharedData as error:
        pytest.skip(str(error))
    with gzip.open(folder / "manifest.jsonl.gz", "rt") as manifest:
        rows = [json.loads(line) for line in manifest]
    return [(KINDS[Path(row["file"]).suffix].from_path(folder / row["file"]), row) for row in rows]


@pytest.mark.shared_data
def test_speech_becomes_its_transcript(tmp_path: Path, files: list[tuple[AnyMedia, dict[str, Any]]]) -> None:
    """Clips and spoken digits, as WAV and FLAC. Anthropic's format has no place for them, and the task says so."""
    clips = [(value, row["transcript"]) for value, row in files if isinstance(value, Audio)]
    assert len(clips) > 40
    with at_work(tmp_path) as provider:
        for clip, transcript in clips:
            provider.answer = saying(transcript)
            assert hear(clip) == transcript
            assert heard(provider.asked[-1]) == [clip]
        with pytest.raises(StepFailed, match="cannot be said to a provider that speaks anthropic"):
            hear_claude(clips[0][0])


@pytest.mark.shared_data
def test_a_scanned_page_becomes_its_text_through_either_format(tmp_path: Path, files: list[tuple[AnyMedia, dict[str, Any]]]) -> None:
    pages = [(value, row["transcript"]) for value, row in files if row["kind"] == "scanned_text"]
    assert len(pages) == 3
    with at_work(tmp_path) as provider:
        for page, text in pages:
            for task in (read_page, read_page_claude):
                provider.answer = saying(text)
                assert task(page) == text
                assert heard(provider.asked[-1]) == [page]


@pytest.mark.shared_data
def test_an_invoice_becomes_its_fields_through_either_format(tmp_path: Path, files: list[tuple[AnyMedia, dict[str, Any]]]) -> None:
    """As PDF, image and text."""
    papers = [(value, row["fields"][0]) for value, row in files if row["kind"].startswith("invoice")]
    assert {type(value) for value, _ in papers} == {File, Image}
    with at_work(tmp_path) as provider:
        for paper, known in papers:
            for task in (fields, fields_claude):
                provider.answer = saying(json.dumps(known))
                found = task.answer(paper, "en")
                assert found.value == Invoice.model_validate(known)
                assert heard(provider.asked[-1]) == [paper]
                assert found.call.input == {"paper": paper.to_json(), "language": "en"}


@pytest.mark.shared_data
def test_a_film_of_scanned_pages_is_its_sampled_frames(tmp_path: Path, files: list[tuple[AnyMedia, dict[str, Any]]]) -> None:
    pages = [value for value, _ in files if isinstance(value, Image)]
    film = Video(
        frames=tuple(Frame(float(n), page) for n, page in enumerate(pages)), sound=next(v for v, _ in files if isinstance(v, Audio))
    )
    with at_work(tmp_path) as provider:
        watch(film)
        assert heard(provider.asked[-1]) == [pages[0], pages[-1], film.sound]
        watch_claude(film)
        assert heard(provider.asked[-1]) == [pages[0], pages[-1]]


@pytest.mark.shared_data
def test_every_file_comes_back_as_an_output(tmp_path: Path, files: list[tuple[AnyMedia, dict[str, Any]]]) -> None:
    """Images beside the words, a recording in its place, a document as a part of the content; the journal gives the value back."""
    tasks: dict[type, Any] = {Audio: speak, Image: draw, File: write}
    with at_work(tmp_path) as provider:
        for value, _ in files:
            if isinstance(value, Audio):
                provider.answer = saying("", audio={"id": "audio_1", "data": b64encode(value.data).decode(), "transcript": ""})
            elif isinstance(value, Image):
                provider.answer = saying("Here.", images=[{"type": "image_url", "image_url": {"url": at_data_address(value)}}])
            else:
                file = {"filename": getattr(value, "name", ""), "file_data": at_data_address(value)}
                provider.answer = saying("", content=[{"type": "file", "file": file}])
            found = tasks[type(value)].answer("it")
            assert found.value == value
            assert found.call.output == value.to_json()
        asked = {said.body.get("modalities") and tuple(said.body["modalities"]) for said in provider.asked}
        assert asked == {("text", "audio"), ("image", "text"), None}


PAGE, OTHER = Image.from_bytes(samples.png(3, 2)), Image.from_bytes(samples.png(5, 4))
SHOWN = [{"type": "image_url", "image_url": {"url": at_data_address(PAGE)}}]


def test_an_answer_without_a_medium_is_malformed_and_anthropics_format_cannot_be_asked_for_one(tmp_path: Path) -> None:
    with at_work(tmp_path) as provider:
        provider.answer = saying("I cannot draw.")
        with pytest.raises(StepFailed, match="holds no image, but 'I cannot draw.'"):
            draw("a house")
        with pytest.raises(StepFailed, match="'claude' cannot be asked for an image"):
            draw_claude("a house")


def test_a_step_that_the_journal_has_is_not_asked_again(tmp_path: Path) -> None:
    """Whether a medium is its question or its answer."""
    with at_work(tmp_path) as provider:
        provider.answer = saying("Here.", images=SHOWN)
        known = [draw.answer("a house").call, read_page.answer(PAGE).call]
        run = Run("pipeline", "again", steps=Steps(known))
        with entered(Scope(current(), run=run)):
            assert draw("a house") == PAGE
            assert read_page(PAGE) == "Here."
            assert len(provider.asked) == 2
            assert read_page(OTHER) == "Here."
        assert len(provider.asked) == 3


def test_recordings_and_remembered_answers_tell_media_apart(tmp_path: Path) -> None:
    """Two pages have the same words: none."""
    with at_work(tmp_path, "serving = { cache_s = 60 }") as provider:
        for page, text in ((PAGE, "one"), (OTHER, "two"), (PAGE, "one"), (OTHER, "two")):
            provider.answer = saying(text)
            assert read_page(page) == text
        assert len(provider.asked) == 2
    toml = (tmp_path / "freehold.toml").read_text()
    (tmp_path / "freehold.toml").write_text(
        toml.replace('kind = "openai"', 'kind = "recorded"') + '[tasks.media_read]\nreference = "gpt"\nvariants = ["gpt"]\n'
    )
    with freehold.use(tmp_path):
        assert [read_page(page) for page in (OTHER, PAGE)] == ["two", "one"]


def test_a_recorded_image_is_given_over_http_and_in_process(tmp_path: Path) -> None:
    with at_work(tmp_path) as provider:
        provider.answer = saying("Here.", images=SHOWN)
        draw("a house")
    toml = (tmp_path / "freehold.toml").read_text().replace('kind = "openai"', 'kind = "recorded"')
    toml += '[tasks.media_draw]\nreference = "gpt"\nvariants = ["gpt"]\n'
    with running(tmp_path, [], toml) as served:
        messages: Any = [{"role": "user", "content": "a house"}]
        told = served.openai().chat.completions.create(model="freehold/media_draw", messages=messages)
        assert told.choices[0].message.model_extra == {"images": SHOWN}
    with freehold.use(tmp_path):
        assert draw("a house") == PAGE


def test_only_the_frames_that_are_sent_are_set_aside_for(tmp_path: Path) -> None:
    """Fifty small frames are 50 tiles of 255 tokens; a budget that two of them fit into does not take them."""
    film = Video(frames=tuple(Frame(float(n), PAGE) for n in range(50)))
    with at_work(tmp_path), freehold.scope(budget_usd=0.006):
        watch(film)
        with pytest.raises(BudgetSpent):
            watch_all(film)


def test_rows_of_a_batch_hold_media_going_in_and_coming_out(tmp_path: Path) -> None:
    source, made = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(page.to_json()) + "\n" for page in (PAGE, OTHER)))
    with at_work(tmp_path) as provider:
        provider.answer = saying("text", images=SHOWN)
        assert read_page.batch(freehold.Job(source, made)).done == 2
        assert {heard(said)[0].data for said in provider.asked} == {PAGE.data, OTHER.data}
        source.write_text('"a house"\n"a tree"\n')
        assert draw.batch(freehold.Job(source, tmp_path / "drawn.jsonl")).done == 2
    rows = [json.loads(line) for line in (tmp_path / "drawn.jsonl").read_text().splitlines()]
    assert [row["output"] for row in rows] == [PAGE.to_json()] * 2


def test_an_answer_with_an_image_is_kept_whole_over_http(tmp_path: Path) -> None:
    """As the value it is for a typed task."""
    with running(tmp_path, []) as served:
        served.provider.answer = saying("Here.", images=SHOWN)
        told = ask(served)
        assert told.choices[0].message.images == SHOWN
        served.provider.answer = saying("", images=SHOWN)
        ask(served)
        assert sorted(map(str, (call.output for call in served.calls()))) == sorted(
            [str({"content": "Here.", "media": [PAGE.to_json()]}), str(PAGE.to_json())]
        )


def ask(served: Served) -> Any:
    messages: Any = [{"role": "user", "content": "Draw a house."}]
    return served.openai().chat.completions.create(model="frontier", messages=messages)


@freehold.task(name="media_talk", reference="claude", history=freehold.History(20_000))
def talk(page: Image, question: str) -> str:
    """Answer about the page."""


@freehold.task(name="media_shown", reference="gpt", examples=[(PAGE, "one"), (OTHER, "two")])
def like_those(page: Image) -> str:
    """Write down what is written."""


def test_a_conversation_about_pages_is_told_with_its_pages(tmp_path: Path) -> None:
    """They tell it from another one of the same words, too."""
    with at_work(tmp_path) as provider:
        calls = []
        for id, page in (("a", PAGE), ("b", OTHER)):
            provider.answer = saying("A page.")
            with freehold.scope(conversation=id):
                talk(page, "What is it?")
                calls.append(talk.answer(PAGE, "And this?").call)
            assert heard(provider.asked[-1]) == [page, PAGE]
        assert calls[0].item != calls[1].item


def test_examples_of_a_program_are_shown_with_their_media(tmp_path: Path) -> None:
    with at_work(tmp_path) as provider:
        provider.answer = saying("one")
        like_those(PAGE)
        assert heard(provider.asked[-1]) == [PAGE, OTHER, PAGE]
        messages: Any = provider.asked[-1].body["messages"]
        assert [message["content"] for message in messages if message["role"] == "assistant"] == ["one", "two"]


def test_no_answer_is_shown_as_an_example_that_is_a_medium(tmp_path: Path) -> None:
    with at_work(tmp_path):

        @freehold.task(name="media_drawn_like", reference="gpt", examples=[("a house", PAGE)])
        def drawn_like(text: str) -> Image:
            """Draw it."""

        with pytest.raises(Misuse, match="its answers are Image, which no model can be shown as its own"):
            drawn_like("a tree")
