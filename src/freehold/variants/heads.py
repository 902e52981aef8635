"""A trained head answers: arrays over a text's features. Files of the format `head`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from freehold.errors import DataError
from freehold.routing.arrays import unpack
from freehold.routing.head import Head
from freehold.variants.specialist import Answered

HEAD = "head.safetensors"


@dataclass(frozen=True, slots=True)
class HeadAnswerer:
    """As of `Answerer`."""

    head: Head
    size_bytes: int
    is_quick: bool = True

    def answer(self, texts: Sequence[str]) -> list[Answered | None]:
        """As of `Answerer`."""
        probability_NC = self.head.probabilities(texts)
        best_N = np.argmax(probability_NC, axis=1)
        return [Answered(self.head.answers[best], float(p_C[best])) for best, p_C in zip(best_N, probability_NC, strict=True)]


def load(files: Mapping[str, bytes]) -> HeadAnswerer:
    """The head of these files. Raises DataError."""
    arrays, about = unpack(files.get(HEAD, b""), "a head")
    try:
        head = Head(tuple(about["answers"]), arrays["idf_B"], arrays["coef_BC"], arrays["intercept_C"], float(about["temperature"]))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"not a head: {error}. Train it again.") from None
    return HeadAnswerer(head, len(files[HEAD]))
