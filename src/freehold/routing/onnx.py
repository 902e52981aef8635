"""A sentence embedder in ONNX Runtime: a folder that `freehold embedder build` wrote, as an `Embedder`.

Needs the extra `freehold[embeddings]`; neither package is imported before an `OnnxEmbedder` is made.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.errors import DataError, OperatorError

MODEL, TOKENIZER, CARD = "model.onnx", "tokenizer.json", "embedder.json"
"""The three files of an embedder's folder."""


class Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an embedder's folder says of itself, in `embedder.json`."""

    architecture: str
    """The network's kind and size, such as `bert-6x384`: layers and width."""
    precision: Literal["int8", "fp32"]
    """How its weights are kept."""
    dims: int
    """Length of a vector."""
    max_tokens: int
    """Tokens of a text that are read; the rest is cut off."""
    source_sha256: str
    """Hash of the weights it was built from."""
    model_sha256: str
    """Hash of `model.onnx`."""
    tokenizer_sha256: str
    """Hash of `tokenizer.json`."""
    licence: str | None = None
    """The licence that the source's own card names; None where it names none."""

    @property
    def name(self) -> str:
        """Which function of the text this is: the same name gives the same vectors."""
        parts = f"{self.model_sha256} {self.tokenizer_sha256} {self.max_tokens}"
        return f"{self.architecture}-{self.precision}@{sha256(parts.encode()).hexdigest()[:16]}"


class OnnxEmbedder:
    """Mean-pooled sentence vectors of length 1 from a folder's model; about 2 ms for a short text with MiniLM in int8.

    Every text runs by itself, `threads` texts at a time: int8 scales activations by the largest of all that run together, so in a
    batch a text's vector depends on its neighbours (measured: cosine .993 to itself) and training would see other numbers than serving.
    Batches would gain little: of 16, 1.4 times as many messages of 60 characters a second, and two thirds as many prompts of 475.
    """

    def __init__(self, folder: Path, threads: int = 1, progress: Callable[[int, int], None] | None = None) -> None:
        """`progress` is told how many texts of how many are done.

        Raises OperatorError without the extra or the folder, DataError where a file is not the one the card names.
        """
        self.folder = folder.absolute()
        self.card = _read_card(folder)
        self._tokenizer = read_tokenizer(_read_checked(folder / TOKENIZER, self.card.tokenizer_sha256), self.card.max_tokens)
        self._session = open_session(_read_checked(folder / MODEL, self.card.model_sha256))
        self._threads = threads
        self._progress = progress

    def files(self) -> dict[str, bytes]:
        """What its folder holds, by name, checked. Raises DataError where a file was changed since."""
        checked = {TOKENIZER: self.card.tokenizer_sha256, MODEL: self.card.model_sha256}
        return {
            CARD: (self.folder / CARD).read_bytes(),
            **{name: _read_checked(self.folder / name, hash) for name, hash in checked.items()},
        }

    @property
    def name(self) -> str:
        """Identity, with a hash of model and tokenizer."""
        return self.card.name

    @property
    def dims(self) -> int:
        """Length of a vector."""
        return self.card.dims

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Shape N by D; every row has length 1."""
        vectors_ND = np.empty((len(texts), self.dims), np.float32)
        with ThreadPoolExecutor(self._threads) if self._threads > 1 and len(texts) > 1 else nullcontext() as pool:
            vectors = pool.map(self._embed, texts) if pool else map(self._embed, texts)
            for row, vector_D in enumerate(vectors):
                vectors_ND[row] = vector_D
                if self._progress is not None:
                    self._progress(row + 1, len(texts))
        return vectors_ND

    def _embed(self, text: str) -> NDArray[np.float32]:
        ids_1T = np.array([self._tokenizer.encode(without_surrogates(text)).ids], np.int64)
        vector_D: NDArray[np.float32] = self._session.run(None, {"ids": ids_1T, "mask": np.ones_like(ids_1T)})[0][0]
        return vector_D


def _read_card(folder: Path) -> Card:
    path = folder / CARD
    try:
        return msgspec.json.decode(path.read_bytes(), type=Card)
    except OSError as error:
        raise OperatorError(
            f"No embedder in {folder}: {path.name} cannot be read ({error.strerror}). Make the folder with 'freehold embedder build'."
        ) from error
    except msgspec.MsgspecError as error:
        raise DataError(f"{path} is not an embedder's card: {error}. Make the folder anew with 'freehold embedder build'.") from error


def _read_checked(path: Path, known: str) -> bytes:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise OperatorError(f"The embedder's {path} cannot be read ({error.strerror}). Make the folder anew.") from error
    found = sha256(content).hexdigest()
    if found != known:
        raise DataError(
            f"{path} has sha256 {found[:16]}…, its card says {known[:16]}…. Make the folder anew with 'freehold embedder build'."
        )
    return content


def read_tokenizer(content: bytes, max_tokens: int, overlap: int = 0) -> Any:  # tokenizers has no types we follow
    """The tokenizer of a file's content, which cuts a text after so many tokens; what is cut off overlaps by that many."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise _missing("tokenizers") from error
    tokenizer = Tokenizer.from_str(content.decode())
    tokenizer.enable_truncation(max_tokens, stride=overlap)  # the file's own setting (MiniLM: 128, padded) is for its training
    tokenizer.no_padding()
    return tokenizer


def open_session(model: bytes) -> Any:  # onnxruntime has no types we follow
    """A model that runs in the caller's thread."""
    try:
        import onnxruntime
    except ImportError as error:
        raise _missing("onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _missing(package: str) -> OperatorError:
    return OperatorError(f"The embedder needs the package '{package}', which is not installed. Run: pip install 'freehold[embeddings]'")


def without_surrogates(text: str) -> str:
    """A text that has a UTF-8 form: half a surrogate pair becomes '?'."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
