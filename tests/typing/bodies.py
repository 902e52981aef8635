# ruff: noqa
"""What type checkers say of tasks that have no body, by how that is written."""

import freehold


@freehold.task
def docstring_alone(text: str) -> int:  # mypy pyright
    """Count."""


@freehold.task
def dots(text: str) -> int:  # mypy
    """Count."""
    ...


@freehold.task
def raises(text: str) -> int:
    """Count."""
    raise NotImplementedError
