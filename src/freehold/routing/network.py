"""A small encoder that was tuned here, in ONNX Runtime: texts to scores, of each token or of the whole. Needs `freehold[embeddings]`."""

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from freehold.errors import DataError
from freehold.routing.onnx import MODEL, TOKENIZER, open_session, read_tokenizer, without_surrogates

__all__ = ["MODEL", "TOKENIZER", "Network"]
_OVERLAP = 32
"""Tokens that stand in two windows of a long text, so that those at the edge of one are seen with what surrounds them in the other."""


class Network:
    """Each text runs by itself: int8 scales activations by the largest of all that run together, so that in a batch a text's scores would depend on
    its neighbours."""

    def __init__(self, files: Mapping[str, bytes], max_tokens: int) -> None:
        """Raises DataError for files that are none, OperatorError where a package is missing."""
        try:
            self._session = open_session(files[MODEL])
            self._tokenizer = read_tokenizer(files[TOKENIZER], max_tokens, min(_OVERLAP, max_tokens // 4))
        except KeyError as error:
            raise DataError(f"there is no file {error} beside the model. Restore it from a backup, or train it again.") from None

    def scores(self, text: str) -> NDArray[np.float32]:
        """Of a whole text, length C. Of a long one its first tokens count."""
        ids, _ = next(self._windows(text))
        score_C: NDArray[np.float32] = self._run(ids)
        return score_C

    def token_scores(self, text: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The first characters of K tokens, in order, and their scores, K by C. A long text is read window by window."""
        starts: list[int] = []
        rows: list[NDArray[np.float32]] = []
        edge = 0
        for ids, offsets in self._windows(text):
            score_TC = self._run(ids)
            fresh = [t for t, (start, end) in enumerate(offsets) if end > start and start >= edge]
            starts += [offsets[t][0] for t in fresh]
            rows.append(score_TC[fresh])
            edge = max([edge, *(end for _, end in offsets)])
        return np.array(starts, np.int64), np.concatenate(rows)

    def _windows(self, text: str) -> Iterator[tuple[list[int], list[tuple[int, int]]]]:
        encoded = self._tokenizer.encode(without_surrogates(text))
        for window in (encoded, *encoded.overflowing):
            yield window.ids, window.offsets

    def _run(self, ids: list[int]) -> NDArray[np.float32]:
        ids_1T = np.array([ids], np.int64)
        found: NDArray[np.float32] = self._session.run(None, {"ids": ids_1T, "mask": np.ones_like(ids_1T)})[0][0]
        return found
