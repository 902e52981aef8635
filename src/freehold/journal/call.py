"""The journal's records: a call, its attempts, the episode it belongs to, and what was said about it."""

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from freehold.catalog import FeedbackKind
from freehold.chat import JSON, Cause, Outcome, Usage

LabelDesign: TypeAlias = Literal["audit", "census", "found"]

TRUTH = "reference_output"
"""The metric under which it is noted how a recorded right answer was come by: its value is 1, its design what counts."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One request to one provider. Nothing paid is hidden: every retry and fallback is one of these."""

    n: int
    """Position among the call's attempts, from 0."""
    variant: str
    """Who was asked."""
    cause: Cause
    """Why this attempt was made."""
    outcome: Outcome
    """How it ended."""
    at: datetime
    """When it began, UTC."""
    latency_s: float | None = None
    """Seconds until its last byte; None when it had none."""
    usage: Usage | None = None
    """What it used; None when the provider did not say."""
    cost_usd: float | None = None
    """What it cost; None is unknown, never 0."""
    error: str | None = None
    """What went wrong, without prompts or credentials."""


class Call(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One request and its answer, as it happened."""

    id: str
    """Unique in the journal. An imported call's is a hash of tenant, task, item and variant, which makes imports idempotent."""
    tenant: str = "default"
    """Whose data this is; no read crosses tenants."""
    task: str | None = None
    """The task it belongs to; None until its group is named."""
    variant: str
    """Who answered."""
    item: str
    """What was asked, by name: calls of one task and item are answers to the same question, and so are paired."""
    input: JSON = None
    """What was asked: text, an object, or chat messages (with tools, an object of both). None where content is not kept."""
    output: JSON = None
    """What was answered. None where there was no answer or content is not kept; `output_digest` still tells equal answers apart."""
    output_digest: str | None = None
    """Hash of the answer's canonical JSON, taken before redaction; None when there was no answer."""
    outcome: Outcome = "answered"
    """How it ended."""
    usage: Usage | None = None
    """What the answer used, over all attempts; None is unknown."""
    cost_usd: float | None = None
    """What it cost; None is unknown, never 0."""
    price_id: str | None = None
    """The price snapshot `cost_usd` was computed with; `recorded` when it came with the record; None when unknown."""
    latency_s: float | None = None
    """Seconds from request to last byte."""
    at: datetime | None = None
    """When it was asked, UTC; None when the log did not say."""
    group: str | None = None
    """Items that depend on each other (one conversation, one customer) share a group; None is a group of its own."""
    customer: str | None = None
    """Whom the product bills for it."""
    subject: str | None = None
    """The person it is about, for erasure."""
    tags: dict[str, str] = {}
    """Anything policies and slices may ask for, such as `tier`."""
    episode: str | None = None
    """The run it is part of."""
    policy: str | None = None
    """Hash of the policy that chose the variant."""
    propensity: float | None = None
    """The probability with which that policy chose this variant, in (0, 1]."""
    reference_output: JSON = None
    """The answer as it should have been, where somebody recorded it."""
    reference_digest: str | None = None
    """Hash of the recorded answer's canonical JSON, taken before redaction; None where there is none."""
    source: str = "import"
    """How it came in: `import`, `gateway`, `ask`, `python`."""
    delivered: bool = True
    """Whether the caller got the answer."""
    attempts: tuple[Attempt, ...] = ()
    """Every request made for it, in order; empty for recorded calls, whose one attempt is the call itself."""
    shape: str = ""
    """Hash of system prompt, tools and form of the input: calls without a task are grouped by it."""
    prompt: str | None = None
    """Hash of the prompt that it was put in words by: `freehold prompts show TASK HASH`. None for words of the caller's own."""
    probabilities: dict[str, float] = {}
    """How probable its variant held each answer, as far as it said so: by the answer's words or canonical JSON. Empty where it did not."""


class Episode(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Calls of one run, in the order they were made."""

    id: str
    """Unique in the journal."""
    tenant: str = "default"
    """Whose data this is."""
    name: str | None = None
    """What ran: a pipeline's name."""
    at: datetime
    """When it began, UTC."""
    customer: str | None = None
    """Whom the product bills for it."""
    subject: str | None = None
    """The person it is about, for erasure."""


class Feedback(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Anything said later about a call or an episode, with its source."""

    id: str
    """Hash of what it is about, metric, source and key: saying it again adds nothing."""
    tenant: str = "default"
    """Whose data this is."""
    call: str | None = None
    """The call it is about; None when it is about an episode."""
    episode: str | None = None
    """The episode it is about; None when it is about a call."""
    metric: str
    """What was judged."""
    kind: FeedbackKind = "score"
    """What sort of thing was said."""
    value: float | None = None
    """The score in the metric's own range, as it was given; None for kinds without one."""
    content: JSON = None
    """A label as text, a correction, a preference (`feedback/preference.py`) or a comment."""
    source: str
    """Who said it: `import`, `person:<name>`, `judge:<name>`, `scorer:<name>`, `verifier:<name>`, `user`; `user:public` with a token and no key."""
    author: str | None = None
    """Who of the source said it, as the product knows them: the id of an end user. None where nobody says."""
    design: LabelDesign = "found"
    """Where it came from: drawn with a known probability, a census of every item, or found."""
    inclusion: float | None = None
    """The probability with which this item was drawn, for `audit`; 1 for `census`; None for `found`."""
    at: datetime
    """When it was said, UTC."""
