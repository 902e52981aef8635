"""Frozen versions of data sets, by name and hash: a folder each, with the rows, what was left out, and a manifest. Nothing in them changes."""

import hashlib
import re
import shutil
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from freehold import __version__
from freehold.chat import text_of
from freehold.datasets.example import Example
from freehold.datasets.recipe import Recipe
from freehold.datasets.table import batches_of, examples_in, json_at
from freehold.errors import CallerError, DataError, nearest

ROWS, DROPPED, MANIFEST, EXPORTS = "rows.parquet", "dropped.parquet", "manifest.json", "exports.jsonl"
_HASH = re.compile("[0-9a-f]{64}")
_CHUNK = 1 << 20


class Checked(msgspec.Struct, frozen=True):
    """Evaluation texts that the training part was compared with."""

    name: str
    """What they are."""
    texts: int
    """How many."""


class File(msgspec.Struct, frozen=True):
    """One file of a version."""

    name: str
    """Its name in the version's folder."""
    bytes: int
    """Its size."""
    sha256: str
    """Hash of its content."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a version is: everything about it but its rows."""

    name: str
    """The data set's name."""
    hash: str
    """SHA-256 of its rows and their parts, in whichever order: two builds of one recipe on one journal have one hash."""
    recipe: Recipe
    """How it was made, with absolute times."""
    rows: int
    """How many rows it has."""
    groups: int
    """In how many groups."""
    parts: dict[str, int]
    """Rows of each part."""
    kinds: dict[str, int]
    """Rows of each kind."""
    tasks: dict[str, int]
    """Rows of each task; of none under the empty name."""
    languages: dict[str, int]
    """Rows by language."""
    licences: dict[str, int]
    """Rows by licence; of none under the empty name."""
    consents: dict[str, int]
    """Rows by what their use rests on; by nothing under the empty name."""
    writers: dict[str, int]
    """Rows by who wrote what they teach."""
    answers: dict[str, dict[str, int]] = {}
    """Rows by answer, of tasks whose answers are few."""
    wanted: int
    """Rows that the sources gave before anything was left out."""
    dropped: dict[str, int]
    """How many were left out, by reason; each is in `dropped.parquet`."""
    refused: dict[str, int] = {}
    """Of those the ones whose writers do not let others be trained on them, or have not been asked, by writer."""
    personal: dict[str, int] = {}
    """Personal data replaced, by kind."""
    evaluations: tuple[Checked, ...] = ()
    """What the training part was compared with."""
    suspects: int = 0
    """Rows whose answer is suspected."""
    unseen: int = 0
    """Rows of tasks with few answers that were too many to be looked at for that."""
    chars: tuple[int, int, int] = (0, 0, 0)
    """Characters of questions: the shortest, the median, the longest."""
    asked: tuple[datetime, datetime] | None = None
    """When the first and the last were asked, UTC; None where no row says."""
    erased: int = 0
    """Rows that were erased from the version that this one follows."""
    follows: str | None = None
    """Hash of that version; None for one that was built."""
    stands_for: tuple[str, ...] = ()
    """Hashes of all versions that are gone because rows were erased from them, oldest first, and that this one is what is left of."""
    files: tuple[File, ...]
    """Its files."""
    code: str = __version__
    """The version of Freehold that made it."""
    created_at: datetime
    """When, UTC. No part of the hash."""


class Version(msgspec.Struct, frozen=True):
    """A version that lies there."""

    folder: Path
    manifest: Manifest

    @property
    def label(self) -> str:
        """How people call it."""
        return f"{self.manifest.name}@{self.manifest.hash[:12]}"


def file_of(path: Path) -> File:
    """A file as a manifest names it."""
    hasher, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            hasher.update(piece)
            size += len(piece)
    return File(path.name, size, hasher.hexdigest())


def versions(root: Path, name: str | None = None) -> list[Version]:
    """All versions of a data set, or of all, oldest first. Raises DataError for a manifest that cannot be read."""
    found = [_read(path) for path in sorted(root.glob(f"{name or '*'}/*/{MANIFEST}")) if _HASH.fullmatch(path.parent.name)]
    return sorted(found, key=lambda version: (version.manifest.name, version.manifest.created_at, version.manifest.hash))


def find(root: Path, said: str) -> Version:
    """The version of `NAME` (its newest) or `NAME@HASH`, of which the beginning will do. Raises CallerError."""
    name, _, start = said.partition("@")
    if "/" in name or name.startswith("."):
        raise CallerError(f"'{said}' is no data set; expected NAME, or NAME@HASH for one of its versions")
    known = versions(root, name)
    if not known:
        names = {version.manifest.name for version in versions(root)}
        raise CallerError(f"There is no data set '{name}'.{nearest(name, names)} 'freehold dataset build {name} --from …' makes one.")
    alike = [version for version in known if version.manifest.hash.startswith(start)]
    if not alike or (start and len(alike) > 1):
        listed = ", ".join(version.manifest.hash[:12] for version in known)
        raise CallerError(f"'{said}' names {len(alike)} versions of '{name}'; expected one of {listed}.")
    return alike[-1]


def standing(known: Sequence[Version], hash: str) -> Version | None:
    """The version of that hash, or what is left of it where rows were erased from it since; None where it is gone."""
    return next((version for version in known if hash in (version.manifest.hash, *version.manifest.stands_for)), None)


def intact(version: Version) -> Version:
    """The version, if its files are what its manifest says. Raises DataError."""
    for file in version.manifest.files:
        path = version.folder / file.name
        if not path.is_file() or file_of(path) != file:
            raise DataError(f"{version.label}: '{path}' is missing, or was changed since. Restore it from a backup, or build it again.")
    return version


def texts_of(version: Version, part: str) -> Iterator[str]:
    """The words of the questions of a part, as they follow each other."""
    for table in batches_of(version.folder / ROWS, ["input", "split"]):
        for row in table.to_pylist():
            if row["split"] == part:
                yield text_of(json_at(row["input"]))


def rows_alike(version: Version, start: str) -> Iterator[tuple[Example, str]]:
    """The rows whose ids begin so, with their parts."""
    for table in batches_of(version.folder / ROWS):
        for n, id in enumerate(table.column("id").to_pylist()):
            if id.startswith(start):
                yield examples_in(table.slice(n, 1))[0], str(table.column("split")[n].as_py())


def put_in_place(root: Path, draft: Path, manifest: Manifest) -> Version:
    """Makes a finished draft a version. Where the same one lies there already, that one stays as it is."""
    folder = root / manifest.name / manifest.hash
    if (folder / MANIFEST).is_file():
        shutil.rmtree(draft)
        return _read(folder / MANIFEST)
    (draft / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
    folder.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft.replace(folder)
    return Version(folder, manifest)


def drafts(root: Path) -> Iterator[Path]:
    """What builds left behind that died: nobody else writes here while the lock is held."""
    return root.glob(".draft-*")


def _read(path: Path) -> Version:
    try:
        return Version(path.parent, msgspec.json.decode(path.read_bytes(), type=Manifest))
    except (OSError, msgspec.DecodeError, ValueError) as error:
        raise DataError(f"The manifest {path} cannot be read: {error}. Restore it from a backup, or remove the version's folder.") from None
