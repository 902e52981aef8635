"""Tokenizers of this machine: used where they are, never fetched."""

import json
from pathlib import Path

import pytest

from freehold.context.count import tokens_of
from freehold.context.tokenizer import tiktoken_for, tokenizer_from
from freehold.errors import DataError


def test_a_vocabulary_that_is_not_here_is_not_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """tiktoken would: where its folder is empty, and where a file in it is not what it expects."""
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    assert tiktoken_for("gpt-4") is None
    kept = tmp_path / "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"
    kept.write_bytes(b"broken")
    assert tiktoken_for("gpt-4") is None
    assert kept.read_bytes() == b"broken"
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    assert tiktoken_for("gpt-4") is None


def test_a_model_of_somebody_else_has_no_vocabulary_of_openai() -> None:
    assert tiktoken_for("claude-sonnet-4-5") is None


def test_a_tokenizer_is_read_from_a_file(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    file = tmp_path / "tokenizer.json"
    model = {"type": "WordLevel", "vocab": {"a": 0, "b": 1, "?": 2}, "unk_token": "?"}
    rest = {"version": "1.0", "added_tokens": [], "normalizer": None, "post_processor": None, "decoder": None}
    cut = {"max_length": 2, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    file.write_text(json.dumps({**rest, "truncation": cut, "padding": None, "pre_tokenizer": {"type": "Whitespace"}, "model": model}))
    assert tokens_of("a b c a", tokenizer=tokenizer_from(file)) == (4, True, "tokenizer", 0)


def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(DataError, match=r"x\.json' cannot be read as a tokenizer: .*Expected the tokenizer\.json of a model"):
        tokenizer_from(tmp_path / "x.json")
