"""How a data set is made, written down: its sources, its cleaning, its splits. Stored with the result, and enough to make it again."""

import re
import tomllib
from datetime import datetime
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from freehold import __version__
from freehold.chat import JSON
from freehold.datasets.language import CODES
from freehold.datasets.query import Query, parse, show
from freehold.datasets.split import Fractions
from freehold.errors import CallerError, nearest

Purpose: TypeAlias = Literal["training", "evaluation"]
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_MOST_BYTES = 1 << 20


class Cleaning(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[clean]`: what is left out, and what is replaced."""

    exact: bool = True
    """Whether of rows that ask exactly the same only the best is kept."""
    near: float = 0.8
    """From which Jaccard similarity of their runs of three words on two questions are the same; 0 compares nothing."""
    least_chars: int = 1
    """Shorter questions and answers are left out."""
    most_chars: int = 100_000
    """Longer questions and answers are left out."""
    languages: tuple[str, ...] = ()
    """The languages that are kept, by code, `und` for those that cannot be told; all where none is named."""
    personal: Literal["replace", "drop"] = "replace"
    """What becomes of personal data: placeholders, or the whole row is left out."""
    finder: Literal["patterns", "presidio"] = "patterns"
    """What finds it: patterns with check digits, or those and Presidio's names and places, an extra."""
    contamination: float = 0.5
    """From which share on of an evaluation text's runs of eight words a training row holds that text; equal texts always are."""
    label_errors: Literal["flag", "drop", "off"] = "flag"
    """What becomes of rows whose answer a classifier, trained on the others, is confident to be another."""

    def __post_init__(self) -> None:
        for code in self.languages:
            if code not in CODES:
                raise CallerError(f"clean.languages has '{code}', which is no language that can be told.{nearest(code, list(CODES))}")
        if not 0 <= self.near <= 1 or not 0 < self.contamination <= 1:
            raise CallerError(f"clean.near {self.near:g} and clean.contamination {self.contamination:g} are shares, from 0 to 1")
        if not 0 <= self.least_chars <= self.most_chars <= 10_000_000:
            raise CallerError(
                f"clean.least_chars {self.least_chars} and most_chars {self.most_chars} go from 0 to 10,000,000, the lesser first"
            )


class Splitting(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[split]`: who goes where. A group never straddles."""

    train: float = 0.8
    """Share of groups in the training part."""
    calibrate: float = 0.1
    """Share of groups in the calibration part; what is left over is the test part."""
    stratify: bool = True
    """Whether every part has its share of each task, and of each answer where a task's answers are few."""
    seed: int = 0
    """Which hash places the groups. Data sets of one seed share their test groups as far as their strata do."""

    def __post_init__(self) -> None:
        if not (self.train >= 0 and self.calibrate >= 0 and self.train + self.calibrate <= 1 + 1e-9):
            raise CallerError(f"split.train {self.train:g} and calibrate {self.calibrate:g} are shares that sum to at most 1")

    @property
    def fractions(self) -> Fractions:
        """As splitting takes them."""
        return Fractions(self.train, self.calibrate)


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"sources": "from"}):
    """A data set's whole recipe."""

    name: str
    """The data set's name."""
    sources: tuple[str, ...]
    """Queries; their union. Times in them are absolute."""
    purpose: Purpose = "training"
    """`training` leaves out what may not train other models. `evaluation` keeps it, and no training part of another data set holds its texts."""
    clean: Cleaning = Cleaning()
    """What is left out and replaced."""
    split: Splitting = Splitting()
    """Who goes where."""
    code: str = __version__
    """The version of Freehold that it was written by."""

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise CallerError(
                f"'{self.name[:80]}' is no name of a data set; expected up to 64 of a-z, 0-9, - and _, with a letter or digit first"
            )
        if not self.sources:
            raise CallerError(f"Data set '{self.name}' has no source. Say one, such as --from 'task=triage and reward>=0.9'.")

    @property
    def queries(self) -> tuple[Query, ...]:
        """The sources, read."""
        return tuple(parse(source, _NEVER) for source in self.sources)

    @property
    def fractions(self) -> Fractions:
        """The share of each part. Of a data set for evaluation all is the test part."""
        return Fractions(0.0, 0.0) if self.purpose == "evaluation" else self.split.fractions


_NEVER = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
"""For sources whose times are absolute."""


def settled(recipe: Recipe, now: datetime) -> Recipe:
    """The recipe with canonical sources, whose times are absolute. Raises CallerError."""
    return msgspec.structs.replace(recipe, sources=tuple(sorted({show(parse(source, now)) for source in recipe.sources})))


def read_recipe(path: Path, name: str | None, now: datetime) -> Recipe:
    """The recipe of a TOML or JSON file, or of a version's manifest, under another name where one is given. Raises CallerError."""
    try:
        data = path.read_bytes()
        if len(data) > _MOST_BYTES:
            raise CallerError(f"{path} is larger than 1 MiB; a recipe is a page.")
        raw: JSON = msgspec.json.decode(data) if data.lstrip()[:1] == b"{" else tomllib.loads(data.decode())
        raw = raw["recipe"] if isinstance(raw, dict) and "recipe" in raw else raw
        if isinstance(raw, dict) and name is not None:
            raw = {**raw, "name": name}
        return settled(msgspec.convert(raw, Recipe), now)
    except OSError as error:
        raise CallerError(f"The recipe {path} cannot be read: {error.strerror}.") from None
    except (ValueError, msgspec.ValidationError, msgspec.DecodeError, tomllib.TOMLDecodeError) as error:
        raise CallerError(f"The recipe {path} is not one: {error}. 'freehold dataset show NAME --recipe' prints one.") from None


def toml_of(recipe: Recipe) -> str:
    """The recipe as TOML."""
    plain = msgspec.to_builtins(recipe)
    lines = [f"{key} = {_value(value)}" for key, value in plain.items() if not isinstance(value, dict)]
    for key, table in plain.items():
        if isinstance(table, dict):
            lines += ["", f"[{key}]", *(f"{inner} = {_value(value)}" for inner, value in table.items())]
    return "\n".join(lines) + "\n"


def _value(value: JSON) -> str:
    """A value of TOML: its strings, lists, numbers and truths are written as JSON's."""
    return msgspec.json.encode(value).decode()
