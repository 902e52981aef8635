"""Every field of a stored record has a docstring of its own, right below it: that is where its meaning, unit and None are told."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import freehold

PACKAGE = Path(freehold.__file__).parent
RECORDS = {
    "catalog.py": {"Rates", "Budget", "Plan", "Model", "Variant", "Metric", "Reward", "Task", "Catalog"},
    "chat/exchange.py": {"Usage"},
    "config.py": {"Config"},
    "tables/feedback.py": {"FeedbackTable", "CreditsTable"},
    "tables/gateway.py": {"GatewayTable", "LimitsTable", "MatchRow", "TeamTable"},
    "tables/models.py": {"ProviderTable", "ServingTable", "ModelTable", "VariantTable"},
    "tables/monitor.py": {"MonitorTable", "WatchTable", "WebhookTable", "EmailTable", "CommandTable"},
    "tables/project.py": {"ProjectTable", "StoreTable", "JournalTable", "DataTable", "TelemetryTable"},
    "tables/tasks.py": {"MetricTable", "ScorerTable", "JudgeTable", "TaskTable", "EvaluationTable", "EconomicsTable"},
    "datasets/example.py": {"Example"},
    "datasets/query.py": {"Condition", "Query"},
    "datasets/recipe.py": {"Cleaning", "Splitting", "Recipe"},
    "feedback/bring.py": {"Bringing", "Brought"},
    "feedback/lessons.py": {"Example", "Pair"},
    "feedback/reward.py": {"Word", "Unheard", "Rewarded"},
    "feedback/saying.py": {"Saying"},
    "feedback/tokens.py": {"Ticket"},
    "feedback/voices.py": {"Voice", "Weighed"},
    "context/count.py": {"Count", "Pieces"},
    "context/history.py": {"Fitted"},
    "context/turns.py": {"Split"},
    "evaluation/result.py": {
        "Mean",
        "Side",
        "Part",
        "Suppressed",
        "Gap",
        "Against",
        "Target",
        "Targets",
        "Confirmed",
        "Scorecard",
        "Asked",
        "Required",
        "Evaluation",
    },
    "feedback/annotation.py": {"Rater", "Round", "Session", "Annotation"},
    "feedback/queue.py": {"Queue", "QueueItem", "Said", "Verdict"},
    "feedback/review_status.py": {"ReviewerStatus", "ReviewStatus"},
    "feedback/reviewers.py": {"Reviewer"},
    "journal/call.py": {"Attempt", "Call", "Episode", "Feedback"},
    "telemetry/event.py": {"Peer", "Tried", "Finished"},
    "telemetry/names.py": {"Metric"},
    "telemetry/workers.py": {"Snapshot"},
    "pricing/rates.py": {"TokenRates", "DatedRates", "Listing", "Snapshot"},
    "evaluation/scorer.py": {"Case", "Score"},
    "evaluation/ppi.py": {"Interval", "Estimate"},
    "evaluation/calibrate.py": {"Pair", "Order", "Calibration"},
    "promotion/cases.py": {"Month", "Part", "Cell", "Paid", "Case", "Way", "Economics"},
    "promotion/costs.py": {"Ran", "Span"},
    "promotion/economics.py": {"Owned", "Scenario", "Estimate"},
    "release.py": {"Released", "Asked"},
    "promotion/certificate.py": {"Certificate", "PerSide", "TestResult", "Control", "Controls", "Slice", "Unpaired"},
    "promotion/records.py": {"PolicyRow", "Event", "Attempt"},
}
"""The records that must be there, by file; others in these files are checked as well."""


def records_in(source: str) -> Iterator[ast.ClassDef]:
    """Classes with annotated fields that derive from a record type."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) in {"msgspec.Struct", "NamedTuple"} for base in node.bases):
            yield node


def undocumented(record: ast.ClassDef) -> list[str]:
    """The record's fields without a docstring right below them; the record's own docstring, where it has none, as `Record`."""
    missing = [] if ast.get_docstring(record) else [record.name]
    for field, below in zip(record.body, [*record.body[1:], None], strict=True):
        if isinstance(field, ast.AnnAssign):
            is_documented = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) and isinstance(below.value.value, str)
            missing += [] if is_documented else [f"{record.name}.{ast.unparse(field.target)}"]
    return missing


@pytest.mark.parametrize("file", RECORDS)
def test_every_field_of_a_record_is_documented(file: str) -> None:
    records = list(records_in((PACKAGE / file).read_text(encoding="utf-8")))
    assert RECORDS[file] <= {record.name for record in records}
    assert [name for record in records for name in undocumented(record)] == []


def test_a_field_without_a_docstring_is_found() -> None:
    source = (
        'class Call(msgspec.Struct):\n    """A call."""\n\n    id: str\n    """Unique."""\n    task: str\n    item: str\n    """Asked."""'
    )
    assert [undocumented(record) for record in records_in(source)] == [["Call.task"]]
