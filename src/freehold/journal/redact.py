"""What of a call is kept: all of it, all but what identifies people and opens doors, or nothing of what was said.

Acts before the write, so that what is taken out never reaches a disk. Patterns are found in time linear in the text: every one starts
where a word starts and never gives back what it has read. Measured by `bench/journal.py` (`redact_us_per_kb`).
"""

import re
from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import NamedTuple, TypeAlias, TypeVar

import msgspec

from freehold.catalog import Content
from freehold.chat import JSON, is_media
from freehold.errors import DataError
from freehold.journal.call import Attempt, Call, Feedback
from freehold.journal.rows import digest_of

_T = TypeVar("_T")
_UNSEEN = "[MEDIA]"
Check: TypeAlias = Callable[[str], int]
"""How many characters of a match are to be replaced; 0 for none of them."""


def redact(call: Call, content: Content) -> Call:
    """The call as it may be kept. `none` drops input, answer and recorded answer; `redacted` puts placeholders into every text of theirs, and in
    the place of the bytes of images, recordings, films and documents.

    Digests are of what was said, so that equal answers stay equal. Names by which the journal connects things (item, group, customer,
    subject, episode) stay as they are, and so do numbers that are no text. Redacting twice changes nothing.
    """
    if content == "full":
        return call
    try:
        return _redacted(call, content)
    except RecursionError:
        raise DataError(f"call '{call.id}' is nested too deeply to be redacted") from None


def redact_feedback(said: Feedback, content: Content) -> Feedback:
    """Feedback as it may be kept: `none` drops a correction, a comment or the other answer of a preference, `redacted` puts placeholders into
    it. Which call a preference names stays, as names by which the journal connects things do."""
    if content == "full" or said.content is None:
        return said
    if said.kind == "preference" and isinstance(said.content, dict):
        compared = {verdict: _redacted_other(other, content) for verdict, other in said.content.items()}
        return msgspec.structs.replace(said, content=compared)
    return msgspec.structs.replace(said, content=None if content == "none" else redact_json(said.content))


def _redacted_other(other: JSON, content: Content) -> JSON:
    if not isinstance(other, dict):
        return None
    return {name: value if name == "call" else None if content == "none" else redact_json(value) for name, value in other.items()}


def redact_json(value: JSON) -> JSON:
    """A JSON value with placeholders in its strings and keys."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, list):
        return [redact_json(entry) for entry in value]
    if isinstance(value, dict):
        if "media" in value and is_media(value) and "data" in value:  # nobody looks into it, and whom it shows nobody knows
            value = {**value, "data": _UNSEEN}
        return _redacted_keys({key: redact_json(entry) for key, entry in value.items()})
    return value


def redact_text(text: str) -> str:
    """A text with placeholders such as `[EMAIL]` for what identifies a person or opens a door."""
    for kind in _WORDS:
        if _has_any(kind.characters, text) and _has_any(kind.hints, text):
            text = kind.replaced(text)
    if _has_any("0123456789", text):
        if text.count(".") >= 3:
            text = _IPV4.replaced(text)
        if _SEVEN_DIGITS.search(text):
            for kind in _NUMBERS:
                text = kind.replaced(text)
    return text


def taken_out(text: str) -> list[tuple[str, str]]:
    """What `redact_text` takes out of a text, piece by piece, and what kind of thing each is, such as `email`."""
    found: list[tuple[str, str]] = []
    for kind in (*_WORDS, _IPV4, *_NUMBERS):
        kept = kind.replaced(text)
        if kept != text:
            name = kind.placeholder.strip(":/[]").lower()
            pieces = [
                (match.group(), len(match.group()) if kind.check is None else kind.check(match.group()))
                for match in kind.pattern.finditer(text)
            ]
            found += [(piece[:length], name) for piece, length in pieces if length]
        text = kept
    return found


def _has_any(parts: Iterable[str], text: str) -> bool:
    for part in parts:  # noqa: SIM110 a generator costs more than what it looks for
        if part in text:
            return True
    return False


def _redacted(call: Call, content: Content) -> Call:
    dropped = content == "none"
    return msgspec.structs.replace(
        call,
        input=None if dropped else redact_json(call.input),
        output=None if dropped else redact_json(call.output),
        reference_output=None if dropped else redact_json(call.reference_output),
        output_digest=call.output_digest or (None if call.output is None else digest_of(call.output)),
        reference_digest=call.reference_digest or (None if call.reference_output is None else digest_of(call.reference_output)),
        tags=_redacted_keys({key: redact_text(value) for key, value in call.tags.items()}) if call.tags else call.tags,
        attempts=tuple(_redacted_attempt(attempt) for attempt in call.attempts),
        probabilities={} if dropped else _redacted_keys(call.probabilities),
    )


def _redacted_attempt(attempt: Attempt) -> Attempt:
    return msgspec.structs.replace(attempt, error=redact_text(attempt.error)) if attempt.error else attempt


def _redacted_keys(values: dict[str, _T]) -> dict[str, _T]:
    """Keys with placeholders; a second key of one placeholder gets a number, so that no value is lost."""
    kept: dict[str, _T] = {}
    for key, value in values.items():
        name = plain = redact_text(key) if isinstance(key, str) else key
        count = 1
        while name in kept:
            count += 1
            name = f"{plain} {count}"
        kept[name] = value
    return kept


class _Kind(NamedTuple):
    """One kind of thing that is taken out."""

    placeholder: str
    """What stands there instead."""
    pattern: re.Pattern[str]
    """The thing itself."""
    check: Check | None = None
    """What a pattern cannot tell."""
    characters: str = ""
    """One of these is in every text that has one; ten times faster to look for than a word."""
    hints: tuple[str, ...] = ("",)
    """And one of these."""
    trigger: re.Pattern[str] | None = None
    """And this, which begins with a rare character, so that it is found fast."""

    def replaced(self, text: str) -> str:
        if self.trigger is not None and not self.trigger.search(text):
            return text
        return self.pattern.sub(self._replacement, text)

    def _replacement(self, match: re.Match[str]) -> str:
        found = match.group()
        length = len(found) if self.check is None else self.check(found)
        return self.placeholder + found[length:] if length else found


def _digits(text: str) -> str:
    return "".join(character for character in text if character in "0123456789")


def _is_card(found: str) -> int:
    """A card's number has a known issuer and a check digit (Luhn, ISO/IEC 7812-1)."""
    digits = _digits(found)
    if not _ISSUERS.match(digits):
        return 0
    total = sum(int(d) if place % 2 == 0 else (2 * int(d) - 9 * (d > "4")) for place, d in enumerate(reversed(digits)))
    return len(found) if total % 10 == 0 else 0


def _is_iban(found: str) -> int:
    """An IBAN has its country's length and a remainder of 1 (ISO 13616, mod 97). What follows it in the match is left alone."""
    wanted = _IBAN_LENGTHS.get(found[:2].upper(), 0)
    account = ""
    end = 0
    while end < len(found) and len(account) < wanted:
        if found[end] not in " -":
            account += found[end].upper()
        end += 1
    if not wanted or len(account) != wanted or (end < len(found) and found[end].isalnum()):
        return 0
    return end if int("".join(str(int(c, 36)) for c in account[4:] + account[:4])) % 97 == 1 else 0


def _is_ip(found: str) -> int:
    """An address that parses, and is no scope operator (`a::b`) or time of day."""
    if "." not in found and (len(found) < 5 or not any(character.isdigit() for character in found)):
        return 0
    try:
        ip_address(found)
    except ValueError:
        return 0
    return len(found)


def _is_phone(found: str) -> int:
    """A number with a trunk zero has 9 to 12 digits and is no date; one without separators 10 or 11."""
    digits = _digits(found)
    separated = len(digits) < len(found)
    if found.startswith("00"):
        return len(found) if 10 <= len(digits) <= 17 and (separated or len(digits) >= 12) else 0
    if _DATE.match(found):
        return 0
    return len(found) if (9 <= len(digits) <= 12 if separated else 10 <= len(digits) <= 11) else 0


_ISSUERS = re.compile(
    r"(?:4\d{12}(?:\d{3}){0,2}|(?:5[1-5]|2[2-7])\d{14}|3[47]\d{13}|(?:6011|65\d\d|64[4-9]\d)\d{12,15}|35\d{14}|3[0689]\d{12,14}|62\d{14,17})$"
)
_DATE = re.compile(r"\d{1,2}[-./ ]\d{1,2}[-./ ](?:19|20)\d\d(?!\d)")
_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FO GL NL",
        19: "MK SI",
        20: "AT BA EE KZ LT LU XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HU LB PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU",
        31: "MT SC",
        32: "LC",
    }.items()
    for country in countries.split()
}

_SECRET = "[SECRET]"  # noqa: S105 a placeholder
_WORDS = (
    _Kind(
        _SECRET,
        re.compile(r"-----BEGIN[A-Z ]{0,40}PRIVATE KEY-----(?:[^-]|-(?!----END))*+(?:-----END[A-Z ]{0,40}-----)?"),
        characters="-",
        hints=("PRIVATE KEY-----",),
    ),
    _Kind(
        "://" + _SECRET,
        re.compile(r"://[^\s/:@\[\]]{0,64}+:[^\s/@]{1,128}+@(?=\S)"),
        lambda found: len(found) - 1,
        characters=":",
        hints=("://",),
    ),
    _Kind(_SECRET, re.compile(r"(?<!\w)(?i:bearer)\s{1,4}[\w.~+/=-]{16,}+"), characters="bB", hints=("earer", "EARER")),
    _Kind(_SECRET, re.compile(r"eyJ(?<![\w.-]eyJ)[\w-]{8,}+\.[\w-]{8,}+\.[\w-]++"), characters="J", hints=("eyJ",)),
    _Kind(_SECRET, re.compile(r"sk-(?<![\w-]sk-)[\w-]{16,}+"), characters="-", hints=("sk-",)),
    _Kind(_SECRET, re.compile(r"(?<!\w)[srp]k_(?:live|test)_\w{10,}+"), characters="_", hints=("k_live_", "k_test_")),
    _Kind(_SECRET, re.compile(r"A(?<!\wA)[KS]IA[0-9A-Z]{16}(?!\w)"), characters="A", hints=("AKIA", "ASIA")),
    _Kind(_SECRET, re.compile(r"(?<!\w)(?:gh[pousr]|github_pat)_\w{20,}+"), characters="_", hints=("gh",)),
    _Kind(_SECRET, re.compile(r"xox(?<!\wxox)[abeprs]-[\w-]{10,}+"), characters="-", hints=("xox",)),
    _Kind(_SECRET, re.compile(r"AIza(?<![\w-]AIza)[\w-]{35}(?![\w-])"), characters="A", hints=("AIza",)),
    _Kind(_SECRET, re.compile(r"hf_(?<!\whf_)[A-Za-z0-9]{30,}+"), characters="_", hints=("hf_",)),
    _Kind(
        _SECRET,
        re.compile(
            r"(?<![A-Za-z])(?i:api[_-]?key|secret(?:[_-]?(?:access[_-]?)?key)?|access[_-]?token|auth[_-]?token|passw(?:or)?d)"
            r"[\"']?\s{0,4}[=:]\s{0,4}[\"']?(?!\[)[^\s\"',;\[\]{}<>]{8,200}+"
        ),
        characters="=:",
        hints=("ecret", "ECRET", "assw", "ASSW", "key", "Key", "KEY", "oken", "OKEN"),
        trigger=re.compile(r"[=:]\s{0,4}[\"']?[^\s\"',;\[\]{}<>]{8}"),
    ),
    _Kind("[EMAIL]", re.compile(r"(?<![\w.%+-])[\w.%+-]++@[\w-]++(?:\.[\w-]++)*?\.[^\W\d_]{2,24}(?![\w-]|\.\w)"), characters="@"),
    _Kind(
        "[IP]",
        re.compile(r"(?<![\w:.])[0-9A-Fa-f:]{2,39}+(?:\.[0-9]{1,3}){0,3}+(?![\w:])"),
        _is_ip,
        characters=":",
        trigger=re.compile(r":[0-9A-Fa-f]{0,4}:"),
    ),
)
"""Most telling first: what an earlier one replaced, a later one does not see."""

_IPV4 = _Kind(
    "[IP]",
    re.compile(r"[0-9](?<![\w.][0-9])[0-9]{0,2}(?:\.[0-9]{1,3}){3}(?!\w|\.[0-9])"),
    _is_ip,
    trigger=re.compile(r"\.[0-9]{1,3}\.[0-9]"),
)
_SEVEN_DIGITS = re.compile(r"[0-9](?:[ .()/-]{0,2}[0-9]){6}")
"""Seven digits close together: in every account, card and phone number."""
_NUMBERS = (
    _Kind(
        "[IBAN]",
        re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]){11,40}+"),
        _is_iban,
        trigger=re.compile(r"[0-9](?<=[A-Za-z]{2}[0-9])[0-9](?:[ -]?[A-Za-z0-9]){11}"),
    ),
    _Kind("[CARD]", re.compile(r"[0-9](?<![\w.,+-][0-9])(?:[ -]?[0-9]){11,17}+[0-9]?+(?![\w-]|[.,][0-9])"), _is_card),
    _Kind("[PHONE]", re.compile(r"\+(?<![\w+]\+)[1-9](?:[ ().-]{0,2}[0-9]){7,14}(?![0-9])")),
    _Kind(
        "[PHONE]",
        re.compile(
            r"[(0-9](?<![\w.,:/+-].)(?:(?<=1)[ .-](?:\([0-9]{3}\) ?|[0-9]{3}[.-])|(?<=\()[0-9]{3}\) ?|(?<=[0-9])[0-9]{2}[.-])"
            r"[0-9]{3}[ .-][0-9]{4}(?![\w-]|[.,][0-9])"
        ),
    ),
    _Kind(
        "[PHONE]",
        re.compile(r"[1-9](?<![\w.,:/+-].)(?:(?<=1) [2-9][0-9]{2}|(?<=[2-9])[0-9]{2}) [2-9][0-9]{2}[ -][0-9]{4}(?![\w-]|[.,][0-9]| [0-9])"),
    ),
    _Kind(
        "[PHONE]",
        re.compile(r"[(0](?<![\w.,:/+-].)(?<![0-9] .)(?:(?<=\()0|(?<=0))[0-9]{1,5}\)?(?:[ /.-]{1,2}[0-9]{2,8}){0,6}(?![\w-]|[.,:][0-9])"),
        _is_phone,
    ),
    _Kind("[PHONE]", re.compile(r"0(?<![\w.,:/+-]0)(?:0[1-9]|[1-9])[0-9]{8,14}(?![\w-]|[.,:][0-9])"), _is_phone),
)
