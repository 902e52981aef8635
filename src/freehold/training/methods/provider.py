"""`provider`: a model that somebody serves, tuned there on your rows: uploaded, followed to its end, and registered under its new name.

By the fine-tuning of providers that speak OpenAI's words (`providers/fine_tuning.py`). The rows leave the machine, so that those without a licence or
without consent stay, unless told otherwise, and are counted. A run that was killed goes on with the job that it began.
"""

import asyncio
import tempfile
from collections import Counter
from pathlib import Path

import msgspec

from freehold.catalog import Variant
from freehold.chat import CHARS_A_TOKEN, JSON
from freehold.datasets.chats import openai_line
from freehold.errors import CallerError, OperatorError, TrainingError, nearest
from freehold.providers.fine_tuning import Metrics, Tuning, create, follow, upload
from freehold.providers.provider import Provider, why_no_key
from freehold.training.lesson import Part
from freehold.training.method import Estimate, Job, Made
from freehold.training.run import Run
from freehold.variants.card import Base

LEAST_ROWS = 10
"""Fewer than these OpenAI does not take."""
_EPOCHS = 3


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of `provider`."""

    provider: str = "openai"
    """Which of the project's providers."""
    model: str = ""
    """The model that is tuned, by the provider's name for it, such as `gpt-4o-mini-2024-07-18`."""
    epochs: int | None = None
    """How often it sees each row; the provider's choice where nothing is said."""
    suffix: str = ""
    """What the tuned model's name ends with."""
    poll_s: float = 15.0
    """Seconds between two looks at the job."""
    usd_per_mtok: float | None = None
    """What it bills for a million trained tokens; what tuning cost stays unknown where nothing is said."""
    without_licence: bool = False
    """Whether rows without a licence leave, too."""
    without_consent: bool = False
    """Whether rows without consent do."""

    def __post_init__(self) -> None:
        if not (0.01 <= self.poll_s <= 3_600 and (self.epochs is None or 1 <= self.epochs <= 50)):
            raise ValueError("poll_s is from 0.01 to 3,600 seconds, and epochs from 1 to 50")


class _ByProvider:
    name = "provider"
    about = "A model that a provider tunes on your rows, by OpenAI's fine-tuning and whoever speaks its words. The rows leave the machine."
    options = Options

    def estimate(self, job: Job, options: Options) -> Estimate:
        """As of `Method`."""
        _provider(job, options)
        if not options.model:
            raise CallerError("Which model is to be tuned? Say --set model=NAME, by the provider's name for it.")
        _, left_out = _lines(job, job.lesson.train, options)
        tokens = sum(len(text) for text in job.lesson.train.texts) / CHARS_A_TOKEN * (options.epochs or _EPOCHS)
        _check(len(job.lesson.train) - left_out.total(), left_out)
        usd = None if options.usd_per_mtok is None else tokens * options.usd_per_mtok / 1e6
        return Estimate(seconds=600.0, bytes=200_000_000, usd=usd)

    def train(self, job: Job, options: Options, run: Run) -> Made:
        """As of `Method`."""
        found, left_out = asyncio.run(self._tuned(job, options, run))
        if found.status != "succeeded" or found.model is None:
            raise TrainingError(f"'{options.provider}' did not tune '{options.model}': {found.why or found.status}. Its job is {found.id}.")
        price = options.usd_per_mtok
        return Made(
            "model",
            {},
            {"job": found.id, "model": found.model, "trained_tokens": found.trained_tokens, "left_out": dict(left_out)},
            base=Base(name=options.model, openness="closed"),
            variant=Variant(id=found.model, model=f"{options.provider}/{found.model}"),
            usd=None if price is None or found.trained_tokens is None else found.trained_tokens * price / 1e6,
        )

    async def _tuned(self, job: Job, options: Options, run: Run) -> tuple[Tuning, Counter[str]]:
        provider = _provider(job, options)
        lines, left_out = _lines(job, job.lesson.train, options)
        _check(len(lines), left_out)
        kept = run.kept()
        known: JSON = kept.about.get("job") if kept is not None and isinstance(kept.about, dict) else None
        try:
            if not isinstance(known, str):
                run.tell("uploading", 0, len(lines))
                held_out, _ = _lines(job, job.lesson.calibrate, options)
                wanted: dict[str, JSON] = {
                    "model": options.model,
                    "training_file": await _uploaded(provider, "train", lines),
                    "seed": job.plan.seed % 2**31,
                    "metadata": {"freehold_plan": job.plan.digest[:32], "freehold_task": job.task.id[:64]},
                }
                if held_out:
                    wanted["validation_file"] = await _uploaded(provider, "validation", held_out)
                if options.suffix:
                    wanted["suffix"] = options.suffix
                if options.epochs is not None:
                    wanted["method"] = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": options.epochs}}}
                known = (await create(provider, wanted)).id
                run.keep({}, {"job": known})

            def tell(found: Tuning, numbers: Metrics | None) -> None:
                step, steps = (numbers.step, numbers.steps) if numbers is not None else (0, 1)
                run.tell(
                    f"{options.provider}: {found.status}", step, steps, *((numbers.loss, numbers.held_out) if numbers is not None else ())
                )

            return await follow(provider, known, options.poll_s, tell), left_out
        finally:
            provider.pool.close()


METHOD = _ByProvider()


def _provider(job: Job, options: Options) -> Provider:
    table = job.providers.get(options.provider)
    if table is None or table.kind != "openai":
        names = {name for name, one in job.providers.items() if one.kind == "openai"}
        raise CallerError(
            f"'{options.provider}' is no provider of the kind openai.{nearest(options.provider, names)} Say --set provider=NAME."
        )
    if why := why_no_key(options.provider, table):
        raise OperatorError(why)
    return Provider(options.provider, table)


def _lines(job: Job, part: Part, options: Options) -> tuple[list[bytes], Counter[str]]:
    """Rows as lines of OpenAI's format, and how many stay, by reason."""
    left_out: Counter[str] = Counter()
    lines: list[bytes] = []
    for n, answer in enumerate(part.answers):
        if part.licences[n] is None and not options.without_licence:
            left_out["no licence"] += 1
        elif part.consents[n] is None and not options.without_consent:
            left_out["no consent"] += 1
        else:
            try:
                lines.append(msgspec.json.encode(openai_line(part.inputs[n], answer, job.task.instruction)) + b"\n")
            except CallerError:
                left_out["the format cannot say it"] += 1
    return lines, left_out


def _check(rows: int, left_out: Counter[str]) -> None:
    if rows < LEAST_ROWS:
        why = ", ".join(f"{reason}: {n:,}" for reason, n in left_out.items())
        raise TrainingError(
            f"{rows} rows may leave, and tuning takes at least {LEAST_ROWS}"
            + (
                f". Left out: {why}. Say the terms of calls under [data], or --set without_licence=true and without_consent=true"
                if why
                else ""
            )
            + "."
        )


async def _uploaded(provider: Provider, name: str, lines: list[bytes]) -> str:
    with tempfile.TemporaryDirectory(prefix="freehold-") as folder:
        path = Path(folder) / f"{name}.jsonl"
        path.write_bytes(b"".join(lines))
        return await upload(provider, path)
