"""The clients of bench/real.py: OpenAI's and Anthropic's own libraries, whole and streamed, to the end or not, and what each was told."""

from typing import NamedTuple

import anthropic
import openai

MODEL = "small"
"""What the gateway's project calls the model."""


class Question(NamedTuple):
    """What is asked for."""

    words: str
    """Of the one message."""
    max_tokens: int
    """How long the answer may be."""
    stop: str | None = None
    """The words at which it is to end."""


class Told(NamedTuple):
    """What a client was told, in OpenAI's words."""

    call: str
    """What the journal calls it; empty where nobody said."""
    text: str
    """What the answer says, or what of it had come."""
    finish: str | None = None
    """Why it ended; None where the client left before."""
    input_tokens: int | None = None
    """None where nobody said."""
    output_tokens: int | None = None
    """Likewise."""


class OpenAI:
    """Asks by OpenAI's library."""

    def __init__(self, base_url: str, model: str = MODEL) -> None:
        self._client = openai.AsyncOpenAI(base_url=f"{base_url}/v1", api_key="unused", max_retries=0)
        self._model = model

    async def whole(self, asked: Question) -> Told:
        raw = await self._client.chat.completions.with_raw_response.create(
            model=self._model,
            messages=[{"role": "user", "content": asked.words}],
            temperature=0,
            max_tokens=asked.max_tokens,
            stop=openai.omit if asked.stop is None else [asked.stop],
        )
        answer = raw.parse()
        choice, usage = answer.choices[0], answer.usage
        text, call = choice.message.content or "", raw.headers.get("x-freehold-call", "")
        told = Told(call, text, choice.finish_reason)
        return told if usage is None else told._replace(input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens)

    async def streamed(self, asked: Question, leave_after: int | None = None) -> Told:
        """`leave_after`: how many pieces of text it hears before it goes away; None for all."""
        stream = await self._client.chat.completions.create(
            model=self._model,
            messages=[{"role": "user", "content": asked.words}],
            temperature=0,
            max_tokens=asked.max_tokens,
            stream=True,
            stream_options={"include_usage": True},
            stop=openai.omit if asked.stop is None else [asked.stop],
        )
        told = Told(stream.response.headers.get("x-freehold-call", ""), "")
        pieces = 0
        async for chunk in stream:
            for choice in chunk.choices:
                told = told._replace(text=told.text + (choice.delta.content or ""), finish=choice.finish_reason or told.finish)
                pieces += bool(choice.delta.content)
            if chunk.usage is not None:
                told = told._replace(input_tokens=chunk.usage.prompt_tokens, output_tokens=chunk.usage.completion_tokens)
            if pieces == leave_after:
                break
        await stream.close()
        return told


class Anthropic:
    """Asks by Anthropic's library."""

    def __init__(self, base_url: str, model: str = MODEL) -> None:
        self._client = anthropic.AsyncAnthropic(base_url=base_url, api_key="unused", max_retries=0)
        self._model = model

    async def whole(self, asked: Question) -> Told:
        raw = await self._client.messages.with_raw_response.create(
            model=self._model,
            messages=[{"role": "user", "content": asked.words}],
            max_tokens=asked.max_tokens,
            stop_sequences=anthropic.omit if asked.stop is None else [asked.stop],
            extra_body=_COLD,
        )
        answer = await raw.parse()
        text = "".join(part.text for part in answer.content if part.type == "text")
        call = raw.headers.get("x-freehold-call", "")
        return Told(call, text, _FINISHES[answer.stop_reason or ""], answer.usage.input_tokens, answer.usage.output_tokens)

    async def streamed(self, asked: Question, leave_after: int | None = None) -> Told:
        """As `OpenAI.streamed`."""
        heard: list[str] = []
        async with self._client.messages.stream(
            model=self._model,
            messages=[{"role": "user", "content": asked.words}],
            max_tokens=asked.max_tokens,
            stop_sequences=anthropic.omit if asked.stop is None else [asked.stop],
            extra_body=_COLD,
        ) as stream:
            call = stream.response.headers.get("x-freehold-call", "")
            async for piece in stream.text_stream:
                heard.append(piece)
                if len(heard) == leave_after:
                    return Told(call, "".join(heard))
            answer = await stream.get_final_message()
        return Told(call, "".join(heard), _FINISHES[answer.stop_reason or ""], answer.usage.input_tokens, answer.usage.output_tokens)


_FINISHES = {"max_tokens": "length", "end_turn": "stop", "stop_sequence": "stop"}
_COLD = {"temperature": 0}
"""What the library has no word for any more, and the format does."""
