"""What a project knows: its tasks, the variants that may answer them, the models behind those, and the metrics that judge them."""

from typing import Literal, TypeAlias

import msgspec

from freehold.errors import CallerError, OperatorError, nearest

VariantKind: TypeAlias = Literal[
    "llm", "head", "rules", "code", "cache", "vote", "best_of", "verify", "guard", "expert", "recorded", "specialist"
]
Durability: TypeAlias = Literal["process", "power"]
Content: TypeAlias = Literal["full", "redacted", "none"]
FeedbackKind: TypeAlias = Literal["score", "label", "correction", "preference", "comment", "verifier"]

_MOST_USD = 1e9
"""Sums of billionths of a dollar have to fit into 64 bits."""
AGREEMENT = "agreement"
"""The built-in metric: 1 where the answer equals the reference's recorded answer, else 0. Its loss is a disagreement."""


class Rates(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A price somebody wrote into the configuration, in USD per million tokens. It overrides the dated snapshot."""

    input_per_mtok: float
    """Fresh input tokens."""
    output_per_mtok: float
    """Output tokens, reasoning included."""
    cached_read_per_mtok: float | None = None
    """Input tokens read from the provider's cache; as `input_per_mtok` when not given."""
    cached_write_per_mtok: float | None = None
    """Input tokens written to the provider's cache; as `input_per_mtok` when not given."""
    per_call: float = 0.0
    """USD for each call, whatever its size."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise OperatorError(f"price.{name} is {value}; a price is a number from 0 up, in USD")


class Budget(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What may be spent, in USD; None is no limit."""

    day_usd: float | None = None
    """On one day, UTC."""
    month_usd: float | None = None
    """In one calendar month, UTC."""
    total_usd: float | None = None
    """Altogether."""

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if value is not None and not 0 <= value <= _MOST_USD:
                raise OperatorError(f"budget.{name} is {value}; a budget is a number of USD from 0 to {_MOST_USD:,.0f}")


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a customer is promised, and what a call costs them: a price of its own, or a share above what it cost us."""

    max_loss: float | None = None
    """The floor of their calls; None leaves each task its own."""
    reference_only: bool = False
    """Whether their calls are answered by the reference alone."""
    per_call: float = 0.0
    """USD for each answer, whatever its size."""
    input_per_mtok: float = 0.0
    """USD per million input tokens."""
    output_per_mtok: float = 0.0
    """USD per million output tokens."""
    markup: float | None = None
    """What is added to our cost, as a share of it: 0.2 makes a cost of 1 USD a price of 1.20."""

    def __post_init__(self) -> None:
        if self.max_loss is not None and not 0 < self.max_loss < 1:
            raise OperatorError(f"a plan's max_loss is {self.max_loss}; it lies between 0 and 1, such as 0.05")
        if self.max_loss is not None and self.reference_only:
            raise OperatorError("a plan has both max_loss and reference_only; the reference alone loses nothing, so keep one of them")
        for name in ("per_call", "input_per_mtok", "output_per_mtok", "markup"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < float("inf"):
                raise OperatorError(f"a plan's {name} is {value}; it is a number from 0 up")
        if self.markup is not None and (self.per_call or self.input_per_mtok or self.output_per_mtok):
            raise OperatorError("a plan has both a markup and prices of its own; keep one of them")


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """A model somebody serves: how we call it by name, and what it costs."""

    id: str
    """The name the project uses for it."""
    provider: str | None = None
    """The configured provider that serves it; None for a model known from recordings only."""
    name: str = ""
    """The name its provider knows it by; `id` when not given. This is the name that is priced."""
    price: Rates | None = None
    """A price of one's own; None leaves it to the snapshot."""


class Sampling(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a model writes its answer. None leaves it to the provider."""

    temperature: float | None = None
    """From 0 for the likeliest words, up to 2."""
    top_p: float | None = None
    """Only the likeliest words that together have this share."""
    seed: int | None = None
    """For answers that repeat, where the provider can."""
    effort: str | None = None
    """How hard to think, in the provider's words, such as `high`."""
    max_output_tokens: int | None = None
    """The most it may write."""

    def __post_init__(self) -> None:
        for name, most in (("temperature", 2.0), ("top_p", 1.0)):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= most:
                raise OperatorError(f"{name} is {value}; it is a number from 0 to {most:g}")
        if self.max_output_tokens is not None and self.max_output_tokens < 1:
            raise OperatorError(f"max_output_tokens is {self.max_output_tokens}; it is a number from 1 up")


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One way to answer a task. All kinds stand side by side under one router."""

    id: str
    """The name policies and reports use."""
    kind: VariantKind = "llm"
    """What answers: a model behind an API, a head of one's own, rules, several answers and a vote, …"""
    model: str | None = None
    """The model behind it, for the kinds that have one."""
    sampling: Sampling = Sampling()
    """How the model writes."""
    prompt: str = "production"
    """The label or the hash of the prompt it is asked with."""
    examples: int = 0
    """How many answered questions it is shown before."""
    steps: bool = False
    """Whether it writes down its steps before its answer; they are kept apart from it."""
    of: str | tuple[str, ...] | None = None
    """The variant that is asked, for the kinds that ask another: `vote`, `best_of`, `verify`, `guard`; for a `vote`, also several."""
    n: int = 1
    """How many answers `vote` and `best_of` ask for, and how often `verify` has an answer revised at most."""
    by: str | None = None
    """The variant that `verify` has look at an answer; None where a function does."""
    expertise: str = ""
    """What an `expert` has to know, in a word; empty for anybody who answers questions."""
    deadline_s: float = 0.0
    """How long an `expert` is waited for."""
    wait_s: float = 0.0
    """How long a caller over HTTP waits for an `expert` before it is told where the answer will be."""
    price_usd: float = 0.0
    """What an `expert` gets for an answer: it is what the answer costs."""
    fallback: str | None = None
    """The variant that is asked where no `expert` has answered in time; None for nobody."""

    def asks(self) -> tuple[str, ...]:
        """The variants that it asks, each once."""
        of = self.of if isinstance(self.of, tuple) else (self.of,)
        return tuple(filter(None, (*of, self.by, self.fallback)))

    def samples(self) -> tuple[str, ...]:
        """Whom `vote` and `best_of` ask, each as often as it stands here: one variant `n` times, or each of several once."""
        return self.of if isinstance(self.of, tuple) else (self.of,) * self.n if self.of is not None else ()


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """How answers are judged: what its scores mean and which way is better."""

    id: str
    """The name scores carry."""
    kind: Literal["binary", "bounded"] = "bounded"
    """`binary`: every score is 0 or 1, declared beforehand, which allows the exact binomial test. `bounded`: any number in `range`."""
    better: Literal["higher", "lower"] = "higher"
    """Which end of the range is good."""
    range: tuple[float, float] = (0.0, 1.0)
    """The least and the greatest score there can be; scores are mapped from here to [0, 1]."""
    deterministic: bool = False
    """Equal answers always get equal scores, so that a pair of equal answers has a loss of 0 without asking anybody."""

    def __post_init__(self) -> None:
        low, high = self.range
        if not low < high or abs(low) == float("inf") or abs(high) == float("inf"):
            raise OperatorError(f"metrics.{self.id}.range is [{low}, {high}]; it takes two finite numbers, the lower one first")
        if self.kind == "binary" and self.range != (0.0, 1.0):
            raise OperatorError(f"metrics.{self.id} is binary and has a range [{low}, {high}]; a binary metric's scores are 0 and 1")

    def unit(self, score: float) -> float:
        """`score` mapped to [0, 1] with 1 the best. Raises CallerError when it is not a score of this metric."""
        low, high = self.range
        if not low <= score <= high:  # NaN fails both
            raise CallerError(
                f"score {score} of metric '{self.id}' is outside [{low:g}, {high:g}]; mend it or set [metrics.{self.id}] range"
            )
        if self.kind == "binary" and score not in (0, 1):
            raise CallerError(f"score {score} of metric '{self.id}' is neither 0 nor 1, and the metric is declared binary")
        share = (score - low) / (high - low)
        return share if self.better == "higher" else 1.0 - share


TRUST: dict[str, float] = {"verifier": 1.0, "person": 1.0, "import": 1.0, "scorer": 0.5, "judge": 0.5, "user": 0.25}
"""The kinds of source that feedback has, and what the word of each weighs where a reward does not say."""


class Reward(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How everything that was said about a call becomes one number in [0, 1].

    Where a field goes by source, `judge` is every judge and `judge:gpt-5` that one; the longer name comes first.
    """

    metrics: dict[str, float] = {}
    """The metrics that count, and the weight of each; the task's own alone where none is named."""
    needs: tuple[str, ...] = ()
    """Those of them without which there is no reward."""
    trust: dict[str, float] = {}
    """What one voice of a source weighs; 0 is not heard. Sources that are not named weigh what they weigh by default."""
    first: tuple[str, ...] = ()
    """Sources in order: where one of them said something, it alone is heard, and the others only where it is silent."""
    at_most: dict[str, float] = msgspec.field(default_factory=lambda: {"user": 0.25})
    """The greatest share of the weight that all voices of a source may have together, however many they are. Below 1, they alone are no
    reward."""
    voices: dict[str, int] = msgspec.field(default_factory=lambda: {"user": 3})
    """How many different voices of a source have to speak before any of them counts."""
    kinds: tuple[FeedbackKind, ...] = ("score", "label", "correction", "preference", "verifier")
    """The kinds of feedback that are heard."""
    labels: dict[str, float] = {}
    """What labels that are text are worth; others are not heard."""
    corrected: float = 0.0
    """What an answer is worth to those who corrected it and gave it no score."""
    preferred: float = 1.0
    """What an answer is worth to those who preferred it to another; the other is worth the rest, and equals a half."""
    episode: float = 0.5
    """What a word about the whole episode weighs beside one about the call itself, for each of its calls."""

    def __post_init__(self) -> None:
        for name in ("metrics", "trust"):
            for key, weight in getattr(self, name).items():
                if not 0 <= weight <= 1e6:
                    raise OperatorError(f"reward.{name}.{key} is {weight}; a weight is a number from 0 to a million")
        if self.metrics and not any(self.metrics.values()):
            raise OperatorError("reward.metrics gives every metric a weight of 0; one at least has to count")
        for name in ("at_most", "labels"):
            for key, share in getattr(self, name).items():
                if not 0 <= share <= 1:
                    raise OperatorError(f"reward.{name}.{key} is {share}; it is a number from 0 to 1")
        for name in ("corrected", "preferred", "episode"):
            if not 0 <= getattr(self, name) <= 1:
                raise OperatorError(f"reward.{name} is {getattr(self, name)}; it is a number from 0 to 1")
        for key, least in self.voices.items():
            if least < 1:
                raise OperatorError(f"reward.voices.{key} is {least}; it is a number from 1 up")
        for name in ("trust", "first", "at_most", "voices"):
            for source in getattr(self, name):
                if (kind := source.partition(":")[0]) not in TRUST:
                    raise OperatorError(f"reward.{name} names the source '{source}'.{nearest(kind, list(TRUST))}")
        if "comment" in self.kinds:
            raise OperatorError("reward.kinds has 'comment'; a comment is worth no number, and is not heard")
        for metric in self.needs:
            if self.metrics and metric not in self.metrics:
                raise OperatorError(
                    f"reward.needs names the metric '{metric}', which reward.metrics does not.{nearest(metric, list(self.metrics))}"
                )


Scope: TypeAlias = Literal["subject", "tenant"]
"""Whose a specialist may be alone: the person a call is about, or the customer it is billed to."""


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A typed function whose implementation is chosen at run time, with its quality floor."""

    id: str
    """The name; over HTTP `freehold/<id>`."""
    reference: str | None = None
    """The variant the others are compared with."""
    variants: tuple[str, ...] = ()
    """The variants that may answer, the reference among them."""
    metric: str | None = None
    """The metric the floor is about."""
    max_loss: float = 0.02
    """The floor: how much a policy may lose against the reference, in the metric's unit range, on average."""
    confidence: float = 0.95
    """1 - δ of its certificate."""
    p95_s: float | None = None
    """Only variants whose predicted 95th percentile of latency, in seconds, is within this may answer; None for no limit."""
    allow_uncertified: bool = False
    """Whether a policy without a certificate may be promoted."""
    content: Content | None = None
    """What of its calls is kept; None takes the journal's."""
    instruction: str = ""
    """What the task asks, in words."""
    reward: Reward | None = None
    """How what is said about its calls becomes one number; None where nobody declared it."""
    scope: Scope | None = None
    """Who each has a habit of their own over its specialists; None for nobody."""

    def __post_init__(self) -> None:
        if not 0 < self.max_loss < 1:
            raise OperatorError(f"tasks.{self.id}.max_loss is {self.max_loss}; it lies between 0 and 1, such as 0.02")
        if not 0.5 <= self.confidence < 1:
            raise OperatorError(f"tasks.{self.id}.confidence is {self.confidence}; it lies from 0.5 to below 1, such as 0.95")
        if self.p95_s is not None and not self.p95_s > 0:
            raise OperatorError(f"tasks.{self.id}.p95_s is {self.p95_s}; it is a number of seconds above 0")


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot of everything by name."""

    tasks: dict[str, Task] = {}
    """By id."""
    variants: dict[str, Variant] = {}
    """By id."""
    models: dict[str, Model] = {}
    """By id."""
    metrics: dict[str, Metric] = {}
    """By id."""

    def task(self, name: str) -> Task:
        """The task of that name. Raises CallerError."""
        if name not in self.tasks:
            raise CallerError(f"There is no task '{name}'.{nearest(name, list(self.tasks))}")
        return self.tasks[name]

    def metric(self, name: str) -> Metric:
        """The metric of that name; a bounded one in [0, 1] for a name nobody declared, exact agreement for `agreement`."""
        if name in self.metrics:
            return self.metrics[name]
        if name == AGREEMENT:
            return Metric(id=AGREEMENT, kind="binary", deterministic=True)
        return Metric(id=name)
