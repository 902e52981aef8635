"""Reads an exported folder with Hugging Face's datasets and with mlcroissant, neither of which knows Freehold; prints what they found."""

import json
import sys
from pathlib import Path


def main(folder: Path) -> None:
    import mlcroissant

    from datasets import load_dataset

    loaded = load_dataset(str(folder), cache_dir=str(folder.parent / "cache"))
    described = mlcroissant.Dataset(str(folder / "croissant.json"))
    issues = described.metadata.ctx.issues
    records = {part: sum(1 for _ in described.records(part)) for part in loaded}
    first = next(iter(described.records("train")))
    told = {
        "rows": {part: rows.num_rows for part, rows in loaded.items()},
        "columns": loaded["train"].column_names,
        "errors": sorted(issues.errors),
        "warnings": sorted(issues.warnings),
        "conforms_to": str(described.metadata.ctx.conforms_to.value),
        "records": records,
        "first": {key: value.decode() if isinstance(value, bytes) else value for key, value in first.items()},
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
