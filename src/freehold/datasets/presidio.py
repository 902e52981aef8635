"""Names, places and what else Presidio finds in texts, beside the patterns of the core: an extra, for it brings a language model of its own."""

from importlib.util import find_spec

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
_MODELS = ("en_core_web_trf", "en_core_web_lg", "en_core_web_md", "en_core_web_sm")
"""Of spaCy's models of English the first that is installed. Left to itself, Presidio would download one."""


def finder() -> Finder:
    """Replaces what Presidio finds in English texts. Raises OperatorError where it, or a model for it, is not installed."""
    model = next((name for name in _MODELS if find_spec(name) is not None), None)
    if find_spec("presidio_analyzer") is None or model is None:
        raise OperatorError(
            "Presidio is not installed, or no model for it. Install it with: pip install 'freehold[presidio]', and one of spaCy's models: "
            f"{', '.join(_MODELS)}."
        )
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    described = {"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": model}]}
    analyzer = AnalyzerEngine(nlp_engine=NlpEngineProvider(nlp_configuration=described).create_engine(), supported_languages=["en"])

    def replaced(text: str) -> str:
        found = analyzer.analyze(text=text, language="en", entities=list(KINDS), score_threshold=LEAST_SCORE)
        end = len(text) + 1
        for one in sorted(found, key=lambda each: (-each.start, -each.end)):
            if one.end <= end:  # of two that overlap the later one is done already
                text = f"{text[: one.start]}[{KINDS[one.entity_type]}]{text[one.end :]}"
                end = one.start
        return text

    return replaced
