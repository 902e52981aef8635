"""Names, places and what else Presidio finds in texts, beside the patterns of the core: an extra, for it brings a language model of its own."""

from freehold.datasets.personal import Finder
from freehold.errors import OperatorError

KINDS = {
    "PERSON": "NAME",
    "LOCATION": "PLACE",
    "NRP": "GROUP",
    "MEDICAL_LICENSE": "ID",
    "US_SSN": "ID",
    "US_PASSPORT": "ID",
    "UK_NHS": "ID",
}
"""What is asked of it, and the placeholder for each. What the patterns find with check digits is theirs."""
LEAST_SCORE = 0.5


def finder() -> Finder:
    """Replaces what Presidio finds in English texts. Raises OperatorError where it, or its model, is not installed."""
    try:
        from presidio_analyzer import AnalyzerEngine
    except ImportError:
        raise OperatorError("Presidio is not installed. Install it with: pip install 'freehold[presidio]', and a model of spaCy.") from None
    try:
        analyzer = AnalyzerEngine()
    except (OSError, SystemExit, ValueError) as error:
        raise OperatorError(f"Presidio cannot be started: {error}. Install its model: python -m spacy download en_core_web_lg.") from None

    def replaced(text: str) -> str:
        found = analyzer.analyze(text=text, language="en", entities=list(KINDS), score_threshold=LEAST_SCORE)
        end = len(text) + 1
        for one in sorted(found, key=lambda each: (-each.start, -each.end)):
            if one.end <= end:  # of two that overlap the later one is done already
                text = f"{text[: one.start]}[{KINDS[one.entity_type]}]{text[one.end :]}"
                end = one.start
        return text

    return replaced
