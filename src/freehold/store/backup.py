"""A backup is one archive: a manifest of hashes, a snapshot of the database, the blobs and the configuration.

Made while the project is in use: no writer waits for it. Restored only into a place without a journal, and only if every hash agrees.
"""

import io
import os
import re
import shutil
import sqlite3
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

import msgspec

from freehold import __version__
from freehold.config import load
from freehold.errors import DataError, OperatorError, StoreTooNew
from freehold.store.blobs import DIGEST_BYTES
from freehold.store.database import Database, Kind
from freehold.store.open import Store, database_at, explained, open_store, parsed_url
from freehold.store.schema import metadata
from freehold.store.version import HEAD, VERSION_TABLE

CONFIG = "freehold.toml"
_MANIFEST = "manifest.json"
_FORMAT = 1
_JOURNAL = "journal.db"
_PAGES = 4096
"""SQLite pages copied in one step: 16 MB."""
_CHUNK = 1 << 20
_BUSY_S = 10.0
_MOST_MANIFEST_BYTES = 1 << 30
_FOLDERS = ("datasets", "certificates", "policies", "calibrations", "evaluations")
_FILE = re.compile(rf"(?:{'|'.join(_FOLDERS)})(?:/[\w-][\w. -]*)+")
_BLOB = re.compile(r"blobs/([0-9a-f]{2})/([0-9a-f]{38})")
_TABLE = re.compile(r"tables/([a-z_]{1,63})")
_COLUMN = re.compile(r"[a-z_]{1,63}")


class Entry(msgspec.Struct, frozen=True):
    """One file of an archive."""

    name: str
    """Where it lies in the archive."""
    size: int
    """Bytes."""
    digest: str
    """Hash of its content, 40 hex digits, as a blob's name."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive says about itself: its first member."""

    format: int = _FORMAT
    """Version of the archive's own form."""
    kind: Kind
    """The database it is a snapshot of."""
    schema: str
    """Version of the journal's schema."""
    made_by: str = __version__
    """The Freehold that made it."""
    made_at: datetime
    """When, UTC."""
    tables: dict[str, tuple[str, ...]] = {}
    """Of a PostgreSQL snapshot, the columns each table's copy has."""
    files: tuple[Entry, ...]
    """Every other member, in order."""


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """What a restore did."""

    manifest: Manifest
    """What the archive held."""
    config: Literal["restored", "kept", "none"]
    """Whether `freehold.toml` was restored; one that is there is kept."""


def backup(store: Store, folder: Path, out: Path, now: datetime | None = None) -> Manifest:
    """Writes the project in `folder` into the archive `out` (`.gz` at its end compresses it), readable by its owner; whole or not at all.

    Raises OperatorError where `out` exists, cannot be written, or a blob of the journal is missing.
    """
    if out.exists():
        raise OperatorError(f"'{out}' exists, and a backup replaces nothing. Name another file.")
    try:
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".freehold-backup-") as work:
            return _written(store, folder, out, Path(work), now or datetime.now(UTC))
    except OSError as error:
        raise _unwritable(f"the backup '{out}'", error) from error


def restore(archive: Path, into: Path, url: str | None = None) -> Restored:
    """Restores an archive into the project folder `into` and the database at `url`, which must be of the archive's kind and empty.

    Without a `url` it is that of the configuration: the folder's, where it has one, else the archive's. Files that are there already stay.
    Everything is read and its hashes compared before anything is put in place. An archive of an older schema is migrated. Raises
    OperatorError, DataError for a damaged archive, StoreTooNew for one of a newer schema.
    """
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into, prefix=".freehold-restore-") as work:
            return _restored(archive, into, url, Path(work))
    except OSError as error:
        raise _unwritable(f"'{into}'", error) from error


class _Snapshot(NamedTuple):
    """A database at one moment, as files."""

    schema: str
    files: dict[str, Path]
    """Files by their name in the archive."""
    tables: dict[str, tuple[str, ...]]
    blobs: set[str]
    """The blobs it refers to."""


def _written(store: Store, folder: Path, out: Path, work: Path, now: datetime) -> Manifest:
    with explained(store.database):
        path = store.database.path
        snapshot = _postgres_snapshot(store, work) if path is None else _sqlite_snapshot(path, work)
    files = snapshot.files | {path.relative_to(folder).as_posix(): path for path in _project_files(folder)}
    entries = [Entry(name, path.stat().st_size, _digest_of_file(path)) for name, path in files.items()]
    for name in sorted(snapshot.blobs | set(store.blobs.names())):
        path = store.blobs.path(name)
        if path.is_file():
            files[f"blobs/{name[:2]}/{name[2:]}"] = path
            entries.append(Entry(f"blobs/{name[:2]}/{name[2:]}", len(store.blobs.get(name)), name))
        elif name in snapshot.blobs:
            raise OperatorError(f"The blob '{path}' is missing. If a person was just erased, make the backup again; else the file is lost.")
    manifest = Manifest(kind=store.kind, schema=snapshot.schema, made_at=now, tables=snapshot.tables, files=tuple(entries))
    unfinished = work / "archive"
    with _private(unfinished) as file:
        with tarfile.open(fileobj=file, mode="w:gz" if out.suffix == ".gz" else "w") as tar:
            data = msgspec.json.encode(manifest)
            tar.addfile(_member(_MANIFEST, len(data), now), io.BytesIO(data))
            for entry in entries:
                with files[entry.name].open("rb") as content:
                    tar.addfile(_member(entry.name, entry.size, now), content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(out)
    return manifest


def _project_files(folder: Path) -> list[Path]:
    """The configuration, and what certificates and policies were made of. Unfinished files, whose names begin with a dot, are left."""
    found = [path for name in _FOLDERS for path in sorted((folder / name).rglob("*")) if path.is_file()]
    config = [folder / CONFIG] if (folder / CONFIG).is_file() else []
    return config + [path for path in found if _FILE.fullmatch(path.relative_to(folder).as_posix())]


def _sqlite_snapshot(path: Path, work: Path) -> _Snapshot:
    """Copies the file through SQLite's backup in one read transaction, so that writers neither wait nor make it start again."""
    copy = work / _JOURNAL
    _private(copy).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as source, closing(sqlite3.connect(copy, isolation_level=None)) as target:
        target.execute("PRAGMA synchronous = OFF")
        source.execute("BEGIN")
        source.execute("SELECT count(*) FROM sqlite_master").fetchone()  # from here on it sees this moment
        source.backup(target, pages=_PAGES)
        source.execute("ROLLBACK")
        target.execute("PRAGMA journal_mode = DELETE")
        (schema,) = target.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()  # noqa: S608 our own constant
        blobs = {digest.hex() for (digest,) in target.execute("SELECT digest FROM contents WHERE data IS NULL")}
    return _Snapshot(schema, {_JOURNAL: copy}, {}, blobs)


def _postgres_snapshot(store: Store, work: Path) -> _Snapshot:
    """Copies every table in one repeatable-read transaction."""
    files: dict[str, Path] = {}
    tables: dict[str, tuple[str, ...]] = {}
    with store.reading() as connection:
        schema = store.database.version(connection)
        assert schema is not None
        driver: Any = connection.connection.driver_connection
        for table in metadata.sorted_tables:
            tables[table.name] = tuple(str(column.name) for column in table.columns)  # SQLAlchemy's own kind of str
            path = files[f"tables/{table.name}"] = work / table.name
            query = f"SELECT {_names(tables[table.name])} FROM {table.name} ORDER BY seq"  # noqa: S608 our own names
            with _private(path) as file, driver.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT") as copy:
                for data in copy:
                    file.write(data)
        blobs = {digest.hex() for (digest,) in connection.exec_driver_sql("SELECT digest FROM contents WHERE data IS NULL")}
    return _Snapshot(schema, files, tables, blobs)


def _restored(archive: Path, into: Path, url: str | None, work: Path) -> Restored:
    with _opened(archive) as tar:
        manifest = _manifest(archive, tar)
        files = _extracted(archive, tar, manifest, work)
    saved = files.pop(CONFIG, None)
    config: Literal["restored", "kept", "none"] = "none" if saved is None else "kept" if (into / CONFIG).exists() else "restored"
    if url is None:
        url = _configured_url(into if (into / CONFIG).exists() else work)
    parsed = parsed_url(url)
    if (manifest.kind == "sqlite") != (parsed.drivername == "sqlite"):
        raise OperatorError(
            f"'{archive}' holds a {manifest.kind} journal, and [store] url is '{parsed.drivername}'. Restore it into its own kind."
        )
    if manifest.kind == "sqlite":
        target = into / (parsed.database or "")
        if target.exists():
            raise OperatorError(f"'{target}' exists: there is a journal already, and a restore replaces none. Name an empty folder.")
        _place_files(files, into)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(files[_JOURNAL], target)  # an absolute path may lead to another disk
        open_store(url, into).close()
    else:
        database = database_at(parsed, into, "power", _BUSY_S)
        try:
            with explained(database):
                _fill(database, manifest, files)
        finally:
            database.close()
        _place_files(files, into)
    if saved is not None and config == "restored":
        saved.rename(into / CONFIG)
    return Restored(manifest=manifest, config=config)


def _configured_url(folder: Path) -> str:
    return load(folder).store.url if (folder / CONFIG).exists() else "sqlite:///freehold.db"


def _place_files(files: dict[str, Path], into: Path) -> None:
    for name, path in files.items():
        target = into / name
        if (_BLOB.fullmatch(name) or _FILE.fullmatch(name)) and not target.exists():
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.rename(target)


def _fill(database: Database, manifest: Manifest, files: dict[str, Path]) -> None:
    """Makes the tables as they were, fills them, and migrates them: in one transaction."""
    from freehold.store.migrate import migrate

    with database.migrating() as connection:
        if database.version(connection) is not None:
            raise OperatorError(f"{database.name} has a journal already, and a restore replaces none. Name an empty database or schema.")
        migrate(connection, manifest.schema)
        driver: Any = connection.connection.driver_connection
        for table, columns in manifest.tables.items():
            with files[f"tables/{table}"].open("rb") as file, driver.cursor() as cursor:
                with cursor.copy(f"COPY {table} ({_names(columns)}) FROM STDIN") as copy:
                    while data := file.read(_CHUNK):
                        copy.write(data)
                newest = f"SELECT coalesce(max(seq), 0) + 1 FROM {table}"  # noqa: S608 checked against _TABLE
                cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'seq'), ({newest}), false)")
        migrate(connection, HEAD)


def _manifest(archive: Path, tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    content = tar.extractfile(first) if first is not None and first.name == _MANIFEST and first.isfile() else None
    if content is None:
        raise DataError(f"'{archive}' is no backup of a journal: it does not begin with {_MANIFEST}")
    try:
        manifest = msgspec.json.decode(content.read(_MOST_MANIFEST_BYTES), type=Manifest)
    except msgspec.DecodeError as error:
        raise DataError(f"'{archive}' has a manifest that cannot be read: {error}") from error
    if manifest.format > _FORMAT or manifest.schema > HEAD:
        raise StoreTooNew(
            f"'{archive}' was made by Freehold {manifest.made_by} (schema {manifest.schema}); this one knows {HEAD} and older. "
            "Upgrade Freehold (pip install -U freehold), then restore it."
        )
    needed = {f"tables/{table}" for table in manifest.tables} if manifest.kind == "postgresql" else {_JOURNAL}
    named = all(_TABLE.fullmatch(f"tables/{table}") and all(map(_COLUMN.fullmatch, columns)) for table, columns in manifest.tables.items())
    if not named or not needed <= {entry.name for entry in manifest.files}:
        raise DataError(f"'{archive}' has a manifest that does not name a journal's files")
    return manifest


def _extracted(archive: Path, tar: tarfile.TarFile, manifest: Manifest, work: Path) -> dict[str, Path]:
    """Writes every file of the manifest under a number, and compares its hash. What the manifest does not name is not looked at."""
    files: dict[str, Path] = {}
    for number, entry in enumerate(manifest.files):
        member = tar.next()
        content = tar.extractfile(member) if member is not None and member.name == entry.name and member.isfile() else None
        if content is None:
            raise DataError(f"'{archive}' is damaged: '{entry.name}' is missing. Restore another backup.")
        files[entry.name] = path = work / (CONFIG if entry.name == CONFIG else str(number))
        hashed = blake2b(digest_size=DIGEST_BYTES)
        with _private(path) as file:
            while data := content.read(_CHUNK):
                hashed.update(data)
                file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if hashed.hexdigest() != entry.digest:
            raise DataError(f"'{archive}' is damaged: '{entry.name}' does not have the hash it was written with. Restore another backup.")
    return files


@contextmanager
def _opened(archive: Path) -> Iterator[tarfile.TarFile]:
    try:
        file = archive.open("rb")
    except OSError as error:
        raise OperatorError(f"Cannot read '{archive}': {error.strerror or error}.") from error
    try:
        with file, tarfile.open(fileobj=file) as tar:
            yield tar
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(f"'{archive}' is damaged or no backup of a journal: {error}") from error


def _digest_of_file(path: Path) -> str:
    hashed = blake2b(digest_size=DIGEST_BYTES)
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            hashed.update(data)
    return hashed.hexdigest()


def _private(path: Path) -> IO[bytes]:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")


def _member(name: str, size: int, at: datetime) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode, member.mtime = size, 0o600, int(at.timestamp())
    return member


def _names(columns: tuple[str, ...]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def _unwritable(what: str, error: OSError) -> OperatorError:
    return OperatorError(
        f"Cannot write {what}: {error.strerror or error} ('{error.filename or ''}'). Make room, or make the folder writable."
    )
