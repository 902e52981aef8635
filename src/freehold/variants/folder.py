"""A specialist as a folder that travels: its card, its files, and their hashes. What was changed on the way is refused."""

from hashlib import file_digest, sha256
from pathlib import Path
from typing import NamedTuple

import msgspec

from freehold.errors import CallerError, DataError
from freehold.store.files import private_file
from freehold.store.open import Store
from freehold.variants.card import Card
from freehold.variants.shelf import read_files

CARD, SUMS = "card.json", "SHA256SUMS"
_MOST_CARD_BYTES = 16 * 2**20
_MOST_SUMS_BYTES = 2**20


class Packed(NamedTuple):
    """What a folder holds."""

    card: Card
    files: dict[str, bytes]


def write_folder(store: Store, card: Card, out: Path) -> Path:
    """Writes a specialist into the folder `out`, and gives it. Raises CallerError where that holds something."""
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CallerError(f"'{out}' is there and not empty. Nothing is replaced; name a new folder.")
    out.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, data in read_files(store, card).items():
        with private_file(out / name) as file:
            file.write(data)
    with private_file(out / CARD) as file:
        file.write(msgspec.json.format(msgspec.json.encode(card), indent=1))
    return out


def read_folder(folder: Path) -> Packed:
    """The specialist in a folder. Raises DataError for one whose files are not what its card and its sums say, or that has none."""
    check_sums(folder)
    path = folder / CARD
    try:
        if path.stat().st_size > _MOST_CARD_BYTES:
            raise DataError(f"{path} is larger than 16 MiB; a card is some pages.")
        card = msgspec.json.decode(path.read_bytes(), type=Card)
        files = {file.name: (folder / Path(file.name).name).read_bytes() for file in card.files}
    except OSError as error:
        raise DataError(f"{folder} is no specialist: {error.filename} cannot be read ({error.strerror}).") from None
    except msgspec.DecodeError as error:
        raise DataError(f"{path} is no specialist's card: {error}.") from None
    for file in card.files:
        if sha256(files[file.name]).hexdigest() != file.sha256:
            raise DataError(
                f"{folder / file.name} is not what the card says: it was changed, or broke on the way. Take it anew from its source."
            )
    return Packed(card, files)


def write_sums(folder: Path) -> tuple[str, ...]:
    """Writes the hash of every file in a folder, as `sha256sum --check` reads them, and gives their names."""
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.name != SUMS)
    with private_file(folder / SUMS) as file:
        file.writelines(f"{_hash_of(folder / name)}  {name}\n".encode() for name in names)
    return (*names, SUMS)


def check_sums(folder: Path) -> int:
    """How many files of a folder are as its sums say; 0 where it has no sums. Raises DataError for one that is not."""
    path = folder / SUMS
    if not path.is_file():
        return 0
    if path.stat().st_size > _MOST_SUMS_BYTES:
        raise DataError(f"{path} is larger than 1 MiB; it is a line for each file.")
    count = 0
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        said, _, name = line.partition("  ")
        file = folder / name
        if not name or not file.resolve().is_relative_to(folder.resolve()):
            raise DataError(f"{path} has a line that names no file of the folder: {line[:120]!r}. Take it anew from its source.")
        if not file.is_file() or _hash_of(file) != said:
            raise DataError(
                f"{file} is missing or is not what {SUMS} says: it was changed, or broke on the way. Take it anew from its source."
            )
        count += 1
    return count


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
