"""A data set as Croissant 1.1 describes it (mlcommons.org/croissant/1.1): JSON-LD that catalogues and loaders read."""

from collections.abc import Sequence
from pathlib import Path

from freehold.chat import JSON
from freehold.datasets.versions import File, Manifest, file_of

CONFORMS_TO = "http://mlcommons.org/croissant/1.1"
_CR = (
    "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "extract", "field", "fileProperty", "fileObject", "fileSet", "format",
    "includes", "isArray", "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "recordSet", "references", "regex", "repeated",
    "replace", "samplingRate", "separator", "source", "subField", "transform",
)  # fmt: skip
_SPDX = "https://spdx.org/licenses/"
_ABOUT = {
    "id": "Hash of what the row was made of.",
    "kind": "What it was made of: calls, corrections, preferences or reviewed.",
    "task": "The task it is an example of.",
    "input": "What was asked: a text, or JSON.",
    "output": "The answer to learn: a text, or JSON.",
    "rejected": "Of a pair, the worse answer.",
    "reward": "How good the answer was found, from 0 to 1.",
    "language": "ISO 639-1, or und.",
    "licence": "On what licence it may be used.",
}


def croissant(
    manifest: Manifest, openness: str, files: Sequence[tuple[str, File, tuple[str, ...]]], statistics: tuple[str, Path]
) -> dict[str, JSON]:
    """The description of a version. Where no rows are given away, of its statistics alone."""
    m = manifest
    licences = [_licence(licence) for licence in sorted(m.licences) if licence]
    described = {
        "@context": _context(),
        "@type": "sc:Dataset",
        "name": m.name,
        "description": f"{m.rows} rows in {m.groups} groups for {m.recipe.purpose}, from calls to language models and what was said about them.",
        "conformsTo": CONFORMS_TO,
        "citeAs": f"{m.name}, version {m.hash}",
        "license": licences or ["https://spdx.org/licenses/LicenseRef-none"],
        "url": f"urn:freehold:dataset:{m.name}:{m.hash}",
        "version": f"1.0.0+{m.hash[:12]}",
        "creator": {"@type": "sc:Organization", "name": "the project that built it"},
        "datePublished": m.created_at.date().isoformat(),
        "dateCreated": m.created_at.isoformat(),
        "inLanguage": sorted(code for code in m.languages if code != "und"),
        "isLiveDataset": False,
        "rai:dataCollection": f"Journalled calls, selected by: {'; '.join(m.recipe.sources)}"
        if openness == "full"
        else "Journalled calls.",
        "rai:personalSensitiveInformation": "Looked for by patterns with check digits and replaced by placeholders before anything was written.",
        "rai:dataPreprocessingProtocol": ", ".join(f"{reason}: {n} rows left out" for reason, n in m.dropped.items())
        or "Nothing was left out.",
        "rai:dataLimitations": "Names and places are not found by patterns; languages are told by a small detector.",
        "prov:wasGeneratedBy": {"@type": "prov:Activity", "prov:label": f"freehold dataset build, version {m.code}"},
        "distribution": [
            *(_file(name, file, _kind(name)) for name, file, _ in files),
            _file(statistics[0], file_of(statistics[1]), "application/json"),
        ],
    }
    if m.follows is not None:
        described["prov:wasDerivedFrom"] = {"@id": f"urn:freehold:dataset:{m.name}:{m.follows}"}
    if files:
        described["recordSet"] = [
            _splits([Path(name).stem for name, _, _ in files]),
            *(_records(name, columns) for name, _, columns in files),
        ]
    return described


def _context() -> dict[str, JSON]:
    """As the specification's first appendix has it, with the words for provenance."""
    context: dict[str, JSON] = {
        "@language": "en",
        "@vocab": "https://schema.org/",
        "sc": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
        "dct": "http://purl.org/dc/terms/",
        "prov": "http://www.w3.org/ns/prov#",
        "conformsTo": "dct:conformsTo",
        "data": {"@id": "cr:data", "@type": "@json"},
        "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
        "examples": {"@id": "cr:examples", "@type": "@json"},
        "name": {"@container": "@language"},
        "description": {"@container": "@language"},
    }
    return context | {name: f"cr:{name}" for name in _CR}


def _file(name: str, file: File, kind: str) -> dict[str, JSON]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": name,
        "contentSize": f"{file.bytes} B",
        "encodingFormat": kind,
        "sha256": file.sha256,
    }


def _splits(names: Sequence[str]) -> dict[str, JSON]:
    kinds = {"train": "cr:TrainingSplit", "validation": "cr:ValidationSplit", "test": "cr:TestSplit"}
    return {
        "@type": "cr:RecordSet",
        "@id": "splits",
        "name": "splits",
        "dataType": "cr:Split",
        "key": {"@id": "splits/name"},
        "field": [
            {"@type": "cr:Field", "@id": "splits/name", "name": "name", "dataType": "sc:Text"},
            {"@type": "cr:Field", "@id": "splits/url", "name": "url", "dataType": "sc:URL"},
        ],
        "data": [{"splits/name": name, "splits/url": kinds[name]} for name in names],
    }


def _records(name: str, columns: Sequence[str]) -> dict[str, JSON]:
    part = Path(name).stem
    return {
        "@type": "cr:RecordSet",
        "@id": part,
        "name": part,
        "description": f"The rows of the part {part}.",
        "key": {"@id": f"{part}/id"},
        "field": [
            {
                "@type": "cr:Field",
                "@id": f"{part}/{column}",
                "name": column,
                "description": _ABOUT.get(column, f"The row's {column}."),
                "dataType": "sc:Float" if column == "reward" else "sc:Text",
                "source": {"fileObject": {"@id": name}, "extract": {"column": column}},
            }
            for column in columns
        ],
    }


def _kind(name: str) -> str:
    return {".parquet": "application/x-parquet", ".csv": "text/csv"}.get(Path(name).suffix, "application/jsonlines")


def _licence(name: str) -> str:
    return name if "://" in name else f"{_SPDX}{name}"
