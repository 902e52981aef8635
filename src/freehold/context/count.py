"""How many tokens a text or a conversation is, before it is sent: exactly, where a tokenizer is handed in, else by an estimate that says so.

The estimate counts what tokenizers cut a text into: words, what is long about them, numbers by three digits, signs, breaks of lines, letters
of other scripts. Its weights are fitted to two published vocabularies and measured on text that the fit has not seen: `bench/counting.py`,
which prints the weights it would fit beside those that stand here.
"""

import re
import string
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from operator import mul
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

from freehold.chat import Media, Message, Refusal, Text, Thinking, ToolCall, ToolResult

MESSAGE_TOKENS = 4
"""What a message takes beside its words: who speaks, where it begins and ends. OpenAI counts three and the role, which is one token; others
do not say."""
CALL_TOKENS = 8
"""What a call of a tool or its result takes beside its words; nobody says, and a JSON object around them takes about so many."""


@runtime_checkable
class Tokenizer(Protocol):
    """Cuts a text into tokens as one model does. `tokenizer.py` makes one of what is on this machine."""

    def encode(self, text: str) -> Sequence[int]:
        """The tokens' numbers, without any that mark a beginning or an end."""


class Count(NamedTuple):
    """How many tokens something is."""

    tokens: int
    """How many; of what is `unknown`, nothing is in it."""
    is_exact: bool
    """Whether a model's own tokenizer would say the same. What stands around a message is known for no model, so of messages it never is."""
    rule: str
    """By which rule: `tokenizer`, `o200k`, `cl100k`."""
    unknown: int = 0
    """Parts whose size nobody knows: an image, where nothing was handed in that estimates it."""

    @property
    def shown(self) -> str:
        """The count as a message names it."""
        return f"{self.tokens:,}" if self.is_exact else f"about {self.tokens:,}"


Counted: TypeAlias = str | Message | Sequence[Message]
"""What can be counted."""
Counter: TypeAlias = Callable[[Counted], Count]
"""Counts, such as `counter_of` gives it."""
Estimates: TypeAlias = Callable[[Media], int | None]
"""How many tokens an image, a recording or a document is; None for unknown."""


class Pieces(NamedTuple):
    """What a text is made of, as far as it decides about tokens; or what each of these weighs."""

    words: float
    """Runs of Latin letters: most are one token together with the space before them."""
    long: float
    """Letters of these beyond the eighth."""
    accents: float
    """Latin letters that are not of ASCII: they break words, and speak for a language that vocabularies know less of."""
    numbers: float
    """Digits, by three. The space before a number is a token of its own."""
    signs: float
    """Runs of ASCII's punctuation."""
    more_signs: float
    """Further signs in these."""
    breaks: float
    """Ends of lines with what is indented after them, tabs, and runs of spaces."""
    humps: float
    """Places where a capital follows a small letter: `aName`."""
    east: float
    """Letters that are written without spaces between words: Chinese, Japanese, Korean."""
    scripts: float
    """Letters of any other script, such as Cyrillic, Greek, Arabic or Thai."""
    symbols: float
    """Any other character, such as an emoji or a typographer's dash."""


WEIGHTS = {
    "o200k": Pieces(0.99, 0.30, 1.24, 1.75, 0.69, 0.39, 0.84, 1.71, 0.76, 0.38, 1.48),
    "cl100k": Pieces(1.00, 0.40, 3.14, 1.76, 0.73, 0.30, 0.77, 1.55, 1.22, 0.83, 1.08),
}
"""By vocabulary, tokens for each piece, as `bench/counting.py` fits them to one half of its texts. On the other half the estimate is off by 5 %
on average, and four characters a token by 19 %. The smaller vocabulary cuts other languages than English much finer."""
_O200K = re.compile(r"(?:.*/)?(?:gpt-4o|gpt-4\.|gpt-[5-9]|chatgpt-4o|o[1-9](?:-|$)|gpt-oss)", re.IGNORECASE)
_LETTERS = 8
"""So many letters of a word are one token."""


def _only(kept: str) -> bytes:
    """A table for `bytes.translate`: what is kept stays, the rest are spaces. It looks at a kilobyte in less than a microsecond."""
    return bytes(code if chr(code) in kept else 32 for code in range(256))


_LATIN, _DIGITS, _SIGNS = _only(string.ascii_letters), _only(string.digits), _only(string.punctuation)
_CASES = bytes(97 if chr(code) in string.ascii_lowercase else 65 if chr(code) in string.ascii_uppercase else 32 for code in range(256))
_CONTROLS = bytes([*range(9), 11, 12, *range(14, 32), 127])
_BREAK = re.compile(r"[\n\r][ \t\n\r]*|  +|\t")
_NOT_ASCII = re.compile("[^\x00-\x7f]")
_ACCENT = re.compile("[\u00c0-\u024f]")
_EAST = re.compile("[\u1100-\u11ff\u3040-\u318f\u3400-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]")
_SCRIPTS = re.compile("[\u0370-\u10ff\u1200-\u1fff\u2c00-\u2dff\ua000-\ua95f\ua980-\uabff]")


def rule_for(model: str) -> str:
    """The vocabulary whose weights stand for a model's. One that is not known counts as the smaller: too many tokens cost a little room, too
    few a refused request."""
    return "o200k" if _O200K.match(model) else "cl100k"


def pieces_of(text: str) -> Pieces:
    """What a text is made of."""
    accents = east = scripts = symbols = 0
    latin = text
    if not text.isascii():
        latin, accents = _ACCENT.subn("e", text)
        latin, others = _NOT_ASCII.subn(" ", latin)
        east, scripts = len(_EAST.findall(text)), len(_SCRIPTS.findall(text))
        symbols = others - east - scripts
    plain = latin.encode("ascii")
    words, numbers, signs = (plain.translate(table).split() for table in (_LATIN, _DIGITS, _SIGNS))
    has_breaks = "\n" in text or "  " in text or "\t" in text or "\r" in text
    return Pieces(
        words=len(words),
        long=sum([len(word) - _LETTERS for word in words if len(word) > _LETTERS]),
        accents=accents,
        numbers=sum([(len(number) + 2) // 3 for number in numbers]),
        signs=len(signs),
        more_signs=sum(map(len, signs)) - len(signs),
        breaks=(len(_BREAK.findall(text)) if has_breaks else 0) + len(plain) - len(plain.translate(None, _CONTROLS)),
        humps=plain.translate(_CASES).count(b"aA"),
        east=east,
        scripts=scripts,
        symbols=symbols,
    )


def estimate(text: str, rule: str = "cl100k") -> int:
    """About how many tokens a text is; at least one where there is one character."""
    if not text:
        return 0
    tokens: float = sum(map(mul, WEIGHTS[rule], pieces_of(text)))
    return max(1, round(tokens))


def tokens_of(value: Counted, model: str = "", tokenizer: Tokenizer | None = None, estimates: Estimates | None = None) -> Count:
    """How many tokens a text, a message or a conversation is.

    With a `tokenizer`, which has to be the model's own, its texts are exact; else they are estimated by the rule for `model`. `estimates` says
    how large a part is that is no text; without it, or where it does not know either, that part counts as unknown.
    """
    rule = "tokenizer" if tokenizer else rule_for(model)
    size = partial(_tokenized, tokenizer) if tokenizer else partial(estimate, rule=rule)
    if isinstance(value, str):
        return Count(size(value), tokenizer is not None, rule)
    tokens = unknown = 0
    for message in (value,) if isinstance(value, Message) else value:
        tokens += MESSAGE_TOKENS + (size(message.name) + 1 if message.name else 0)
        for part in message.parts:
            for piece in _sizes(part, size, estimates):
                if piece is None:
                    unknown += 1
                else:
                    tokens += piece
    return Count(tokens, False, rule, unknown)


def counter_of(model: str = "", tokenizer: Tokenizer | None = None, estimates: Estimates | None = None) -> Counter:
    """`tokens_of` with its settings, as `history.fit` takes it."""
    return partial(tokens_of, model=model, tokenizer=tokenizer, estimates=estimates)


def _tokenized(tokenizer: Tokenizer, text: str) -> int:
    return len(tokenizer.encode(text))


def _sizes(part: object, size: Callable[[str], int], estimates: Estimates | None) -> Iterator[int | None]:
    """The tokens of a part, piece by piece; None for one nobody knows."""
    match part:
        case Text(text=text) | Refusal(text=text):
            yield size(text)
        case Thinking():
            yield size(part.text) + size(part.sealed)  # sealed it is longer than what it hides
        case ToolCall():
            yield CALL_TOKENS + size(part.name) + size(part.arguments)
        case ToolResult():
            yield CALL_TOKENS
            for inner in part.parts:
                yield from _sizes(inner, size, estimates)
        case Media():
            yield estimates(part) if estimates else None
