"""What reviewers are shown: long texts by pages, differences, and a word about what is no text."""

from base64 import b64encode

from hypothesis import given
from hypothesis import strategies as st

from freehold.feedback.attached import attached
from freehold.feedback.show import answer_text, asked_text, difference, excerpt, pages

BYTES = b64encode(b"and so on").decode()


@given(st.text(st.sampled_from("ab\n "), max_size=4000))
def test_pages_show_everything_once(text: str) -> None:
    """Whatever the text: its pages in order are the text, but for line ends between them."""
    shown = [excerpt(text, 1, n).text for n in range(pages(text))]
    assert "".join(shown).replace("\n", "") == text.replace("\n", "")
    assert excerpt(text, 1, 10_000) == excerpt(text, 1, pages(text) - 1)


def test_a_difference_is_told_word_by_word_or_line_by_line() -> None:
    assert difference("pay by card now", "pay by cash now") == "pay by [-card-] {+cash+} now"
    assert difference("same", "same") == difference("a\nb", "a\nb") == "They are the same."
    assert difference("a\nb\nc", "a\nB\nc").splitlines()[1:] == [" a", "-b", "+B", " c"]


def test_what_is_no_text_is_named_in_every_format_and_never_printed() -> None:
    ours = {"media": "image", "media_type": "image/png", "data": BYTES}
    openai = [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look."},
                {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{BYTES}"}},
                {"type": "input_audio", "input_audio": {"data": BYTES, "format": "wav"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
            ],
        }
    ]
    source = {"type": "base64", "media_type": "application/pdf", "data": BYTES}
    anthropic = [{"role": "user", "content": [{"type": "document", "source": source}]}]
    assert asked_text({"picture": ours}).splitlines()[-1] == "[image image/png, 9 bytes]"
    assert asked_text(openai).splitlines() == [
        "Look.",
        "[image image/jpeg, 9 bytes]",
        "[audio audio/wav, 9 bytes]",
        "[image at https://example.com/a.png]",
    ]
    assert asked_text(anthropic) == "[file application/pdf, 9 bytes]"
    assert answer_text(ours) == "[image image/png, 9 bytes]"
    assert not any(BYTES in asked_text(one) for one in ({"picture": ours}, openai, anthropic))
    assert [one.ending for one in attached([ours, *openai])] == ["png", "jpg", "wav", "bin"]
    assert attached(anthropic)[0].data == b"and so on"
