"""Tokenizers that lie on this machine. None is ever fetched: tiktoken downloads a vocabulary that it does not find, so we look first."""

import hashlib
import os
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from freehold.context.count import Tokenizer, rule_for
from freehold.errors import DataError, OperatorError


class _Vocabulary(NamedTuple):
    url: str
    """Where tiktoken would fetch it; the name of the file it keeps is a hash of this."""
    sha256: str
    """Of the file. tiktoken fetches it again where this differs."""


_AT = "https://openaipublic.blob.core.windows.net/encodings"
_KNOWN = {
    "o200k": _Vocabulary(f"{_AT}/o200k_base.tiktoken", "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"),
    "cl100k": _Vocabulary(f"{_AT}/cl100k_base.tiktoken", "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"),
}


class _Tiktoken:
    """One of OpenAI's encodings."""

    def __init__(self, encoding: Any) -> None:
        self._encoding = encoding

    def encode(self, text: str) -> Sequence[int]:
        """Words that look like a mark, such as `<|endoftext|>`, are words here."""
        tokens: list[int] = self._encoding.encode_ordinary(text)
        return tokens


class _FromFile:
    """A tokenizer of Hugging Face's library."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer

    def encode(self, text: str) -> Sequence[int]:
        tokens: list[int] = self._tokenizer.encode(text, add_special_tokens=False).ids
        return tokens


def tokenizer_from(file: Path) -> Tokenizer:
    """The tokenizer in a `tokenizer.json`, which models of your own come with. Raises OperatorError where the library is missing, DataError
    where the file is."""
    try:
        import tokenizers
    except ModuleNotFoundError:
        raise OperatorError(f"'{file}' takes a library that is not installed: pip install 'freehold[embeddings]'") from None
    try:
        found = tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:
        raise DataError(f"'{file}' cannot be read as a tokenizer: {error}. Expected the tokenizer.json of a model.") from error
    found.no_truncation()
    found.no_padding()
    return _FromFile(found)


def tiktoken_for(model: str) -> Tokenizer | None:
    """tiktoken's vocabulary for one of OpenAI's models; None where tiktoken is not installed, has not got it on this machine, or where the
    model is not known to have it."""
    name = rule_for(model)
    is_known = name == "o200k" or model.startswith(("gpt-4", "gpt-3.5"))
    if not is_known or find_spec("tiktoken") is None or not _is_kept(_KNOWN[name]):
        return None
    import tiktoken

    return _Tiktoken(tiktoken.get_encoding(f"{name}_base"))


def _is_kept(vocabulary: _Vocabulary) -> bool:
    """Whether tiktoken would find the file, and not fetch it anew."""
    named = [os.environ[name] for name in ("TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR") if name in os.environ]
    if named and not named[0]:
        return False  # set to nothing: it keeps none
    folder = Path(named[0]) if named else Path(tempfile.gettempdir()) / "data-gym-cache"
    file = folder / hashlib.sha1(vocabulary.url.encode(), usedforsecurity=False).hexdigest()
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest() == vocabulary.sha256
    except OSError:
        return False
