"""What tests of training methods share: questions of three kinds of table booking, a base model of two narrow layers, and a job without a project."""

import json
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from freehold.catalog import Task
from freehold.chat import JSON
from freehold.training.lesson import Lesson, lesson_of, plain
from freehold.training.method import Earlier, Job, Made, method_of, options_of
from freehold.training.run import Run, Tell
from freehold.variants.card import Card, Plan

DAYS = ["monday", "tuesday", "friday night", "may 3rd", "tomorrow", "the 7th of june"]
NAMES = ["ada lovelace", "mr turing", "grace", "joan clarke", "kay"]
FRAMES = {
    "book": [
        "book a table for {people} on {day}",
        "we are {people} , is {day} free ?",
        "a table {day} please , {people} people , name {name}",
    ],
    "cancel": ["cancel my table on {day}", "{name} will not come {day}", "please drop the booking of {name}"],
    "ask": ["when do you open ?", "are dogs welcome on {day} ?", "where are you ?"],
}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
Rows = list[tuple[str, str, dict[str, tuple[int, int]]]]


def bookings(n: int, seed: int = 0) -> Rows:
    """Questions, their intent, and where what they say stands in them."""
    rng = random.Random(seed)
    rows: Rows = []
    for _ in range(n):
        intent = rng.choice(sorted(FRAMES))
        text, places = "", {}
        for part in rng.choice(FRAMES[intent]).split(" "):
            name = part.strip("{}")
            values = {"day": rng.choice(DAYS), "name": rng.choice(NAMES), "people": str(rng.randint(2, 30))}
            said = part if name == part else values[name]
            text += (" " if text else "") + said
            if name != part:
                places[name] = (len(text) - len(said), len(text))
        rows.append((text, intent, places))
    return rows


def as_spans(row: tuple[str, str, dict[str, tuple[int, int]]]) -> JSON:
    """The answer as a list of places."""
    return [{"start": start, "end": end, "label": label} for label, (start, end) in sorted(row[2].items(), key=lambda one: one[1])]


def as_fields(row: tuple[str, str, dict[str, tuple[int, int]]]) -> JSON:
    """The answer as an object whose values stand in the text."""
    said: dict[str, JSON] = {"day": None, "people": None}
    for label, (start, end) in row[2].items():
        said[label] = int(row[0][start:end]) if label == "people" else row[0][start:end]
    return said


def lesson(answer: Any, n: int = 200, held_out: int = 80, answered: Any = lambda row: row[0]) -> Lesson:
    """A lesson about bookings, whose answers are what `answer` makes of a row, and whose texts are what `answered` does."""
    parts = [bookings(n, 1), bookings(held_out, 2), bookings(100, 3)]
    train, calibrate, test = (plain([answered(row) for row in rows], [answer(row) for row in rows]) for rows in parts)
    return lesson_of(train, calibrate, test)


def job(method: str, lesson: Lesson, base: Path | None = None, **options: JSON) -> Job:
    """What a method is told."""
    plan = Plan(task="bookings", method=method, dataset="bookings@0", seed=3, base=str(base) if base else None, options=options, code="0")
    return Job(task=Task(id="bookings", reference="large"), plan=plan, lesson=lesson, base=base)


def made(folder: Path, job: Job, tell: Tell = lambda _: None) -> Any:
    """What a method makes of a job."""
    method = method_of(job.plan.method)
    return method.train(job, options_of(method, job.plan.options), Run(folder, job.plan.digest, tell))


def earlier_of(job: Job, made: Made) -> Earlier:
    """What whoever comes after goes on from."""
    before, one = job.earlier, job.lesson
    card = Card(
        name=one.dataset,
        tenant="",
        task=job.task.id,
        format=made.format,
        plan=job.plan,
        dataset=one.dataset.partition("@")[2],
        taught=() if before is None else before.card.learnt_from,
        base=made.base,
        training_s=0.0,
        training_usd=0.0,
        created_at=datetime.now(UTC),
    )
    return Earlier(card, made.files, (*(before.lessons if before is not None else ()), one))


def tiny_base(folder: Path, **changed: Any) -> Path:
    """A BERT of two layers and 32 dimensions, with random weights and a tokenizer of letters."""
    import torch
    from transformers import BertConfig, BertModel

    letters = sorted({letter for row in bookings(400) for letter in row[0] if letter != " "})
    words = sorted({word for row in bookings(400, 1) for word in row[0].split(" ")} | set(letters) | {f"##{letter}" for letter in letters})
    vocabulary = SPECIAL + words
    config = {
        "model_type": "bert",
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 64,
        **changed,
    }
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        state = BertModel(BertConfig(**config), add_pooling_layer=False).state_dict()
    save_file({name: each.numpy() for name, each in state.items()}, folder / "model.safetensors")
    tokenizer = Tokenizer(models.WordPiece({word: n for n, word in enumerate(vocabulary)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


TOPICS = {"cards": ["lost card", "card stolen", "freeze my card"], "loans": ["borrow money", "a loan", "interest on my loan"]}
FILLERS = "please hello today i want to ask about the thing that my friend said when we met".split()  # noqa: SIM905


def messages(count: int, seed: int, topics: Mapping[str, Sequence[str]] = TOPICS, vague: float = 0.0) -> list[tuple[str, str]]:
    """Messages with the topic of each. `vague`: the share that says nothing of it."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        topic = rng.choice(sorted(topics))
        said = "" if rng.random() < vague else rng.choice(topics[topic])
        found.append((" ".join([*rng.choices(FILLERS, k=5), said, *rng.choices(FILLERS, k=4)]), topic))
    return found
