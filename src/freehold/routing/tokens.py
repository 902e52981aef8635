"""The words of the policy language: text in, tokens with places out; and how a name is written so that it reads back."""

import json
import math
import re
from typing import Literal, NamedTuple

from freehold.errors import PolicyError

KEYWORDS = (
    "task", "when", "otherwise", "use", "cheapest", "of", "where", "try", "accept", "then",
    "and", "or", "not", "in", "contains", "true", "false",
)  # fmt: skip

MAX_BYTES = 256 * 1024
"""A program is something a person reads: forty rules that each list sixty models come to a quarter of this."""

TokenKind = Literal["keyword", "word", "number", "text", "sign", "end"]

# No operator shares a character with a word, so that model names stand bare: gpt-4.1, meta-llama/Llama-3.1-70B, llama3:8b.
_WORD = re.compile(r"[A-Za-z0-9_./:@+-]+")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_TOKEN = re.compile(
    r'(?P<space>[ \t\r\n]+|#[^\n]*)|(?P<text>"(?:[^"\\\n]|\\.)*")|(?P<sign>[=!<>]=|[<>(),])|(?P<word>' + _WORD.pattern + ")"
)
# Line separators, zero-width and direction marks, lone surrogates. A list of our own: what Unicode calls printable grows by version,
# and a digest must not.
_UNSEEN = re.compile("[\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]")
_INSTEAD = {
    "=": "'=='", "'": 'double quotes: "…"', "‘": 'double quotes: "…"', "“": 'straight quotes: "…"', "”": 'straight quotes: "…"',
    "&": "'and'", "|": "'or'", "!": "'not' or '!='", ";": "nothing: a rule ends where the next begins",
}  # fmt: skip


class Place(NamedTuple):
    """Where something stands in a source, both 1-based; columns count characters."""

    line: int
    column: int


class Token(NamedTuple):
    kind: TokenKind
    text: str
    """As written; of a `text` token, what the quotes hold."""
    place: Place
    touches: bool
    """Nothing stands between this token and the one before: `"gpt 4".predicted_loss` is one name."""

    def shown(self) -> str:
        """The token as an error message names it."""
        if self.kind == "end":
            return "the end of the program"
        return clipped(quoted(self.text) if self.kind == "text" else f"'{self.text}'")


def tokenize(source: str | bytes) -> list[Token]:
    """The tokens of `source`, an `end` token last.

    Raises:
        PolicyError: too long, not UTF-8, or a character or string that no token can hold.
    """
    text = _decoded(source)
    tokens: list[Token] = []
    line, line_start, offset, touches = 1, 0, 0, False
    while offset < len(text):
        place = Place(line, offset - line_start + 1)
        match = _TOKEN.match(text, offset)
        if match is None:
            raise PolicyError(_stray(text[offset:]), *place)
        piece = match.group()
        if match.lastgroup == "space":
            touches = False
            if newlines := piece.count("\n"):
                line, line_start = line + newlines, offset + piece.rindex("\n") + 1
        else:
            tokens.append(_token(str(match.lastgroup), piece, place, touches))
            touches = True
        offset = match.end()
    return [*tokens, Token("end", "", Place(line, offset - line_start + 1), False)]


def is_bare(name: str) -> bool:
    """`name` reads back as itself without quotes."""
    return _WORD.fullmatch(name) is not None and not _NUMBER.fullmatch(name) and name not in KEYWORDS


def is_word(name: str) -> bool:
    """`name` holds only characters that a word may hold."""
    return _WORD.fullmatch(name) is not None


def quoted(text: str) -> str:
    """`text` in double quotes, escaped as in JSON, with what a reader would not see escaped too."""
    return _UNSEEN.sub(lambda match: json.dumps(match.group())[1:-1], json.dumps(text, ensure_ascii=False))


def clipped(text: str, limit: int = 60) -> str:
    """`text`, cut to what a message can carry."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def number_text(value: float) -> str:
    """The shortest decimal that reads back as `value`; whole numbers without a point."""
    return repr(float(value) + 0.0).removesuffix(".0")  # + 0.0 turns -0 into 0


def _token(group: str, piece: str, place: Place, touches: bool) -> Token:
    if group == "text":
        return Token("text", _unquoted(piece, place), place, touches)
    if group == "sign":
        return Token("sign", piece, place, touches)
    if piece in KEYWORDS:
        return Token("keyword", piece, place, touches)
    if _NUMBER.fullmatch(piece) is None:
        return Token("word", piece, place, touches)
    if not math.isfinite(float(piece)):
        raise PolicyError(f"the number {clipped(piece)} is too large; the largest is about 1.8e308.", *place)
    return Token("number", piece, place, touches)


def _unquoted(piece: str, place: Place) -> str:
    try:
        text = json.loads(piece, strict=False)
        text.encode()
    except ValueError as error:  # UnicodeEncodeError too: an escape that names half a character
        raise PolicyError(f'the string {clipped(piece)} has a bad escape; write \\" \\\\ \\n \\t \\uXXXX as in JSON.', *place) from error
    return str(text)


def _decoded(source: str | bytes) -> str:
    if len(source) > MAX_BYTES:
        raise PolicyError(f"the program is longer than {MAX_BYTES} bytes; a policy has to stay readable.", 1, 1)
    try:
        # Round trip of a str: half a surrogate pair cannot be hashed or stored.
        data = source.encode() if isinstance(source, str) else source
        text = data.decode()
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode()
        place = Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise PolicyError("the program is not UTF-8 text here.", *place) from error
    except UnicodeEncodeError as error:
        before = error.object[: error.start]
        place = Place(before.count("\n") + 1, len(before) - before.rfind("\n"))
        raise PolicyError("half of a surrogate pair stands here; it cannot be written as UTF-8.", *place) from error
    if len(data) > MAX_BYTES:
        raise PolicyError(f"the program is longer than {MAX_BYTES} bytes; a policy has to stay readable.", 1, 1)
    return text.removeprefix("\ufeff")


def _stray(rest: str) -> str:
    if rest[0] == '"':
        return f"the string {clipped(rest.splitlines()[0])} has no closing quote on its line."
    instead = _INSTEAD.get(rest[0])
    return f"found {rest[0]!r}, which the language does not use." + (f" Write {instead}." if instead else "")
