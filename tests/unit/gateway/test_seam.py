"""Where an answer goes on from another, nothing is said twice and nothing is left out."""

import pytest

from freehold.chat import Chunk
from freehold.gateway.seam import Seam


def joined(said: str, *pieces: str) -> str:
    seam = Seam(said)
    chunks = [Chunk(id="a"), *(Chunk(text=piece) for piece in pieces), Chunk(finish="stop")]
    told = [out for chunk in chunks for out in seam.joined([chunk])]
    assert told[-1].finish == "stop"
    return said + "".join(chunk.text for chunk in told)


@pytest.mark.parametrize(
    ("said", "pieces", "whole"),
    [
        ("The sky is ", ("blue.",), "The sky is blue."),
        ("The sky is ", ("The", " sky is blue."), "The sky is blue."),
        ("The sky is ", ("The sky", " is", " ", "blue."), "The sky is blue."),
        ("The sky is ", (" blue.",), "The sky is blue."),
        ("The sky", (" is blue.",), "The sky is blue."),
        ("The sky", ("The", "re it ends."), "The skyThere it ends."),
        ("The sky", ("The",), "The sky"),
        ("The sky", (), "The sky"),
    ],
)
def test_two_answers_are_joined(said: str, pieces: tuple[str, ...], whole: str) -> None:
    assert joined(said, *pieces) == whole
