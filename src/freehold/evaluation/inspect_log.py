"""An evaluation as logs of Inspect AI, one for each variant: what `inspect view` shows and `read_eval_log` reads, without Inspect being installed.

Its JSON format, version 2, as inspect-ai 0.3.285 writes and reads it (20 November 2026). An item is a sample, a call its output, and a scorer a
scorer; an item without a score has none, and its reason stands in the sample's metadata.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from freehold import __version__
from freehold.chat import JSON, canonical_json, is_messages
from freehold.evaluation.records import Single
from freehold.evaluation.result import Evaluation, Mean, Side
from freehold.journal.call import Call
from freehold.journal.read import calls_by_id
from freehold.project import Project
from freehold.store.files import private_file

_VERSION = 2


def write_logs(project: Project, evaluation: Evaluation, singles: Sequence[Single], folder: Path) -> list[Path]:
    """Writes the logs and gives their paths. They hold questions and answers as far as the journal has them, and are their owner's alone."""
    ids = sorted({single.call for single in singles if single.call is not None})
    with project.store.reading() as connection:
        calls = calls_by_id(project.store, connection, ids)
    paths = []
    for side in evaluation.sides:
        mine: dict[str, list[Single]] = {}
        for single in singles:
            if single.variant == side.variant:
                mine.setdefault(single.item, []).append(single)
        path = folder / f"{evaluation.begun:%Y-%m-%dT%H-%M-%S}+00-00_{_plain(evaluation.asked.task)}_{_plain(side.variant)}.json"
        log = _log(evaluation, side, [_sample(side.variant, item, of_item, calls) for item, of_item in mine.items()])
        with private_file(path) as file:
            file.write(msgspec.json.format(msgspec.json.encode(log), indent=1))
        paths.append(path)
    return paths


def _log(evaluation: Evaluation, side: Side, samples: list[dict[str, Any]]) -> dict[str, Any]:
    began, ended = evaluation.begun.isoformat(), evaluation.ended.isoformat()
    return {
        "version": _VERSION,
        "status": "success",
        "eval": {
            "eval_id": f"{evaluation.id}-{side.variant}",
            "run_id": evaluation.id,
            "created": began,
            "task": evaluation.asked.task,
            "task_id": f"{evaluation.id}-{side.variant}",
            "task_version": 0,
            "task_attribs": {},
            "task_args": {},
            "dataset": {
                "name": evaluation.asked.dataset or f"journal of {evaluation.asked.task}",
                "samples": len(samples),
                "sample_ids": [sample["id"] for sample in samples],
                "shuffled": False,
            },
            "model": f"freehold/{side.variant}",
            "model_args": {},
            "config": {},
            "packages": {"freehold": __version__},
            "metadata": {"evaluation": evaluation.id, "data": evaluation.data},
        },
        "plan": {"name": "plan", "steps": [], "config": {}},
        "results": {
            "total_samples": len(samples),
            "completed_samples": side.answered,
            "scores": [_results(mean, evaluation.asked.confidence) for mean in side.means],
        },
        "stats": {"started_at": began, "completed_at": ended, "model_usage": {}},
        "samples": samples,
    }


def _results(mean: Mean, confidence: float) -> dict[str, Any]:
    numbers = {"mean": mean.mean, "low": mean.low, "high": mean.high, "unscored": float(mean.unscored)}
    return {
        "name": mean.scorer,
        "scorer": mean.scorer,
        "scored_samples": mean.n,
        "unscored_samples": mean.unscored,
        "params": {},
        "metrics": {name: {"name": name, "value": value, "params": {}} for name, value in numbers.items() if value is not None},
        "metadata": {"confidence": confidence, "method": mean.method, "groups": mean.groups},
    }


def _sample(variant: str, item: str, singles: Iterable[Single], calls: Mapping[str, Call]) -> dict[str, Any]:
    known = list(singles)
    call = calls.get(known[0].call or "")
    words = "" if call is None or call.output is None else _words(call.output)
    said = {"role": "assistant", "content": words, "source": "generate"}
    usage = None if call is None or call.usage is None else call.usage
    sample: dict[str, Any] = {
        "id": item,
        "epoch": 1,
        "input": "" if call is None else _input(call.input),
        "target": "" if call is None or call.reference_output is None else _words(call.reference_output),
        "messages": [*_messages(call), said],
        "output": {
            "model": variant,
            "choices": [{"message": said, "stop_reason": "stop" if words else "unknown"}],
            "completion": words,
            **(
                {}
                if usage is None
                else {
                    "usage": {
                        "input_tokens": usage.input_tokens,
                        "output_tokens": usage.output_tokens,
                        "total_tokens": usage.input_tokens + usage.output_tokens,
                    }
                }
            ),
            **({"time": call.latency_s} if call is not None and call.latency_s is not None else {}),
        },
        "scores": {
            one.scorer: {"value": one.score, "answer": words, **({"explanation": one.why} if one.why else {})}
            for one in known
            if one.score is not None
        },
        "metadata": {
            "call": known[0].call,
            "part": known[0].part,
            "no_score": {one.scorer: one.why for one in known if one.score is None},
        },
        "store": {},
        "events": [],
        "model_usage": {},
        "attachments": {},
    }
    if call is not None and call.outcome != "answered":
        sample["metadata"]["outcome"] = call.outcome
    return sample


def _input(asked: JSON) -> JSON:
    """A question as Inspect has it: a text, or messages."""
    messages = asked.get("messages") if isinstance(asked, Mapping) else asked
    if isinstance(messages, list) and is_messages(messages):
        return [_message(message) for message in messages]
    return _words(asked)


def _messages(call: Call | None) -> list[dict[str, Any]]:
    asked = "" if call is None else _input(call.input)
    if isinstance(asked, list):
        return [message for message in asked if isinstance(message, dict)]
    return [{"role": "user", "content": asked}]


def _message(message: Any) -> dict[str, Any]:
    """One message with its words; what is no text is named, for Inspect has other parts."""
    content = message.get("content")
    words = content if isinstance(content, str) else "" if content is None else _words(content)
    role = message.get("role")
    known = {"developer": "system", "function": "tool"}.get(role, role)
    return {"role": known if known in ("system", "user", "assistant", "tool") else "user", "content": words}


def _words(value: JSON) -> str:
    return value if isinstance(value, str) else canonical_json(value).decode()


def _plain(name: str) -> str:
    return "".join(c if c.isalnum() or c in "-." else "-" for c in name)[:80]
