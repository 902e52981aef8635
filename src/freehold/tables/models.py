"""Who answers: providers, the models they have, and variants."""

from typing import Any, Literal, TypeAlias

import msgspec

from freehold.catalog import Rates, Sampling
from freehold.errors import OperatorError
from freehold.tables.gateway import LimitsTable
from freehold.tables.variables import VARIABLE

ProviderKind: TypeAlias = Literal["openai", "anthropic", "gemini", "recorded"]


class ProviderTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[providers.NAME]`."""

    kind: ProviderKind
    """Which wire format it speaks."""
    base_url: str | None = None
    """Where it listens; None takes the kind's own address."""
    key_env: str | None = None
    """The environment variable that holds its key. Keys stand in no file."""
    trains_others: Literal["yes", "no", "ask"] = "ask"
    """Whether its terms allow its outputs to train other models."""

    def __post_init__(self) -> None:
        if self.key_env is not None and not VARIABLE.fullmatch(self.key_env):
            raise OperatorError(
                "providers: a key_env is no name of an environment variable. If it is the key itself, take it out of the file: keys stand in "
                'the environment, and the file names the variable, such as key_env = "OPENAI_API_KEY".'
            )


class ServingTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[models.NAME.serving]` and `[tasks.NAME.serving]`: how serving asks. What a task says comes before what its model says."""

    connect_s: float | None = None
    """Seconds in which a connection has to stand; 5 where neither says."""
    first_byte_s: float | None = None
    """Seconds from the request's last byte to the answer's first; 120 where neither says."""
    between_s: float | None = None
    """Seconds from one piece of a stream to the next; 60 where neither says."""
    total_s: float | None = None
    """Seconds for everything, retries and fallbacks included; 600 where neither says."""
    retries: int | None = None
    """How often the same model is asked again where its provider says that this may help; 2 where neither says."""
    fallbacks: tuple[str, ...] | dict[str, float] = ()
    """The models that are asked where this one fails: in their order, or by weight, the same for one session."""
    hedge_after_s: float | None = None
    """After so many seconds without a first byte the next is asked too, and the faster one answers; never where neither says."""
    cache_s: float | None = None
    """For how many seconds the same request under the same key is answered from memory; never where neither says."""
    open_after: int | None = None
    """After how many failures among its last 20 answers a model is left alone for a while, and its fallbacks are asked; 0 for never; 5 where
    neither says."""
    restartable: bool = False
    """Whether a stream that broke off may be gone on with by a fallback, from where it was."""

    def __post_init__(self) -> None:
        for name in ("connect_s", "first_byte_s", "between_s", "total_s", "hedge_after_s", "cache_s"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise OperatorError(f"serving.{name} is {value}; it is a number of seconds above 0, or is left out")
        if self.retries is not None and not 0 <= self.retries <= 10:
            raise OperatorError(f"serving.retries is {self.retries}; it is a number from 0 to 10")
        if self.open_after is not None and not 0 <= self.open_after <= 20:
            raise OperatorError(f"serving.open_after is {self.open_after}; it is a number from 0 to 20")
        if isinstance(self.fallbacks, dict) and not all(0 < weight < float("inf") for weight in self.fallbacks.values()):
            raise OperatorError("serving.fallbacks has a weight that is no number above 0")


class ModelTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[models.NAME]`."""

    provider: str | None = None
    """A name under `[providers]`; none for a model that is known from recordings, or that only stands for its fallbacks."""
    name: str | None = None
    """The name its provider knows it by, which is the name that is priced; NAME when left out."""
    rules: str | None = None
    """A table of rules in the project's folder that answers by itself, such as `rules.csv`; what no row fits goes to the reference."""
    price: Rates | None = None
    """A price of one's own, in USD per million tokens."""
    trains_others: Literal["yes", "no", "ask"] | None = None
    """Whether its answers may train other models; as its provider says when left out. For models known from recordings, too."""
    limits: LimitsTable = LimitsTable()
    """How much may be asked of it; what is beyond waits its turn, and is refused where that takes too long."""
    serving: ServingTable = ServingTable()
    """How serving asks it."""


EXPERT_WAIT_S = 30.0
"""How long a caller over HTTP waits for a person where nothing is said."""
MOST_DEADLINE_S = 30 * 86_400.0


class VariantTable(msgspec.Struct, frozen=True, kw_only=True):
    """`[variants.NAME]`: a model asked in a way of its own, a variant that asks others, or a person."""

    kind: Literal["llm", "vote", "verify", "expert"] = "llm"
    """`llm`: a model. `vote`: the same variant several times, or several once each, and the answer most give. `verify`: a variant, whose answer
    another looks at. `expert`: a person."""
    model: str | None = None
    """The model that is asked, for `llm`."""
    of: str | tuple[str, ...] | None = None
    """The variant that is asked, for the others; for a vote, also a list of at least two."""
    n: int = 1
    """How many answers of one variant to vote on; for `verify`, how often an answer is revised at most."""
    by: str | None = None
    """The variant that looks at an answer, for `verify`."""
    prompt: str = "production"
    """The label or hash of the prompt it is asked with: `freehold prompts list TASK`."""
    examples: int = 0
    """How many well-rated answers of the journal it is shown before, those to the most similar questions."""
    steps: bool = False
    """Whether it writes down its steps before its answer; for typed tasks."""
    sampling: Sampling = Sampling()
    """How the model writes."""
    expertise: str = ""
    """What a person has to know, in a word of yours, for `expert`; anybody may answer where it is empty."""
    deadline_s: float | None = None
    """How many seconds a person is waited for, for `expert`."""
    wait_s: float | None = None
    """How many of those a caller over HTTP waits before it is told where the answer will be, for `expert`; 30 where nothing is said."""
    price_usd: float | None = None
    """What a person gets for an answer, for `expert`: it is what the answer costs."""
    fallback: str | None = None
    """The variant that is asked where no person has answered in time, for `expert`; nobody where nothing is said."""

    def __post_init__(self) -> None:
        needed = {"llm": ("model",), "vote": ("of",), "verify": ("of", "by"), "expert": ("deadline_s", "price_usd")}[self.kind]
        for name in ("model", "of", "by", "deadline_s", "price_usd"):
            if (name in needed) != (getattr(self, name) is not None):
                raise OperatorError(f'a variant of kind "{self.kind}" takes {" and ".join(needed)}, and {name} is {getattr(self, name)!r}')
        self._check_expert()
        if isinstance(self.of, tuple):
            if self.kind != "vote" or not 2 <= len(self.of) <= 100 or self.n != 1:
                raise OperatorError(
                    f"a variant's of is a list of {len(self.of)}; a vote takes one of 2 to 100 variants, each of which is asked once, and no n"
                )
        elif not {"vote": 2, "verify": 0}.get(self.kind, 1) <= self.n <= 100:
            raise OperatorError(f"a variant's n is {self.n}; it is a number from 1 to 100, for a vote from 2, and for verify from 0")
        if not 0 <= self.examples <= 100:
            raise OperatorError(f"a variant's examples is {self.examples}; it is a number from 0 to 100")

    def _check_expert(self) -> None:
        if self.kind != "expert":
            for name in ("expertise", "wait_s", "fallback"):
                if getattr(self, name):
                    raise OperatorError(f'a variant of kind "{self.kind}" takes no {name}; one of kind "expert" does')
            return
        for name, most in (("deadline_s", MOST_DEADLINE_S), ("wait_s", MOST_DEADLINE_S), ("price_usd", 1e6)):
            value = getattr(self, name)
            if value is not None and not (0 <= value <= most and (value or name != "deadline_s")):
                raise OperatorError(
                    f"a variant's {name} is {value}; it is a number {'above' if name == 'deadline_s' else 'from'} 0 to {most:,.0f}"
                )

    def fields(self) -> dict[str, Any]:
        """As those of `Variant`."""
        said = {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}
        return said | ({"wait_s": EXPERT_WAIT_S} if self.kind == "expert" and self.wait_s is None else {})
