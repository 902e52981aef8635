"""The secret that tokens for public feedback are signed with: of an environment variable, or a file of the project that only its owner reads."""

import os
from pathlib import Path
from secrets import token_urlsafe

from freehold.errors import OperatorError
from freehold.tables import FeedbackTable

FILE = "feedback.secret"
_LEAST = 32


def secret_of(folder: Path, rule: FeedbackTable) -> bytes:
    """The project's secret; the file is made where there is none. Raises OperatorError. Whoever has it can speak for anybody: several
    gateways that share a database share it by the environment."""
    if rule.secret_env is not None:
        said = os.environ.get(rule.secret_env, "")
        if len(said) < _LEAST:
            raise OperatorError(
                f"The environment variable {rule.secret_env}, which feedback.secret_env names, has {len(said)} characters; a secret has {_LEAST} "
                "or more. Make one with 'openssl rand -base64 32'."
            )
        return said.encode()
    path = folder / FILE
    try:
        return _made(path) if not path.exists() else _read(path)
    except OSError as error:
        raise OperatorError(f"{path}, which tokens for feedback are signed with, cannot be read or made: {error.strerror}.") from None


def _made(path: Path) -> bytes:
    """A new one, whole before anybody can read it."""
    secret = token_urlsafe(_LEAST).encode()
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secret)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # fails where another process was first
    except FileExistsError:
        return _read(path)
    finally:
        draft.unlink()
    return secret


def _read(path: Path) -> bytes:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        raise OperatorError(f"{path} can be read by others (its mode is {mode:o}). Run 'chmod 600 {path}', or delete it to make a new one.")
    secret = path.read_bytes().strip()
    if len(secret) < _LEAST:
        raise OperatorError(f"{path} has {len(secret)} bytes; a secret has {_LEAST} or more. Delete it, and a new one is made.")
    return secret
