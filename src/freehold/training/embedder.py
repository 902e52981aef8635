"""The embedder's folder, built from local weights: a BERT's safetensors in, an int8 ONNX model with tokenizer and card out.

The graph is written node by node, so neither torch nor an exporter is needed. Needs `freehold[embeddings-build]`.
"""

import shutil
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.errors import DataError, OperatorError
from freehold.routing.onnx import CARD, MODEL, TOKENIZER, Card

MAX_TOKENS = 256
"""Tokens of a text that are read at most: what MiniLM was tuned on, and about 2 ms of work."""
OPSET = 17
"""The first with LayerNormalization as one node; every ONNX Runtime since 1.14 runs it."""

Weights = Mapping[str, NDArray[np.float32]]


class Bert(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a BERT's `config.json` that shape its graph."""

    model_type: str
    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    vocab_size: int
    max_position_embeddings: int
    hidden_act: str = "gelu"
    layer_norm_eps: float = 1e-12
    position_embedding_type: str = "absolute"
    type_vocab_size: int = 2

    def __post_init__(self) -> None:
        for field, expected in (("model_type", "bert"), ("hidden_act", "gelu"), ("position_embedding_type", "absolute")):
            if getattr(self, field) != expected:
                raise DataError(f"config.json has {field} '{getattr(self, field)}'; only BERT with {field} '{expected}' can be built.")
        if self.num_attention_heads < 1 or self.hidden_size % self.num_attention_heads:
            raise DataError(
                f"config.json has hidden_size {self.hidden_size}, not a multiple of its {self.num_attention_heads} attention heads."
            )


def build_embedder(weights_folder: Path, out: Path, fp32: bool = False) -> Path:
    """Writes the folder `out` from a folder with `config.json`, `model.safetensors` and `tokenizer.json`, and returns it.

    Weights become int8 per output channel in seven bits of range (on MiniLM: a quarter of the size, 2.5 times as fast, mean cosine
    to full precision .99); `fp32` keeps them whole. Licence files of the source go along. Raises DataError for a folder of another
    shape, OperatorError where a package is missing or `out` already holds something.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise OperatorError(f"{out} already exists and is not an empty folder. Name another, or remove it first.")
    bert = _config(weights_folder)
    _check_pooling(weights_folder)
    weights = _weights(weights_folder, bert)
    max_tokens = min(_max_tokens(weights_folder), bert.max_position_embeddings)
    tokenizer = _tokenizer(weights_folder, bert)
    model = _graph(bert, weights, max_tokens)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
        folder = Path(scratch) / "embedder"
        folder.mkdir()
        _write_model(model, folder / MODEL, fp32)
        (folder / TOKENIZER).write_bytes(tokenizer)
        card = Card(
            architecture=f"bert-{bert.num_hidden_layers}x{bert.hidden_size}",
            precision="fp32" if fp32 else "int8",
            dims=bert.hidden_size,
            max_tokens=max_tokens,
            source_sha256=_hash(weights_folder / "model.safetensors"),
            model_sha256=_hash(folder / MODEL),
            tokenizer_sha256=_hash(folder / TOKENIZER),
            licence=_licence(weights_folder),
        )
        (folder / CARD).write_bytes(msgspec.json.format(msgspec.json.encode(card), indent=2) + b"\n")
        for notice in _notices(weights_folder):
            shutil.copyfile(notice, folder / notice.name)
        folder.rename(out)
    return out


def _config(folder: Path) -> Bert:
    try:
        return msgspec.json.decode(_read(folder / "config.json"), type=Bert)
    except msgspec.MsgspecError as error:
        raise DataError(f"{folder / 'config.json'} does not describe a BERT: {error}. Expected the config.json of a BertModel.") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}). An embedder is built from a folder with config.json, model.safetensors and tokenizer.json."
        ) from error


def _hash(path: Path) -> str:
    return sha256(_read(path)).hexdigest()


def _max_tokens(folder: Path) -> int:
    """What the sentence-transformers settings beside the weights say, at most MAX_TOKENS."""
    said = _settings(folder / "sentence_bert_config.json").get("max_seq_length")
    return min(MAX_TOKENS, said) if isinstance(said, int) and said > 2 else MAX_TOKENS


def _check_pooling(folder: Path) -> None:
    """Whether the sentence is the mean of its tokens; where no settings say, it is taken to be."""
    settings = _settings(folder / "1_Pooling" / "config.json")
    modes = [mode for mode, is_on in settings.items() if mode.startswith("pooling_mode_") and is_on]
    if modes not in ([], ["pooling_mode_mean_tokens"]):
        raise DataError(f"{folder / '1_Pooling' / 'config.json'} asks for {', '.join(modes)}; only pooling_mode_mean_tokens can be built.")
    if any(folder.glob("*_Dense")):
        raise DataError(f"{folder} has a layer after pooling ({next(folder.glob('*_Dense')).name}), which cannot be built.")


def _settings(path: Path) -> dict[str, Any]:
    """A file of settings that need not be there."""
    if not path.exists():
        return {}
    try:
        return msgspec.json.decode(_read(path), type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise DataError(f"{path} is not a file of settings: {error}.") from error


def _tokenizer(folder: Path, bert: Bert) -> bytes:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise _missing("tokenizers") from error
    content = _read(folder / TOKENIZER)
    try:
        size = Tokenizer.from_str(content.decode()).get_vocab_size()
    except Exception as error:  # the package raises bare Exception
        raise DataError(f"{folder / TOKENIZER} is not a tokenizer of the 'tokenizers' package: {error}.") from error
    if size > bert.vocab_size:
        raise DataError(f"{folder / TOKENIZER} knows {size} tokens, the weights {bert.vocab_size}: they do not belong together.")
    return content


def _weights(folder: Path, bert: Bert) -> Weights:
    """The tensors of the graph by name without a `bert.` prefix, all in fp32, their shapes checked."""
    from safetensors import SafetensorError, safe_open

    path = folder / "model.safetensors"
    if not path.is_file():
        _read(path)
    weights: dict[str, NDArray[np.float32]] = {}
    try:
        with safe_open(path, framework="numpy") as file:
            names = {str(name).removeprefix("bert."): str(name) for name in file.keys()}  # noqa: SIM118  # a handle, not a dict
            for name, shape in _shapes(bert).items():
                if name not in names:
                    raise DataError(f"{path} has no tensor '{name}', which every BERT has. It has: {', '.join(sorted(names)[:8])}, ….")
                tensor = file.get_slice(names[name])
                if tensor.get_dtype() not in ("F32", "F16"):
                    raise DataError(
                        f"{path}: tensor '{name}' is {tensor.get_dtype()}; expected F32 or F16. Save the weights as one of them."
                    )
                if tuple(tensor.get_shape()) != shape:
                    raise DataError(f"{path}: tensor '{name}' has shape {tuple(tensor.get_shape())}; config.json makes it {shape}.")
                weights[name] = file.get_tensor(names[name]).astype(np.float32)
    except SafetensorError as error:
        raise DataError(f"{path} is not a safetensors file: {error}.") from error
    return weights


def _shapes(bert: Bert) -> dict[str, tuple[int, ...]]:
    d, inner = bert.hidden_size, bert.intermediate_size
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (bert.vocab_size, d),
        "embeddings.position_embeddings.weight": (bert.max_position_embeddings, d),
        "embeddings.token_type_embeddings.weight": (bert.type_vocab_size, d),
        "embeddings.LayerNorm.weight": (d,),
        "embeddings.LayerNorm.bias": (d,),
    }
    for layer in range(bert.num_hidden_layers):
        at = f"encoder.layer.{layer}."
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= {f"{at}{part}.weight": (d, d), f"{at}{part}.bias": (d,)}
        shapes |= {f"{at}intermediate.dense.weight": (inner, d), f"{at}intermediate.dense.bias": (inner,)}
        shapes |= {f"{at}output.dense.weight": (d, inner), f"{at}output.dense.bias": (d,)}
        for part in ("attention.output.LayerNorm", "output.LayerNorm"):
            shapes |= {f"{at}{part}.weight": (d,), f"{at}{part}.bias": (d,)}
    return shapes


class _Nodes:
    """A graph being written: each call adds a node and gives the name of what it puts out."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def __call__(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        from onnx import helper

        names = [f"{op}_{len(self.nodes)}_{o}" for o in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=f"{op}_{len(self.nodes)}", **attributes))
        return names[0] if outputs == 1 else names

    def constant(self, value: Any, dtype: type = np.float32) -> str:
        from onnx import numpy_helper

        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value, dtype=dtype), name))
        return name

    def ints(self, *value: int) -> str:
        return self.constant(np.array(value), np.int64)


def _graph(bert: Bert, weights: Weights, max_tokens: int) -> Any:
    """`ids` and `mask`, both B by T, to `vectors`, B by D, mean-pooled and of length 1 (Devlin et al., 2019; post-norm layers).

    All tokens are of type 0, so that row is added to the positions once and for all; the softmax's scale is folded into the query.
    """
    try:
        from onnx import TensorProto, checker, helper, shape_inference
    except ImportError as error:
        raise _missing("onnx") from error
    add = _Nodes()
    heads, eps = bert.num_attention_heads, bert.layer_norm_eps
    width = bert.hidden_size // heads

    def norm(x: str, at: str) -> Any:
        scale, bias = (add.constant(weights[f"{at}LayerNorm.{part}"]) for part in ("weight", "bias"))
        return add("LayerNormalization", x, scale, bias, axis=-1, epsilon=eps)

    def linear(x: str, weight_OI: NDArray[np.float32], bias_O: NDArray[np.float32]) -> Any:
        return add("Add", add("MatMul", x, add.constant(weight_OI.T)), add.constant(bias_O))

    def dense(x: str, at: str) -> Any:
        return linear(x, weights[f"{at}.weight"], weights[f"{at}.bias"])

    def gelu(x: str) -> Any:
        erf = add("Erf", add("Mul", x, add.constant(2**-0.5)))
        return add("Mul", add("Mul", x, add.constant(0.5)), add("Add", erf, add.constant(1.0)))

    positions = weights["embeddings.position_embeddings.weight"][:max_tokens] + weights["embeddings.token_type_embeddings.weight"][0]
    length = add("Slice", add("Shape", "ids"), add.ints(1), add.ints(2))
    position = add("Slice", add.constant(positions), add.ints(0), length, add.ints(0))
    word = add("Gather", add.constant(weights["embeddings.word_embeddings.weight"]), "ids", axis=0)
    x = norm(add("Add", word, position), "embeddings.")

    seen = add("Cast", "mask", to=TensorProto.FLOAT)
    unseen = add("Mul", add("Sub", add.constant(1.0), add("Unsqueeze", seen, add.ints(1, 2))), add.constant(-1e4))
    for layer in range(bert.num_hidden_layers):
        at = f"encoder.layer.{layer}."
        parts = [(weights[f"{at}attention.self.{p}.weight"], weights[f"{at}attention.self.{p}.bias"]) for p in ("query", "key", "value")]
        scale = [width**-0.5, 1.0, 1.0]
        together = linear(
            x,
            np.concatenate([w * s for (w, _), s in zip(parts, scale, strict=True)]),
            np.concatenate([b * s for (_, b), s in zip(parts, scale, strict=True)]),
        )
        split = [add("Reshape", part, add.ints(0, 0, heads, width)) for part in add("Split", together, outputs=3, axis=2)]
        order = ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3])
        query, key, value = (add("Transpose", part, perm=perm) for part, perm in zip(split, order, strict=True))
        attention = add("Softmax", add("Add", add("MatMul", query, key), unseen), axis=-1)
        mixed = add("Transpose", add("MatMul", attention, value), perm=[0, 2, 1, 3])
        mixed = add("Reshape", mixed, add.ints(0, 0, bert.hidden_size))
        x = norm(add("Add", dense(mixed, f"{at}attention.output.dense"), x), f"{at}attention.output.")
        inner = gelu(dense(x, f"{at}intermediate.dense"))
        x = norm(add("Add", dense(inner, f"{at}output.dense"), x), f"{at}output.")

    weight = add("Unsqueeze", seen, add.ints(2))
    total = add("ReduceSum", add("Mul", x, weight), add.ints(1), keepdims=0)  # a mean's direction is its sum's
    size = add("Max", add("ReduceL2", total, axes=[1], keepdims=1), add.constant(1e-12))
    add.nodes.append(helper.make_node("Div", [total, size], ["vectors"], name="vectors"))

    tokens = [helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "T"]) for name in ("ids", "mask")]
    vectors = [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["B", bert.hidden_size])]
    graph = helper.make_graph(add.nodes, "embedder", tokens, vectors, add.constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="freehold")
    checker.check_model(model)
    return shape_inference.infer_shapes(model)


def _write_model(model: Any, path: Path, fp32: bool) -> None:
    import onnx

    if fp32:
        onnx.save(model, path)
        return
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise _missing("onnxruntime") from error
    # Shapes are inferred and nothing is left to fold: this says so, which keeps the quantizer from warning on the root logger.
    onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    quantize_dynamic(model, path, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)


def _notices(folder: Path) -> list[Path]:
    """Licence and notice files beside the weights."""
    return sorted(path for path in folder.iterdir() if path.is_file() and path.name.upper().startswith(("LICENSE", "LICENCE", "NOTICE")))


def _licence(folder: Path) -> str | None:
    """The `license:` line of the model card's front matter."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    head = card.read_text(encoding="utf-8", errors="replace").split("---")[1:2]
    lines = head[0].splitlines() if head else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("license:")), None)


def _missing(package: str) -> OperatorError:
    return OperatorError(f"Building an embedder needs the package '{package}'. Run: pip install 'freehold[embeddings-build]'")
