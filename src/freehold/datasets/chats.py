"""Rows as conversations, in the words of those who train on them: OpenAI's and Anthropic's chats, and TRL's pairs."""

from collections.abc import Mapping
from typing import Any

import msgspec

from freehold.chat import JSON, ChatRequest
from freehold.datasets.example import Example
from freehold.errors import CallerError
from freehold.gateway import anthropic, openai

_ANSWER = {"content", "tool_calls", "refusal"}


def openai_chat(example: Example, instruction: str) -> dict[str, JSON]:
    """A line of OpenAI's fine-tuning format. Raises CallerError for what the format cannot say."""
    return openai_line(example.input, example.output, instruction)


def openai_line(asked: JSON, answer: JSON, instruction: str) -> dict[str, JSON]:
    """The same of a question and its answer. Earlier answers in the conversation weigh 0: whose they are nobody knows."""
    body = openai.write_request(_conversation(asked, instruction, answer))
    messages = _listed(body["messages"])
    for message in messages[:-1]:
        if message["role"] == "assistant":
            message["weight"] = 0
    return {"messages": messages, **({"tools": body["tools"]} if "tools" in body else {})}


def anthropic_chat(example: Example, instruction: str) -> dict[str, JSON]:
    """A line of the format that Claude is fine-tuned by. Raises CallerError for what it cannot say, tools among it."""
    body = anthropic.write_request(_conversation(example.input, instruction, example.output))
    messages = _listed(body["messages"])
    if "tools" in body or any(not isinstance(message["content"], str) for message in messages):
        raise CallerError("tools, images and other parts cannot be said to a fine-tuning of Claude")
    return {**({"system": body["system"]} if "system" in body else {}), "messages": messages}


def preference(example: Example, instruction: str) -> dict[str, JSON]:
    """A pair in TRL's conversational columns. Raises CallerError for a row that is no pair."""
    if example.kind != "preferences":
        raise CallerError("it is no pair of answers")
    asked = _listed(openai.write_request(_conversation(example.input, instruction, example.output))["messages"])
    worse = _listed(openai.write_request(_conversation(example.input, instruction, example.rejected))["messages"])
    return {"prompt": asked[:-1], "chosen": asked[-1:], "rejected": worse[-1:]}


def text_spans(example: Example, _: str) -> dict[str, JSON]:
    """A text with the places of what the answer names in it: an object of values by label, or a list of objects with `text` and `label`.

    What does not stand in the text word for word is listed as missing. Raises CallerError for an answer that names nothing in a text.
    """
    if not isinstance(example.input, str):
        raise CallerError("what was asked is no text")
    named = list(_named(example.output))
    if not named:
        raise CallerError("the answer names nothing in the text")
    spans: list[JSON] = []
    missing: list[JSON] = []
    behind: dict[str, int] = {}
    for label, value in named:
        start = example.input.find(value, behind.get(value, 0))
        if start < 0:
            missing.append({"label": label, "text": value})
            continue
        behind[value] = start + len(value)
        spans.append({"start": start, "end": start + len(value), "label": label, "text": value})
    return {"text": example.input, "spans": spans, "missing": missing}


def _named(output: JSON) -> list[tuple[str, str]]:
    if isinstance(output, list):
        found = [one for one in output if isinstance(one, dict) and isinstance(one.get("text"), str) and one["text"]]
        return [(str(one.get("label", "")), str(one["text"])) for one in found]
    if isinstance(output, dict) and "spans" in output:
        return _named(output["spans"])
    if not isinstance(output, dict):
        return []
    values = [(label, one) for label, said in output.items() for one in (said if isinstance(said, list) else [said])]
    return [(label, value) for label, value in values if isinstance(value, str) and value]


def _conversation(asked: JSON, instruction: str, answer: JSON) -> ChatRequest:
    """The question as the model is asked it, and the answer behind it."""
    body: dict[str, JSON] = {"model": "-"}
    if isinstance(asked, dict) and "messages" in asked:
        body |= {name: asked[name] for name in ("messages", "tools") if asked.get(name) is not None}
    elif isinstance(asked, list):
        body["messages"] = asked
    else:
        words = asked if isinstance(asked, str) else msgspec.json.encode(asked).decode()
        system: list[JSON] = [{"role": "system", "content": instruction}] if instruction else []
        body["messages"] = [*system, {"role": "user", "content": words}]
    body["messages"] = [*body["messages"], _answer(answer)]
    return openai.read_request(body)


def _answer(answer: JSON) -> dict[str, JSON]:
    """An answer as a message: words, or what a model said beside words."""
    if isinstance(answer, dict) and answer and answer.keys() <= _ANSWER:
        message: dict[str, JSON] = {"role": "assistant", **{name: answer[name] for name in ("content", "refusal") if name in answer}}
        if calls := answer.get("tool_calls"):
            message["tool_calls"] = [_call(n, call) for n, call in enumerate(calls)]
        return message
    return {"role": "assistant", "content": answer if isinstance(answer, str) else msgspec.json.encode(answer).decode()}


def _call(n: int, call: Mapping[str, Any]) -> dict[str, JSON]:
    inner = call.get("function", call)
    arguments = inner.get("arguments", {})
    written = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
    return {"id": call.get("id") or f"call_{n}", "type": "function", "function": {"name": inner["name"], "arguments": written}}


def _listed(messages: JSON) -> list[dict[str, JSON]]:
    found: list[dict[str, JSON]] = list(messages)
    return found
