"""Names of environment variables: what is secret stands there, and the file names them."""

import re

from freehold.errors import OperatorError

VARIABLE = re.compile("[A-Za-z_][A-Za-z0-9_]*")


def refuse_no_variables(where: str, **names: str | None) -> None:
    """Raises OperatorError for what is no name of an environment variable, and does not repeat it: it may be the secret itself."""
    for key, name in names.items():
        if name is not None and not VARIABLE.fullmatch(name):
            raise OperatorError(f"{where}.{key} is no name of an environment variable. What is secret stands there, not in the file.")
