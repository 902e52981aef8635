"""What is taken out before the write, what is left alone, and how long it takes."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest

from freehold.journal.call import Attempt, Call, Feedback
from freehold.journal.redact import redact, redact_feedback, redact_json, redact_text
from freehold.journal.rows import digest_of

MakeCall = Callable[..., Call]
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow==\nabc\n-----END RSA PRIVATE KEY-----"

TAKEN_OUT = [
    ("write to ann.o'neil+x@mail.example.co.uk.", "write to ann.o'[EMAIL]."),
    ("Ann <ann@example.com>, bob_1@sub.example.org;", "Ann <[EMAIL]>, [EMAIL];"),
    ("größe@exämple.de", "[EMAIL]"),
    ("mailto:ann@example.com?subject=x", "mailto:[EMAIL]?subject=x"),
    ("call +49 (0)30 123456-78 now", "call [PHONE] now"),
    ("+14155552671", "[PHONE]"),
    ("(415) 555-2671 or 415-555-2671 or 415.555.2671", "[PHONE] or [PHONE] or [PHONE]"),
    ("ring 415 555 2671.", "ring [PHONE]."),
    ("0171 1234567, 0171/1234567, 01711234567", "[PHONE], [PHONE], [PHONE]"),
    ("020 7946 0958 and 06 12 34 56 78", "[PHONE] and [PHONE]"),
    ("0049 171 1234567", "[PHONE]"),
    ("DE89 3704 0044 0532 0130 00 BIC X", "[IBAN] BIC X"),
    ("iban:GB82WEST12345698765432,", "iban:[IBAN],"),
    ("fr1420041010050500013m02606", "[IBAN]"),
    ("4111 1111 1111 1111 exp 12/27", "[CARD] exp 12/27"),
    ("card 5555555555554444.", "card [CARD]."),
    ("3782-822463-10005", "[CARD]"),
    ("from 192.168.1.254:8080", "from [IP]:8080"),
    ("2001:db8:85a3::8a2e:370:7334 said", "[IP] said"),
    ("[fe80::1ff:fe23:4567:890a]", "[[IP]]"),
    ("::ffff:192.0.2.128", "[IP]"),
    ("key sk-proj-abcDEF1234567890abcd!", "key [SECRET]!"),
    ("sk-ant-api03-AbCdEf_123456789012345", "[SECRET]"),
    ("Authorization: Bearer abcdef0123456789.x-y_z", "Authorization: [SECRET]"),
    ("AKIAIOSFODNN7EXAMPLE", "[SECRET]"),
    ("ghp_" + "a1" * 18, "[SECRET]"),
    ("xoxb-123456789012-abc", "[SECRET]"),
    ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc_DEF-123", "[SECRET]"),
    ("rk_live_0123456789abcdef", "[SECRET]"),
    (f"a {PEM} b", "a [SECRET] b"),
    ("-----BEGIN PRIVATE KEY-----\nnever ends", "[SECRET]"),
    ("postgresql://ann:hunter2@host/db", "postgresql://[SECRET]@host/db"),
    ('{"api_key": "0123456789abcdef"}', '{"[SECRET]"}'),
    ("password=correcthorse", "[SECRET]"),
]

LEFT_ALONE = [
    "order 1234567890 of 2026-03-04, 12:30:45",
    "1,234,567.89 EUR or 1 234 567 or 12 345 678,90",
    "3.141592653589793 and 0.0000001234567",
    "4111 1111 1111 1112 fails its check digit",
    "1234567890123456 is nobody's card",
    "1700000000000 ms, 20260304123045, 1.2.3",
    "DE89 3704 0044 0532 0130 01 fails its checksum",
    "commit da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "react@18.2.0 and @decorator and a @ b",
    "std::vector<int> a::b dead::beef? 12:30:45 ::",
    "999.999.999.999 and 1.2.3.4.5 and v1.2.3.4",
    "task-force, risk-averse, ask-me sk-short",
    "the bearer of this letter; my token is lost; password: ",
    "0.5, 007, 00:15:22, 05.12.2024 10:30, 01-02-2024 12",
    "room 101, 42 people, 100 200 3000",
    "https://example.com/a:b and http://host:8080/x@y",
    "550e8400-e29b-41d4-a716-446655440000",
    "000000012345",
    "+1 more, 1+1=2, x+12345678",
    "",
]


@pytest.mark.parametrize(("text", "redacted"), TAKEN_OUT)
def test_what_identifies_a_person_or_opens_a_door_is_taken_out(text: str, redacted: str) -> None:
    assert redact_text(text) == redacted


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_ordinary_numbers_and_words_are_left_alone(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize("text", [text for text, _ in TAKEN_OUT])
def test_redacting_twice_changes_nothing(text: str) -> None:
    once = redact_text(text)
    assert redact_text(once) == once


@pytest.mark.parametrize(
    "piece",
    ["a", "1", "@", ".", "-", "a@", "a.", "a@a.", "1 ", "1-", "1.", "+1", "(1", "0 ", ":", "a:", "A1", "DE12", "DE12 ", "4 ", "x@x.1", "//:", "://a",
     "-----BEGIN PRIVATE KEY-----", "sk-", "eyJ", "eyJaaaaaaaa.", "Bearer ", "api_key=", "secret: ", "[", "1:1", "::", "\u0661"],
)  # fmt: skip
def test_no_text_takes_more_than_time_in_proportion(piece: str) -> None:
    """Pieces that make careless patterns take the square: four times the text takes at most some eight times as long."""

    def seconds(size: int) -> float:
        text = (piece * (size // len(piece) + 1))[:size] + " end@ 1234567 :// = earer eyJ sk-"
        times = []
        for _ in range(3):
            began = time.process_time()
            redact_text(text)
            times.append(time.process_time() - began)
        return min(times)

    small, large = seconds(25_000), seconds(100_000)
    assert large < max(8 * small, 0.1), f"{small:.4f} s for 25 KB, {large:.4f} s for 100 KB"


def test_every_string_of_a_json_value_is_looked_at() -> None:
    """Keys as well; a second key that becomes the same placeholder keeps its value."""
    value = {"a@x.com": [{"deep": "b@x.com"}], "c@x.com": 1, "n": 4111111111111111, "t": True, "none": None}
    expected = {"[EMAIL]": [{"deep": "[EMAIL]"}], "[EMAIL] 2": 1, "n": 4111111111111111, "t": True, "none": None}
    assert redact_json(value) == expected


def test_full_keeps_everything(a_call: MakeCall) -> None:
    call = a_call(1, input="a@x.com")
    assert redact(call, "full") is call


def test_redacted_covers_input_answers_tags_and_errors(a_call: MakeCall) -> None:
    """What connects records (item, subject, customer, group) stays, and digests are of what was said."""
    attempt = Attempt(n=0, variant="v", cause="first", outcome="failed", at=NOON, error="no such user a@x.com")
    call = a_call(
        1, input=["a@x.com"], output={"to": "a@x.com"}, reference_output="a@x.com", tags={"from a@x.com": "a@x.com"}, subject="a@x.com",
        customer="a@x.com", group="a@x.com", item="a@x.com", attempts=(attempt,),
    )  # fmt: skip
    kept = redact(call, "redacted")
    assert kept == msgspec.structs.replace(
        call,
        input=["[EMAIL]"],
        output={"to": "[EMAIL]"},
        reference_output="[EMAIL]",
        tags={"from [EMAIL]": "[EMAIL]"},
        attempts=(msgspec.structs.replace(attempt, error="no such user [EMAIL]"),),
        output_digest=digest_of({"to": "a@x.com"}),
        reference_digest=digest_of("a@x.com"),
    )


def test_none_keeps_no_content_and_all_digests(a_call: MakeCall) -> None:
    call = a_call(1, reference_output="cards", tags={"tier": "gold"})
    kept = redact(call, "none")
    assert (kept.input, kept.output, kept.reference_output) == (None, None, None)
    assert (kept.output_digest, kept.reference_digest, kept.tags) == (digest_of(call.output), digest_of("cards"), {"tier": "gold"})


def test_a_digest_that_is_there_stays(a_call: MakeCall) -> None:
    """It was taken before somebody redacted the record."""
    assert redact(a_call(1, output_digest="abc"), "none").output_digest == "abc"


def test_comments_are_redacted_too() -> None:
    said = Feedback(id="1", call="c", metric="note", kind="comment", content={"text": "ask a@x.com"}, source="user", at=NOON)
    assert redact_feedback(said, "full") is said
    assert redact_feedback(said, "redacted").content == {"text": "ask [EMAIL]"}
    assert redact_feedback(said, "none").content is None
