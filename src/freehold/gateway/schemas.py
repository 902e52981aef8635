"""What bodies hold, as JSON Schema: requests as `openai.py` and `anthropic.py` read them, answers as they are given.

A field that is not listed is passed on to a provider of the same format, and refused where another one is asked. Null is the same as left
out wherever a field is not required.
"""

from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]


def _object(*required: str, **fields: Schema) -> Schema:
    """An object; a field that is not required may be null."""
    properties = {name: field if name in required else _or_null(field) for name, field in fields.items()}
    return {"type": "object", "properties": properties} | ({"required": list(required)} if required else {})


def _closed(*required: str, **fields: Schema) -> Schema:
    """An object that has no other fields."""
    return _object(*required, **fields) | {"additionalProperties": False}


def _or_null(schema: Schema) -> Schema:
    kind = schema.get("type")
    if isinstance(kind, str) and "enum" not in schema and "const" not in schema:
        return {**schema, "type": [kind, "null"]}
    return schema if schema == _ANYTHING else {"anyOf": [schema, {"type": "null"}]}


def _text(about: str = "") -> Schema:
    return {"type": "string"} | ({"description": about} if about else {})


def _some(items: Schema, about: str = "") -> Schema:
    return {"type": "array", "items": items} | ({"description": about} if about else {})


def _one_or_more(items: Schema) -> Schema:
    return {**_some(items), "minItems": 1}


def _either(*kinds: Schema) -> Schema:
    return {"anyOf": list(kinds)}


def _kind(name: str) -> Schema:
    return {"const": name}


def _mapping(values: Schema, about: str = "") -> Schema:
    return {"type": "object", "additionalProperties": values} | ({"description": about} if about else {})


def ref(name: str) -> Schema:
    """A schema of this file, by name."""
    return {"$ref": f"#/components/schemas/{name}"}


_ANYTHING: Schema = {}
_NUMBER: Schema = {"type": "number"}
_WHOLE: Schema = {"type": "integer"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_BOOL: Schema = {"type": "boolean"}
_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 200}
_SOMETHING: Schema = {"type": "string", "minLength": 1}
_TOKENS = _one_or_more(_COUNT)
_MODEL: Schema = {
    "type": "string",
    "pattern": r"^[^\u0000-\u001f\u007f]+$",
    "maxLength": 200,
    "description": "A configured model, freehold/TASK, PROVIDER/NAME, or any name that the one provider of this format knows.",
}

_OPENAI_PARTS = _either(
    _object("type", "text", type=_kind("text"), text=_text(), cache_control=_ANYTHING),
    _object("type", "image_url", type=_kind("image_url"), image_url=_object("url", url=_text(), detail=_text())),
    _object("type", "input_audio", type=_kind("input_audio"), input_audio=_object("data", "format", data=_text(), format=_text())),
    _object("type", "audio_url", type=_kind("audio_url"), audio_url=_object("url", url=_text())),
    _object("type", "video_url", type=_kind("video_url"), video_url=_object("url", url=_text())),
    _object("type", "file", type=_kind("file"), file=_object(file_data=_text(), file_id=_text(), filename=_text())),
    _object("type", "refusal", type=_kind("refusal"), refusal=_text()),
)
_OPENAI_CALL = _object(
    "function", id=_text(), type=_kind("function"), function=_object("name", name=_text(), arguments=_text("JSON, as the model wrote it"))
)
_OPENAI_CONTENT = _either(_text(), _some(_OPENAI_PARTS))
_OPENAI_MESSAGE = _either(
    _object(
        "role",
        role={"enum": ["system", "developer", "user", "assistant"]},
        content=_OPENAI_CONTENT,
        name=_text(),
        refusal=_text(),
        reasoning_content=_text(),
        tool_calls=_some(_OPENAI_CALL),
    ),
    _object("role", "tool_call_id", role=_kind("tool"), content=_OPENAI_CONTENT, tool_call_id=_text()),
)
_OPENAI_TOOL = _object(
    "function",
    type=_kind("function"),
    function=_object("name", name=_text(), description=_text(), parameters=_ANYTHING, strict=_BOOL),
    cache_control=_ANYTHING,
)
_OPENAI_SHAPE = _either(
    _object("type", type={"enum": ["text", "json_object"]}),
    _object(
        "type",
        "json_schema",
        type=_kind("json_schema"),
        json_schema=_object(name=_text(), description=_text(), schema=_ANYTHING, strict=_BOOL),
    ),
)
_OPENAI_USAGE = _object(
    prompt_tokens=_COUNT,
    completion_tokens=_COUNT,
    total_tokens=_COUNT,
    prompt_tokens_details=_object(cached_tokens=_COUNT),
    completion_tokens_details=_object(reasoning_tokens=_COUNT),
)

_ANTHROPIC_TEXT = _closed("type", "text", type=_kind("text"), text=_text(), cache_control=_ANYTHING)
_BASE64 = _closed("type", "media_type", "data", type=_kind("base64"), media_type=_text(), data=_text())
_BY_ADDRESS = _closed("type", "url", type=_kind("url"), url=_text())
_BY_ID = _closed("type", "file_id", type=_kind("file"), file_id=_text())
_ANTHROPIC_MEDIA = (
    _closed("type", "source", type=_kind("image"), source=_either(_BASE64, _BY_ADDRESS), cache_control=_ANYTHING),
    _closed("type", "source", type=_kind("document"), source=_either(_BASE64, _BY_ID), title=_text(), cache_control=_ANYTHING),
)
_ANTHROPIC_BLOCK = _either(
    _ANTHROPIC_TEXT,
    *_ANTHROPIC_MEDIA,
    _closed("type", "id", "name", type=_kind("tool_use"), id=_text(), name=_text(), input=_mapping(_ANYTHING), cache_control=_ANYTHING),
    _closed(
        "type",
        "tool_use_id",
        type=_kind("tool_result"),
        tool_use_id=_text(),
        content=_either(_text(), _some(_either(_ANTHROPIC_TEXT, *_ANTHROPIC_MEDIA))),
        is_error=_BOOL,
        cache_control=_ANYTHING,
    ),
    _closed("type", type=_kind("thinking"), thinking=_text(), signature=_text()),
    _closed("type", "data", type=_kind("redacted_thinking"), data=_text()),
)
_ANTHROPIC_TOOL = _closed(
    "name", type=_kind("custom"), name=_text(), description=_text(), input_schema=_ANYTHING, strict=_BOOL, cache_control=_ANYTHING
)
_ANTHROPIC_CHOICE = _either(
    _object("type", type={"enum": ["auto", "any", "none"]}, disable_parallel_tool_use=_BOOL),
    _object("type", "name", type=_kind("tool"), name=_text(), disable_parallel_tool_use=_BOOL),
)
_ANTHROPIC_USAGE = _object(input_tokens=_COUNT, output_tokens=_COUNT, cache_read_input_tokens=_COUNT, cache_creation_input_tokens=_COUNT)


def _feedback(about: str | None, meaning: str, **more: Schema) -> Schema:
    """Feedback about a call or an episode, or about what a token is for; one of four things has to be said."""
    what = {} if about is None else {about: {**_NAME, "description": meaning}}
    is_compared = {"preference": _PREFERENCE} if about != "episode" else {}
    schema = _closed(
        *(what or more),
        "metric",
        **what,
        **(more if about is None else {}),
        metric={**_NAME, "not": _kind("reference_output"), "description": "What is judged."},
        value=_either({"type": "number", "minimum": 0, "maximum": 1, "description": _IN_RANGE}, _BOOL, _text("A label.")),
        correction=_ANYTHING,
        comment=_text(),
        **is_compared,
        **(more if about is not None else {}),
    )
    said = [
        {"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in ("value", "correction", "comment", *is_compared)
    ]
    return schema | {"anyOf": said}


_OTHER = _either(_closed("call", call=_NAME), _closed("answer", answer={"not": {"type": "null"}}))
_PREFERENCE = _either(*(_closed(verdict, **{verdict: _OTHER}) for verdict in ("better_than", "worse_than", "same_as")))
"""How an answer compares with another."""
_SPOKEN: dict[str, Schema] = {
    "source": {
        "type": "string",
        "pattern": r"^(user|import|(user|import|verifier|person|scorer|judge):[^\u0000-\u001f\u007f]+)$",
        "maxLength": 200,
        "description": "Who says it: user, import, verifier:NAME, person:NAME, scorer:NAME or judge:NAME. Takes a key with the role vouch.",
    },
    "author": {**_NAME, "description": "Who of the source, as the product knows them. Takes a key with the role vouch."},
    "key": {**_NAME, "description": "Under one key the same source and author say the same once."},
    "at": {"type": "string", "format": "date-time", "description": "When it was said, if not now. Takes a key with the role vouch."},
}
_TOKEN_METRICS: Schema = {**_some(_NAME, "What may be judged; anything where none is named."), "maxItems": 20}
_TOKEN_AUTHOR: Schema = {**_NAME, "description": "Who is to speak; where nobody is named one address is one voice."}
_PROGRESS = _object("answered", "questions", "skipped", answered=_COUNT, questions=_COUNT, skipped=_COUNT, seconds_left=_NUMBER)
_LEGACY = "One text instead of messages, as completions had it before; for providers of this format that know it."
_IN_RANGE = "In the range of the metric, which is from 0 to 1 unless it is configured."


def _of_messages_or_prompt(schema: Schema) -> Schema:
    """A request of chat completions, with what completions had before there were messages in their place."""
    before = {"required": ["prompt"], "properties": {"prompt": {"not": {"type": "null"}}, "messages": False}}
    return {**schema, "required": ["model"], "anyOf": [{"required": ["messages"]}, before]}


SCHEMAS: dict[str, Schema] = {
    "ChatCompletionRequest": _of_messages_or_prompt(
        _object(
            "model",
            "messages",
            model=_MODEL,
            messages=_one_or_more(_OPENAI_MESSAGE),
            prompt={**_either(_SOMETHING, {**_one_or_more(_SOMETHING), "maxItems": 1}), "description": _LEGACY},
            tools=_some(_OPENAI_TOOL),
            tool_choice=_either(
                {"enum": ["auto", "none", "required"]},
                _object("type", "function", type=_kind("function"), function=_object("name", name=_text())),
            ),
            parallel_tool_calls=_BOOL,
            response_format=_OPENAI_SHAPE,
            max_completion_tokens=_WHOLE,
            max_tokens=_WHOLE,
            stop=_either(_text(), _some(_text())),
            temperature=_NUMBER,
            top_p=_NUMBER,
            top_k=_WHOLE,
            seed=_WHOLE,
            frequency_penalty=_NUMBER,
            presence_penalty=_NUMBER,
            logit_bias=_mapping(_NUMBER),
            logprobs=_BOOL,
            top_logprobs=_WHOLE,
            n=_WHOLE,
            reasoning_effort=_text(),
            service_tier=_text(),
            user=_text(),
            metadata=_mapping(_text(), "Tags of the call, which policies may ask for."),
            stream=_BOOL,
            stream_options=_object(include_usage=_BOOL),
        )
    ),
    "ChatCompletion": _object(
        "choices",
        id=_text(),
        object=_kind("chat.completion"),
        created=_WHOLE,
        model=_text("The model that answered, by its provider's name."),
        choices=_some(
            _object(
                "message",
                index=_WHOLE,
                message=_object(role=_text(), content=_OPENAI_CONTENT, refusal=_text(), tool_calls=_some(_OPENAI_CALL)),
                finish_reason=_text(),
                logprobs=_ANYTHING,
            )
        ),
        usage=_OPENAI_USAGE,
    ),
    "MessageRequest": _object(
        "model",
        "max_tokens",
        "messages",
        model=_MODEL,
        max_tokens=_WHOLE,
        messages=_one_or_more(_closed("role", role={"enum": ["user", "assistant"]}, content=_either(_text(), _some(_ANTHROPIC_BLOCK)))),
        system=_either(_text(), _some(_ANTHROPIC_TEXT)),
        tools=_some(_ANTHROPIC_TOOL),
        tool_choice=_ANTHROPIC_CHOICE,
        thinking=_either(
            _object("type", type={"enum": ["adaptive", "disabled"]}),
            _object("type", "budget_tokens", type=_kind("enabled"), budget_tokens=_WHOLE),
        ),
        output_config=_object(effort=_text(), format=_object("type", type=_kind("json_schema"), schema=_ANYTHING)),
        stop_sequences=_some(_text()),
        temperature=_NUMBER,
        top_p=_NUMBER,
        top_k=_WHOLE,
        service_tier=_text(),
        metadata=_object(user_id=_text()),
        stream=_BOOL,
    ),
    "Message": _object(
        "content",
        id=_text(),
        type=_kind("message"),
        role=_kind("assistant"),
        model=_text("The model that answered, by its provider's name."),
        content=_some(_object("type", type=_text())),
        stop_reason=_text(),
        stop_sequence=_text(),
        usage=_ANTHROPIC_USAGE,
    ),
    "EmbeddingRequest": _object(
        "model",
        "input",
        model=_MODEL,
        input=_either(_SOMETHING, _one_or_more(_text()), _TOKENS, _one_or_more(_TOKENS)),
        encoding_format=_text("float, base64, or what else the provider knows"),
        dimensions={"type": "integer", "minimum": 1},
        user=_text(),
    ),
    "Embeddings": _object(
        "object",
        "data",
        object=_kind("list"),
        data=_some(
            _object(
                "embedding",
                object=_kind("embedding"),
                index=_COUNT,
                embedding=_either(_some(_NUMBER), _text("Little-endian 32-bit floats in base64.")),
            )
        ),
        model=_text(),
        usage=_object(prompt_tokens=_COUNT, total_tokens=_COUNT),
    ),
    "Feedback": _either(
        _feedback("call", "What x-freehold-call said.", **_SPOKEN), _feedback("episode", "A run that calls are part of.", **_SPOKEN)
    ),
    "PublicFeedback": _feedback(None, "", token=_text("As it was made, for what is spoken of.")),
    "TokenRequest": _either(
        _closed(
            "call",
            call=_NAME,
            other={**_NAME, "description": "A call that it may be compared with."},
            metrics=_TOKEN_METRICS,
            author=_TOKEN_AUTHOR,
        ),
        _closed("episode", episode=_NAME, metrics=_TOKEN_METRICS, author=_TOKEN_AUTHOR),
    ),
    "Token": _object("token", "until", token=_text(), until={"type": "string", "format": "date-time"}),
    "FeedbackTaken": _object(
        "metric",
        "feedback",
        call=_NAME,
        episode=_NAME,
        metric=_NAME,
        feedback=_some(_text(), "The ids of what was stored: of the same said again under one key, the same."),
        waits_until=_text("Until when it waits for its call or episode, which is not in the journal yet."),
    ),
    "ReviewJoin": _closed("invitation", invitation=_text("What the link says after its #.")),
    "ReviewJoined": _object("reviewer", "role", "tags", "token", reviewer=_text(), role=_text(), tags=_some(_text()), token=_text()),
    "ReviewQueue": _closed("queue", queue=_text("A queue's id.")),
    "ReviewTicket": _closed("queue", "ticket", queue=_text(), ticket=_text("What `next` said.")),
    "ReviewFlag": _closed("queue", "ticket", "reason", queue=_text(), ticket=_text(), reason=_text("Why it cannot be judged.")),
    "ReviewVerdict": _closed(
        "queue",
        "ticket",
        queue=_text(),
        ticket=_text("What `next` said."),
        right=_some(_text(), "The letters of the right answers, under a binary metric."),
        scores=_mapping(_NUMBER, "A score for each letter, in the metric's range."),
        correction=_ANYTHING,
        comment=_text(),
    ),
    "ReviewQueues": _object(
        "reviewer",
        "role",
        "queues",
        reviewer=_text(),
        role=_text(),
        queues=_some(
            _object(
                "queue",
                "task",
                "metric",
                "guidelines",
                "tariff_usd",
                "progress",
                queue=_text(),
                task=_text(),
                metric=_object("id", "kind", "better", "range", id=_text(), kind=_text(), better=_text(), range=_some(_NUMBER)),
                guidelines=_text(),
                tariff_usd=_either(_NUMBER, {"type": "null"}),
                progress=_PROGRESS,
            )
        ),
    ),
    "ReviewNext": _object(
        "queue",
        "progress",
        queue=_text(),
        progress=_PROGRESS,
        question=_object(
            "ticket",
            "asked",
            "answers",
            "differences",
            ticket=_text(),
            asked=_ANYTHING,
            answers=_mapping(_ANYTHING, "By letter. Nothing says who gave them."),
            differences=_mapping(_text(), "Between the first answer and each other."),
        ),
    ),
    "ReviewDone": _object("queue", "progress", queue=_text(), ticket=_text(), progress=_PROGRESS),
    "PendingCall": _object(
        "id", "object", "status", "answer_at", id=_text(), object=_kind("freehold.call"), status=_kind("waiting"), answer_at=_text()
    ),
    "ExpertAsks": _object("object", "data", "waiting", object=_kind("list"), data=_some({"type": "object"}), waiting=_WHOLE),
    "ExpertAnswer": _object(
        "id",
        "answer",
        id=_text("The question's, as the list has it."),
        answer={
            "type": ["string", "number", "boolean", "object", "array"],
            "description": "Words, or JSON of the form that is asked for; null is none.",
        },
        took_s={"type": "number", "minimum": 0, "description": "How long the person took."},
        expert=_text("Who answers, where no key says it."),
    )
    | {"additionalProperties": False},
    "ExpertAnswered": _object(
        "id", "state", "expert", "earned_usd", id=_text(), state=_kind("answered"), expert=_text(), earned_usd={"type": "number"}
    ),
    "Models": _object(
        "object",
        "data",
        object=_kind("list"),
        data=_some(_object("id", "object", id=_text(), object=_kind("model"), created=_WHOLE, owned_by=_text())),
    ),
    "Healthy": _object("status", status=_kind("ok")),
    "Ready": _object("status", status=_kind("ready")),
    "NotReady": _object("status", status=_text(), why=_text()),
    "OpenAIError": _object(
        "error",
        error=_object(
            "message", message=_text(), type=_text(), param=_text(), code=_text(), call=_text("The call's id, where there is one.")
        ),
    ),
    "AnthropicError": _object(
        "type",
        "error",
        type=_kind("error"),
        error=_object("type", "message", type=_text(), message=_text()),
        request_id=_text("The call's id, where there is one."),
    ),
}
"""Every schema of the document, by name."""
