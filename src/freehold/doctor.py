"""Examines a project and its surroundings, and says of each finding what to do."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

from freehold.config import Config, find_project, load
from freehold.errors import FreeholdError
from freehold.project import Project
from freehold.providers.provider import why_no_key

_LEAST_FREE_BYTES = 1 << 30


class Finding(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    state: Literal["ok", "note", "wrong"]
    """Whether anything has to be done."""
    what: str
    """What was looked at."""
    finding: str
    """What was found."""
    remedy: str = ""
    """What to do about it."""


def examine(folder: Path | None) -> list[Finding]:
    """Everything that can be checked without spending money or opening a connection to anybody but the store."""
    findings = list(_machine())
    try:
        config = load(folder if folder is not None else find_project(Path.cwd()))
    except FreeholdError as error:
        return [*findings, Finding("wrong", "configuration", str(error), "see the message")]
    findings.append(
        Finding("ok", "configuration", f"{config.folder / 'freehold.toml'}: {len(config.tasks)} tasks, {len(config.models)} models")
    )
    findings += [*_store(config), *_tasks(config), *_models(config), *_providers(config), *_channels(config)]
    return findings


def _machine() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding(
        "ok" if sys.version_info >= (3, 11) else "wrong", "Python", version, "" if sys.version_info >= (3, 11) else "use 3.11 or newer"
    )
    for extra, packages in {"postgres": ["psycopg"], "embeddings": ["onnxruntime", "tokenizers"]}.items():
        missing = [p for p in packages if importlib.util.find_spec(p) is None]
        if missing:
            yield Finding(
                "note", f"extra [{extra}]", f"{', '.join(missing)} not installed", f"if you need it: pip install 'freehold[{extra}]'"
            )
        else:
            yield Finding("ok", f"extra [{extra}]", "installed")


def _store(config: Config) -> Iterator[Finding]:
    free = shutil.disk_usage(config.folder).free
    state: Literal["ok", "note"] = "ok" if free >= _LEAST_FREE_BYTES else "note"
    yield Finding(state, "disk", f"{free / 2**30:.1f} GiB free", "" if state == "ok" else "make room; a full disk stops the journal")
    if not os.access(config.folder, os.W_OK):
        yield Finding("wrong", "folder", f"{config.folder} cannot be written", "give yourself write permission")
        return
    try:
        from freehold.journal.read import counts

        with Project(config) as project:
            found = counts(project.store, project.tenant)
            yield Finding(
                "ok", "store", f"{project.store.database.name}: {found.calls:,} calls, {found.feedback:,} labels and other feedback"
            )
            if found.unnamed:
                yield Finding("note", "calls without a task", f"{found.unnamed:,}", "freehold calls groups")
            yield from _policies(project)
            yield from _spool(project)
            yield from _ledger(project)
            yield from _alerts(project)
            path = project.store.database.path
            if path is not None and path.exists() and path.stat().st_mode & 0o077:
                yield Finding("wrong", "store", f"{path} can be read by others", f"chmod 600 {path}")
    except FreeholdError as error:
        yield Finding("wrong", "store", str(error), "see the message")


def _policies(project: Project) -> Iterator[Finding]:
    """Whether what is served can be: the arrays it decides by, and the data its certificate rests on."""
    from freehold.datasets.freeze import erased_items
    from freehold.promotion.gate import active_hash
    from freehold.promotion.records import find_certificate, find_policy, tasks_with_policies

    for task in tasks_with_policies(project.store, project.tenant):
        active = active_hash(project.store, project.tenant, task)
        if active is None:
            continue
        row = find_policy(project.store, project.tenant, task, active)
        what = f"policy of {task}"
        if row.artefact is not None and not project.blobs.path(row.artefact).exists():
            yield Finding(
                "wrong", what, f"{active[:12]} decides by arrays that are missing", "restore blobs/ from a backup, or certify again"
            )
            continue
        proof = find_certificate(project.store, project.tenant, row.certificate) if row.certificate else None
        data = project.folder / proof.dataset if proof is not None and proof.dataset is not None else None
        if data is not None and not data.exists():
            why = "was erased" if erased_items(data) else "is missing"
            yield Finding("note", what, f"{active[:12]} is served; the data of its certificate {why}", "certify again on what there is")
        else:
            yield Finding("ok", what, f"{active[:12]} is served")


def _spool(project: Project) -> Iterator[Finding]:
    """Whether calls wait outside the journal."""
    from freehold.journal.spool import Spool

    if waiting := Spool(project.spool).files():
        yield Finding(
            "note",
            "spool",
            f"calls wait in {project.spool} ({len(waiting)} {'file' if len(waiting) == 1 else 'files'})",
            "'freehold serve' brings them in when the store can be written",
        )
    for path in sorted(project.spool.glob("*.refused")):
        yield Finding("wrong", "spool", f"{path} holds calls that cannot be brought in", "its lines are JSON: look, then remove the file")


def _ledger(project: Project) -> Iterator[Finding]:
    """Whether what budgets are checked by is what the ledger's rows add up to."""
    from freehold.gateway.recount import recount

    differences = recount(project.store, project.tenant)
    for one in differences:
        yield Finding(
            "wrong",
            "ledger",
            f"{one.what} of {one.scope} is {one.kept}, and the rows add up to {one.in_rows}",
            "restore a backup, and tell us: this is a fault of ours",
        )
    if not differences:
        yield Finding("ok", "ledger", "balances and reservations are what its rows add up to")


def _alerts(project: Project) -> Iterator[Finding]:
    """Whether somebody should look at live traffic, and whether everybody was told who was to be."""
    from freehold.monitor.alerts import open_alerts
    from freehold.monitor.deliver import undelivered

    if count := open_alerts(project.store, project.tenant):
        yield Finding("note", "alerts", f"{count} {'is' if count == 1 else 'are'} open", "freehold monitor alerts")
    if lost := [each for each in undelivered(project.store, project.tenant) if each["state"] == "failed"]:
        channels = ", ".join(sorted({str(each["channel"]) for each in lost}))
        yield Finding(
            "wrong",
            "alerts",
            f"{len(lost)} {'message' if len(lost) == 1 else 'messages'} never arrived by {channels}",
            "'freehold monitor status' says why",
        )


def _channels(config: Config) -> Iterator[Finding]:
    """Whether alerts can be told to those who are to hear of them."""
    from freehold.monitor.deliver import Unset, hindrances

    found = hindrances(config.monitor, config.folder)
    for name, hindrance in found.items():
        state: Literal["ok", "note", "wrong"] = "ok" if hindrance is None else "note" if isinstance(hindrance, Unset) else "wrong"
        said = "nothing seems to be in their way; no message was sent" if hindrance is None else str(hindrance)
        yield Finding(state, f"alerts by {name}", said, "" if hindrance is None else f"see [monitor.{name}]")
    if config.monitor.serve and not found:
        yield Finding("note", "alerts", "nobody is told of them", "set [monitor.webhook], [monitor.email] or [monitor.command]")


def _tasks(config: Config) -> Iterator[Finding]:
    for name, task in config.tasks.items():
        missing = [what for what, value in (("reference", task.reference), ("metric", task.metric)) if value is None]
        if missing:
            yield Finding(
                "note", f"task {name}", f"no {' and no '.join(missing)}", f"set it under [tasks.{name}], or say it to 'freehold certify'"
            )
        elif task.metric not in config.metrics and task.metric != "agreement":
            yield Finding(
                "note", f"task {name}", f"metric '{task.metric}' is not declared: bounded in [0, 1]", f"declare [metrics.{task.metric}]"
            )
        else:
            yield Finding("ok", f"task {name}", f"reference {task.reference}, metric {task.metric}, floor {task.max_loss:g}")


def _models(config: Config) -> Iterator[Finding]:
    prices = config.price_book()
    for name, model in config.models.items():
        known = prices.provider_of(model.name or name)
        if known is None:
            yield Finding("note", f"model {name}", f"no price is known for '{model.name or name}'", f"set price under [models.{name}]")
        else:
            yield Finding("ok", f"model {name}", f"priced by {known}")


def _providers(config: Config) -> Iterator[Finding]:
    for name, provider in config.providers.items():
        if why_no_key(name, provider):
            yield Finding(
                "note", f"provider {name}", f"environment variable {provider.key_env} is not set", "set it before 'freehold serve'"
            )
        else:
            yield Finding("ok", f"provider {name}", f"{provider.kind}, trains_others = {provider.trains_others}")
