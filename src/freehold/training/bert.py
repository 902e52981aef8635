"""A BERT's folder and its graph: weights are read and looked at, and written node by node as ONNX, with what is wanted of the last layer on top.

Neither torch nor an exporter is needed. Needs `freehold[embeddings-build]`.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from freehold.errors import DataError, OperatorError
from freehold.routing.onnx import TOKENIZER

WEIGHTS = "model.safetensors"
OPSET = 17
"""The first with LayerNormalization as one node; every ONNX Runtime since 1.14 runs it."""
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl", "*.pickle")

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


def config_of(folder: Path) -> Bert:
    try:
        return msgspec.json.decode(read_file(folder / "config.json"), type=Bert)
    except msgspec.MsgspecError as error:
        raise DataError(f"{folder / 'config.json'} does not describe a BERT: {error}. Expected the config.json of a BertModel.") from error


def read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror}). Expected a folder with config.json, model.safetensors and tokenizer.json of a BERT."
        ) from error


def hash_of(path: Path) -> str:
    return sha256(read_file(path)).hexdigest()


def tokenizer_of(folder: Path, bert: Bert) -> bytes:
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise missing("tokenizers") from error
    content = read_file(folder / TOKENIZER)
    try:
        size = Tokenizer.from_str(content.decode()).get_vocab_size()
    except Exception as error:  # the package raises bare Exception
        raise DataError(f"{folder / TOKENIZER} is not a tokenizer of the 'tokenizers' package: {error}.") from error
    if size > bert.vocab_size:
        raise DataError(f"{folder / TOKENIZER} knows {size} tokens, the weights {bert.vocab_size}: they do not belong together.")
    return content


def weights_of(folder: Path, bert: Bert) -> Weights:
    """The tensors of the graph by name without a `bert.` prefix, all in fp32, their shapes checked."""
    from safetensors import SafetensorError, safe_open

    path = folder / WEIGHTS
    if not path.is_file():
        pickled = sorted({found.name for pattern in _PICKLED for found in folder.glob(pattern)})
        if pickled:
            raise DataError(
                f"{folder} has its weights in {pickled[0]}, a pickle, which runs whatever code stands in it and is never opened here. Save them as "
                f"{WEIGHTS} where you trust them: safetensors.torch.save_file(torch.load('{pickled[0]}', weights_only=True), '{WEIGHTS}')."
            )
        read_file(path)
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


class Nodes:
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

    def linear(self, x: str, weight_OI: NDArray[np.float32], bias_O: NDArray[np.float32]) -> str:
        """A layer as torch keeps it."""
        return str(self("Add", self("MatMul", x, self.constant(weight_OI.T)), self.constant(bias_O)))

    def last(self, op: str, *inputs: str, name: str) -> None:
        """Adds the node that puts out what is called `name`."""
        from onnx import helper

        self.nodes.append(helper.make_node(op, list(inputs), [name], name=name))

    def summed(self, x: str, seen: str) -> str:
        """The sum of the tokens that are seen."""
        return str(self("ReduceSum", self("Mul", x, self("Unsqueeze", seen, self.ints(2))), self.ints(1), keepdims=0))


class Output(NamedTuple):
    """What a graph puts out."""

    name: str
    """That of the output, which its last node bears as well."""
    shape: tuple[str | int, ...]


Top: TypeAlias = Callable[[Nodes, str, str], Output]
"""Adds to a graph what follows its last layer: of the nodes, that layer's output, B by T by D, and 1 for each token that is seen, B by T."""


def pooled(weight_CD: NDArray[np.float32], bias_C: NDArray[np.float32]) -> Top:
    """Scores of the mean of all tokens."""

    def top(add: Nodes, x: str, seen: str) -> Output:
        mean = add("Div", add.summed(x, seen), add("ReduceSum", seen, add.ints(1), keepdims=1))
        add.last("Add", add("MatMul", mean, add.constant(weight_CD.T)), add.constant(bias_C), name="scores")
        return Output("scores", ("B", len(bias_C)))

    return top


def of_tokens(weight_CD: NDArray[np.float32], bias_C: NDArray[np.float32]) -> Top:
    """Scores of each token."""

    def top(add: Nodes, x: str, seen: str) -> Output:
        add.last("Add", add("MatMul", x, add.constant(weight_CD.T)), add.constant(bias_C), name="scores")
        return Output("scores", ("B", "T", len(bias_C)))

    return top


def graph(bert: Bert, weights: Weights, max_tokens: int, top: Top, called: str = "encoder") -> Any:
    """`ids` and `mask`, both B by T, through the layers (Devlin et al., 2019; post-norm) to what `top` makes of the last one.

    All tokens are of type 0, so that row is added to the positions once and for all; the softmax's scale is folded into the query.
    """
    try:
        from onnx import TensorProto, checker, helper, shape_inference
    except ImportError as error:
        raise missing("onnx") from error
    add = Nodes()
    heads, eps = bert.num_attention_heads, bert.layer_norm_eps
    width = bert.hidden_size // heads

    def norm(x: str, at: str) -> Any:
        scale, bias = (add.constant(weights[f"{at}LayerNorm.{part}"]) for part in ("weight", "bias"))
        return add("LayerNormalization", x, scale, bias, axis=-1, epsilon=eps)

    def dense(x: str, at: str) -> Any:
        return add.linear(x, weights[f"{at}.weight"], weights[f"{at}.bias"])

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
        together = add.linear(
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

    put_out = top(add, x, seen)
    tokens = [helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "T"]) for name in ("ids", "mask")]
    found = [helper.make_tensor_value_info(put_out.name, TensorProto.FLOAT, list(put_out.shape))]
    whole = helper.make_graph(add.nodes, called, tokens, found, add.constants)
    model = helper.make_model(whole, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=8, producer_name="freehold")
    checker.check_model(model)
    return shape_inference.infer_shapes(model)


def write_model(model: Any, path: Path, fp32: bool) -> None:
    import onnx

    if fp32:
        onnx.save(model, path)
        return
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise missing("onnxruntime") from error
    # Shapes are inferred and nothing is left to fold: this says so, which keeps the quantizer from warning on the root logger.
    onnx.helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
    quantize_dynamic(model, path, per_channel=True, reduce_range=True, weight_type=QuantType.QInt8)


def licence_of(folder: Path) -> str | None:
    """The `license:` line of the model card's front matter."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    head = card.read_text(encoding="utf-8", errors="replace").split("---")[1:2]
    lines = head[0].splitlines() if head else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("license:")), None)


def missing(package: str) -> OperatorError:
    return OperatorError(f"Writing a model needs the package '{package}'. Run: pip install 'freehold[embeddings-build]'")
