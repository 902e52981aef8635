"""Every name that is told to the outside, in one table: a convention that is renamed is mended here.

OpenTelemetry's names for generative AI are still in development. These are those of its semantic conventions 1.41.0, the last release that
defines them before they moved to a repository of their own; what they have no word for is called `freehold.*`.
"""

from typing import Literal, NamedTuple

SCHEMA_URL = "https://opentelemetry.io/schemas/1.41.0"
"""Which release the names are of."""

# Attributes of OpenTelemetry.
OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
REQUEST_STREAM = "gen_ai.request.stream"
RESPONSE_ID = "gen_ai.response.id"
RESPONSE_MODEL = "gen_ai.response.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
TIME_TO_FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
CACHE_READ_TOKENS = "gen_ai.usage.cache_read.input_tokens"
CACHE_CREATION_TOKENS = "gen_ai.usage.cache_creation.input_tokens"
REASONING_TOKENS = "gen_ai.usage.reasoning.output_tokens"
TYPE_OF_TOKENS = "gen_ai.token.type"
SYSTEM_INSTRUCTIONS = "gen_ai.system_instructions"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
TOOL_DEFINITIONS = "gen_ai.tool.definitions"
ERROR_TYPE = "error.type"
SERVER_ADDRESS = "server.address"
SERVER_PORT = "server.port"
HTTP_METHOD = "http.request.method"
HTTP_ROUTE = "http.route"
HTTP_STATUS = "http.response.status_code"

# Attributes of our own.
CALL = "freehold.call.id"
DOOR = "freehold.door"
TASK = "freehold.task.name"
VARIANT = "freehold.variant.name"
POLICY = "freehold.policy.version"
OUTCOME = "freehold.outcome"
CAUSE = "freehold.attempt.cause"
CONFIGURED_PROVIDER = "freehold.provider.name"
COST = "freehold.cost.usd"
OVERHEAD = "freehold.overhead.seconds"
WORKER = "freehold.worker"

WHOLE_NUMBERS = frozenset({SERVER_PORT, HTTP_STATUS})
"""Attributes that are numbers for OpenTelemetry; Prometheus has text alone."""

SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
"""The bounds that the conventions name for how long a client waits."""
FINE_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
"""For what takes a fraction of a millisecond when all is well."""
TOKENS = (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0, 16777216.0, 67108864.0)
"""The bounds that the conventions name for tokens."""

_UNITS = {"s": "_seconds", "By": "_bytes", "USD": "_usd"}


class Metric(NamedTuple):
    """Something that is counted or measured."""

    name: str
    """As OpenTelemetry has it."""
    kind: Literal["counter", "gauge", "histogram"]
    """A sum that only grows, a value as it is now, or how values are spread."""
    unit: str
    """In UCUM's words: `s`, `By`, `USD`, or what is counted, in braces."""
    help: str
    """What it says."""
    labels: tuple[str, ...] = ()
    """The attributes that tell its series apart."""
    bounds: tuple[float, ...] = ()
    """The upper bounds of a histogram's buckets; one more bucket has no bound."""

    @property
    def prometheus(self) -> str:
        """Its name for Prometheus."""
        return self.name.replace(".", "_") + _UNITS.get(self.unit, "") + ("_total" if self.kind == "counter" else "")

    @property
    def width(self) -> int:
        """How many numbers one of its series has: a histogram's are its buckets and the sum of its values."""
        return len(self.bounds) + 2 if self.kind == "histogram" else 1


_CLIENT = (OPERATION, PROVIDER, REQUEST_MODEL, RESPONSE_MODEL, SERVER_ADDRESS, SERVER_PORT)

TOKEN_USAGE = Metric(
    "gen_ai.client.token.usage",
    "histogram",
    "{token}",
    "Tokens an answer of a model used; input includes what the provider read from its cache.",
    (*_CLIENT, TYPE_OF_TOKENS),
    TOKENS,
)
OPERATION_DURATION = Metric(
    "gen_ai.client.operation.duration",
    "histogram",
    "s",
    "How long a model took for its answer, for each request made to one.",
    (*_CLIENT, ERROR_TYPE),
    SECONDS,
)
FIRST_CHUNK = Metric(
    "gen_ai.client.operation.time_to_first_chunk",
    "histogram",
    "s",
    "From asking a model to the first piece of its stream.",
    _CLIENT,
    SECONDS,
)
PER_CHUNK = Metric(
    "gen_ai.client.operation.time_per_output_chunk",
    "histogram",
    "s",
    "From one piece of a model's stream to the next.",
    _CLIENT,
    SECONDS,
)
CALLS = Metric(
    "freehold.calls", "counter", "{call}", "Calls that have ended.", (DOOR, OPERATION, TASK, POLICY, VARIANT, OUTCOME, HTTP_STATUS)
)
CALL_DURATION = Metric(
    "freehold.call.duration", "histogram", "s", "From a request's last byte to its answer's last byte.", (DOOR, OPERATION, TASK), SECONDS
)
FIRST_BYTE = Metric(
    "freehold.call.time_to_first_byte",
    "histogram",
    "s",
    "From a request's last byte to its answer's first byte.",
    (DOOR, OPERATION, TASK),
    SECONDS,
)
OUR_OVERHEAD = Metric(
    "freehold.overhead.duration", "histogram", "s", "How much of a call was spent here and not upstream.", (DOOR, OPERATION), FINE_SECONDS
)
SPENT = Metric("freehold.cost", "counter", "USD", "What calls cost, as far as it is known.", (TASK, VARIANT))
UNKNOWN_COST = Metric("freehold.calls.cost_unknown", "counter", "{call}", "Calls whose cost nobody knows.", (TASK, VARIANT))
ATTEMPTS = Metric("freehold.attempts", "counter", "{attempt}", "Requests made to variants.", (VARIANT, CAUSE, OUTCOME, ERROR_TYPE))
TOKENS_USED = Metric(
    "freehold.tokens",
    "counter",
    "{token}",
    "Tokens used; cached_read and cached_write are among input, reasoning among output.",
    (TASK, VARIANT, TYPE_OF_TOKENS),
)
TURNED_AWAY = Metric("freehold.requests.refused", "counter", "{request}", "Requests refused before anybody was asked.", (DOOR, HTTP_STATUS))
FAILED_DECISIONS = Metric("freehold.decisions.failed", "counter", "{call}", "Calls that went to the reference because their policy failed.")
DROPPED_CALLS = Metric("freehold.journal.dropped", "counter", "{call}", "Calls that best effort could not journal.")
UNCHECKED_CALLS = Metric(
    "freehold.budgets.unchecked",
    "counter",
    "{call}",
    "Calls that were let through without a look at their budgets, for the store was away.",
)
DROPPED_EVENTS = Metric("freehold.telemetry.dropped", "counter", "{call}", "Calls whose spans were not exported.")
CPU_TIME = Metric("freehold.worker.cpu_time", "counter", "s", "CPU time of a worker, user and system.", (WORKER,))
LOOP_LAG = Metric("freehold.worker.loop_lag", "histogram", "s", "By how much a worker's event loop was late.", (WORKER,), FINE_SECONDS)
IN_FLIGHT = Metric("freehold.calls.in_flight", "gauge", "{call}", "Calls that are being answered.", (WORKER,))
JOURNAL_QUEUE = Metric("freehold.journal.queue", "gauge", "{call}", "Calls that wait for the journal.", (WORKER,))
MEMORY = Metric("freehold.worker.memory", "gauge", "By", "Resident memory of a worker.", (WORKER,))
SPOOL_FILES = Metric("freehold.spool.files", "gauge", "{file}", "Files of calls that wait outside the journal.")
OPEN_BREAKERS = Metric("freehold.breakers.open", "gauge", "{breaker}", "Circuit breakers that are open.")
OPEN_ALERTS = Metric("freehold.alerts.open", "gauge", "{alert}", "Alerts about live traffic that are not over.")

METRICS = (
    *(CALLS, CALL_DURATION, FIRST_BYTE, OUR_OVERHEAD, SPENT, UNKNOWN_COST, ATTEMPTS, TOKENS_USED, TURNED_AWAY, FAILED_DECISIONS),
    *(DROPPED_CALLS, UNCHECKED_CALLS, DROPPED_EVENTS, OPERATION_DURATION, FIRST_CHUNK, PER_CHUNK, TOKEN_USAGE, IN_FLIGHT),
    *(JOURNAL_QUEUE, SPOOL_FILES, OPEN_BREAKERS, OPEN_ALERTS, CPU_TIME, LOOP_LAG, MEMORY),
)
"""In the order in which they are told."""
