"""The lower line of the loop: journal to paired items, to a certified policy, to the gate that lets traffic onto it."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from freehold.catalog import AGREEMENT, Metric, Task
from freehold.chat import canonical_json
from freehold.datasets.freeze import erased_items, freeze, thaw
from freehold.datasets.load import Loaded, Usable, load_pairs, usable
from freehold.datasets.pairs import Pairs
from freehold.datasets.split import CALIBRATE, Fractions, checked
from freehold.errors import CallerError, DataError, OperatorError, StoreBusy, nearest
from freehold.journal.answers import tags_of, variants_of
from freehold.project import Project
from freehold.promotion import records
from freehold.promotion.certificate import Certificate, Unpaired, identity
from freehold.promotion.certify import Certification, certify, parts
from freehold.promotion.draw import picture
from freehold.promotion.estimate import Estimated, estimate
from freehold.promotion.served import load as load_policy
from freehold.promotion.settings import Settings
from freehold.promotion.trained import Entered, enter
from freehold.promotion.verify import Verdict, Verification, read_certificate, remake, verify
from freehold.routing import artefact
from freehold.routing.artefact import policy_hash
from freehold.routing.check import Scope, check
from freehold.routing.decide import scores_used
from freehold.routing.embed import Embedder
from freehold.routing.features import SURFACE, features
from freehold.routing.online import OnlinePolicy
from freehold.routing.program import Program, parse, show
from freehold.routing.program import digest as program_digest
from freehold.routing.scorer import Scorer
from freehold.store.files import private_file
from freehold.store.lock import KernelLock
from freehold.variants.shelf import on_shelf

Report = Callable[[str], None]
"""Told what is being done, for people who wait."""


_OTHERS_S = 600.0
"""How long a certification waits for another one of the project."""


class Request(NamedTuple):
    """What a certification is asked for. None takes the task's own setting."""

    task: str
    reference: str | None = None
    variants: tuple[str, ...] | None = None
    metric: str | None = None
    max_loss: float | None = None
    confidence: float | None = None
    fractions: Fractions = Fractions()
    by: str | None = None
    seed: int = 0


class Issued(NamedTuple):
    """A certificate that is written down, and what it was made of."""

    certificate: Certificate
    made: Certification
    usable: Usable


def certify_task(
    project: Project, request: Request, embedder: Embedder | None = None, say: Report = lambda _: None, wait_s: float = _OTHERS_S
) -> Issued:
    """Loads, freezes, certifies and writes down: the frozen data, the arrays, an inactive policy row and the certificate.

    Asking again for the same, of the same data, spends no further δ. Raises CallerError, DataError, and StoreBusy where another
    certification of the project takes longer than `wait_s`.
    """
    request = _checked(request)
    task, metric = _task(project, request), _metric(project, request)
    say("reading paired items")
    loaded = load_pairs(project.store, project.tenant, task.id, task.reference or "", metric)
    named = request.variants or task.variants
    entered = enter(project, task, [name for name in named if name != task.reference], loaded, metric)
    loaded, trained = entered.loaded, entered.head
    head, wanted = _candidates(project, task, request, entered, metric)
    items = usable(loaded, wanted)
    if not items.candidates and head is None:
        others = [name for name in loaded.pairs.variants[1:] if wanted is None or name in wanted]
        if not others:
            raise DataError(
                f"Task '{task.id}' has no variant beside '{task.reference}' to compare. Import another one's answers, or certify a head of "
                f"your own by --metric {AGREEMENT}."
            )
        why = "; ".join(f"{name}: {reason}" for name, reason in items.dropped.items())
        raise DataError(f"No variant of task '{task.id}' can be a candidate. {why}. Or name the candidates by --variants.")
    pairs = items.pairs
    say(f"freezing {len(pairs):,} items")
    dataset_hash, dataset = freeze(pairs, project.datasets)
    answerers = (*(entered.hashes.get(name, name) for name in items.candidates), entered.hashes.get(head or "", head))
    spec = _spec_hash(task, metric, request, answerers, embedder.name if embedder else None, dataset_hash)
    settings = Settings(
        max_loss=task.max_loss,
        confidence=task.confidence,
        fractions=request.fractions,
        by=request.by,
        seed=request.seed,
        p95_s=task.p95_s,
        head=head,
        trained=trained.head if trained is not None else None,
        head_cost_usd=_flat_price(project, head),
    )
    say("training on the training part, walking the calibration part")
    unpaired = _unpaired(loaded.pairs, items)
    now = datetime.now(UTC)
    with _alone(project.folder, wait_s, say):
        for attempt in _attempts(project, task.id, pairs, request.fractions, spec):
            settings = settings._replace(attempt=attempt.number)
            made = certify(pairs, items.candidates, metric, settings, unpaired, now, project.tenant, embedder)
            certificate = _named(project, _with_journal(made.certificate, loaded, items, entered.hashes), made, dataset)
            earlier = records.find_certificate(project.store, project.tenant, attempt.id) if attempt.id else None
            if earlier is not None and _say_the_same(earlier, certificate):
                certificate = earlier
            if earlier is None or certificate is earlier:
                break
        records.add_certificate(project.store, certificate, spec)  # before anybody can read what came of it
    _write(project, certificate)
    records.add_policy(
        project.store,
        project.tenant,
        task.id,
        certificate.policy_hash,
        certificate.policy_source,
        certificate.artefact,
        certificate.id,
        "certify",
        certificate.created_at,
    )
    return Issued(certificate, made, items)


@contextmanager
def _alone(folder: Path, wait_s: float, say: Report) -> Iterator[None]:
    """One certification of a project at a time, for two at once would spend one attempt's δ twice. Raises StoreBusy that names the other."""
    lock = KernelLock(folder / ".certify.lock")
    with ExitStack() as turn:
        turn.callback(lock.close)
        try:
            turn.enter_context(lock.held(0.0))
        except StoreBusy:
            say(f"waiting for {_holder(lock.path)}, which certifies in this project")
            try:
                turn.enter_context(lock.held(wait_s))
            except StoreBusy:
                raise StoreBusy(
                    f"Another certification of '{folder}' goes on, by {_holder(lock.path)}, for more than {wait_s:g} s; two at once would spend "
                    f"one attempt's confidence twice. Let it end, or end it (`fuser {lock.path}` names it), then certify again."
                ) from None
        lock.path.write_text(f"{os.getpid()}\n")
        yield


def _holder(path: Path) -> str:
    """Whoever holds the lock of certifications, as far as it says."""
    said = path.read_text().strip()
    return f"process {said}" if said.isdecimal() else "another process"


def _checked(request: Request) -> Request:
    """The request as two that ask the same are written. Raises CallerError."""
    checked(request.fractions)
    if not 0 <= request.seed < 2**32:
        raise CallerError(f"--seed {request.seed} is no seed; it is a whole number from 0 to {2**32 - 1}.")
    by = request.by or None
    plain = by.removeprefix("tag.") if by else by
    return request._replace(by=by if plain in (*SURFACE, "region") else plain)


def _with_journal(certificate: Certificate, loaded: Loaded, items: Usable, specialists: dict[str, str]) -> Certificate:
    """The certificate with what was counted in the journal, variants that could not be candidates and answers that were charged, and with
    which specialists its variants are."""
    left_out = {**items.dropped, **certificate.left_out}
    are = {name: hash for name, hash in specialists.items() if name in certificate.variants}
    return msgspec.structs.replace(certificate, left_out=left_out, charged=_charged(loaded, items), specialists=are)


def _task(project: Project, request: Request) -> Task:
    """The task with what the request says instead."""
    known = project.task(request.task)
    asked = {"reference": request.reference, "max_loss": request.max_loss, "confidence": request.confidence}
    try:
        task = msgspec.structs.replace(known, **{key: value for key, value in asked.items() if value is not None})
        task.__post_init__()
    except OperatorError as error:
        raise CallerError(str(error).replace(f"tasks.{request.task}.", "--").replace("max_loss", "max-loss")) from None
    if task.reference is None:
        raise CallerError(f"Certify '{task.id}' against what? Say --reference VARIANT, or set reference under [tasks.{task.id}].")
    return task


def _metric(project: Project, request: Request) -> Metric:
    name = request.metric or (project.catalog.tasks[request.task].metric if request.task in project.catalog.tasks else None)
    if name is None:
        raise CallerError(
            f"By what measure? Say --metric NAME (scores of that name), or --metric {AGREEMENT} to take the reference's answers as right; "
            f"or set metric under [tasks.{request.task}]."
        )
    return project.catalog.metric(name)


def _candidates(
    project: Project, task: Task, request: Request, entered: Entered, metric: Metric
) -> tuple[str | None, tuple[str, ...] | None]:
    """The head, and the recorded variants that may be chosen (None: all that cover enough items)."""
    pairs, trained = entered.loaded.pairs, entered.head
    if trained is None:
        return _split_off_head(project, task, request.variants, pairs, metric)
    named = request.variants or task.variants
    return trained.name, tuple(name for name in named if name in pairs.variants and name != task.reference)


def _split_off_head(
    project: Project, task: Task, asked: tuple[str, ...] | None, pairs: Pairs, metric: Metric
) -> tuple[str | None, tuple[str, ...] | None]:
    """The head to train, and the recorded variants that may be chosen (None: all that cover enough items).

    A head is a variant of that kind without recorded answers. Where nothing but the reference is recorded, as in a log of one model
    certified for agreement, a head is what is left to try.
    """
    names = asked or (task.variants or None)
    head = next((n for n in names or () if n not in pairs.variants and _is_head(project, n)), None)
    recorded = None if names is None else tuple(n for n in names if n not in (head, task.reference))
    if head is None and len(pairs.variants) == 1 and names is None:
        head = "head"
    if recorded is not None and asked is None:
        recorded = tuple(n for n in recorded if n in pairs.variants)
    for name in recorded or ():
        if name not in pairs.variants:
            raise CallerError(f"No call of task '{task.id}' was answered by '{name}'.{nearest(name, pairs.variants)}")
    if head is not None and not (metric.deterministic or (pairs.truth_N >= 0).any()):
        raise CallerError(
            f"A head can only be judged where equal answers get equal scores. If '{metric.id}' is such a metric, say so: "
            f"[metrics.{metric.id}] deterministic = true."
        )
    return head, recorded


def _is_head(project: Project, name: str) -> bool:
    variant = project.catalog.variants.get(name)
    return name == "head" if variant is None else variant.kind == "head"


def _flat_price(project: Project, head: str | None) -> float:
    model = project.catalog.models.get(head) if head else None
    return model.price.per_call if model and model.price else 0.0


def _spec_hash(task: Task, metric: Metric, request: Request, answerers: tuple[str | None, ...], embedder: str | None, data: str) -> str:
    """What makes two certifications the same question."""
    floor = (task.reference, task.max_loss, task.confidence, task.p95_s)
    spec = (data, floor, metric, request.fractions, request.by, request.seed, answerers, embedder)
    return hashlib.sha256(canonical_json(msgspec.to_builtins(spec))).hexdigest()


class _Attempt(NamedTuple):
    """The number a certification counts under."""

    number: int
    id: str | None
    """The certificate this number was spent on; None while it is free."""


def _attempts(project: Project, task: str, pairs: Pairs, fractions: Fractions, spec: str) -> Iterator[_Attempt]:
    """Which attempt on this data set it is: one more than those that saw any of its calibration groups.

    Asked before, it is the attempt it was then, as long as it says the same: prices, another machine's arithmetic or a newer Freehold may
    say something else, which is one more look at the data and counts as one.
    """
    earlier = records.attempts(project.store, project.tenant, task)
    for attempt in earlier:
        if attempt.spec_hash == spec:
            yield _Attempt(attempt.number, attempt.id)
    kept, part_N, _ = parts(pairs, project.tenant, fractions)
    mine = {kept.groups[i] for i in np.flatnonzero(part_N == CALIBRATE)}
    seen = sum(not mine.isdisjoint(_groups_of(project.datasets / f"{attempt.dataset_hash}.parquet", mine)) for attempt in earlier)
    yield _Attempt(1 + seen, None)


def _say_the_same(earlier: Certificate, now: Certificate) -> bool:
    """Whether two certificates on the same data are one: what has come in since and could not be used makes no difference."""
    return all(getattr(earlier, name) == getattr(now, name) for name in ("policy_hash", "loss_upper_bound", "saving", "certified"))


def _groups_of(path: Path, otherwise: set[str]) -> set[str]:
    """The groups of a frozen file; of one that is gone or damaged, as many as would count it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return set(pq.read_table(path, columns=["group"]).column("group").to_pylist())
    except (OSError, pa.ArrowException):
        return otherwise


def _unpaired(pairs: Pairs, items: Usable) -> Unpaired:
    """How many items could not be used, and by how many standard deviations their features differ from the others'."""
    out = np.flatnonzero(items.left_out_N)
    if len(out) == 0 or len(items.pairs) == 0:
        return Unpaired(n=len(out), by_reason=items.reasons, differences={})
    sample = np.random.default_rng(0)
    out = sample.permutation(out)[:2000]
    kept = sample.permutation(np.flatnonzero(~items.left_out_N))[:2000]
    surface_NS = np.stack([features(pairs.texts[i]).surface for i in (*out, *kept)]).astype(np.float64)
    spread_S = surface_NS.std(axis=0)
    apart_S = surface_NS[: len(out)].mean(axis=0) - surface_NS[len(out) :].mean(axis=0)
    differences = {name: float(apart_S[s] / spread_S[s]) for s, name in enumerate(SURFACE) if spread_S[s] > 1e-12}
    return Unpaired(n=int(items.left_out_N.sum()), by_reason=items.reasons, differences=differences)


def _charged(loaded: Loaded, items: Usable) -> dict[str, int]:
    """Answers of candidates that have no label where others have one: they were counted as wrong."""
    kept_NV = loaded.charged_NV[~items.left_out_N]
    counts = dict(zip(loaded.pairs.variants, kept_NV.sum(axis=0).tolist(), strict=True))
    return {name: n for name in items.candidates if (n := counts[name])}


def _named(project: Project, issued: Certificate, made: Certification, dataset: Path) -> Certificate:
    """The certificate with the names of its data, arrays and files in it. Stores the arrays."""
    digest = project.store.blobs.put(artefact.dump(made.scorer)) if made.scorer is not None else None
    policy = policy_hash(issued.policy_hash, digest) if digest else issued.policy_hash
    certificate = msgspec.structs.replace(
        issued,
        policy_hash=policy,
        artefact=digest,
        policy=str(project.policies.relative_to(project.folder) / f"{_file_name(issued.task)}-{policy[:12]}.policy"),
        dataset_hash=dataset.stem,
        dataset=str(dataset.relative_to(project.folder)),
    )
    id = identity(certificate)
    path = project.certificates.relative_to(project.folder) / f"{_file_name(certificate.task)}-{id[:12]}.json"
    return msgspec.structs.replace(certificate, id=id, certificate=str(path))


def _write(project: Project, certificate: Certificate) -> None:
    """Writes the policy's text and the certificate, where the certificate says."""
    assert certificate.policy is not None and certificate.certificate is not None
    with private_file(project.folder / certificate.policy) as file:
        file.write(certificate.policy_source.encode())
    with private_file(project.folder / certificate.certificate) as file:
        file.write(msgspec.json.format(msgspec.json.encode(certificate)))


def _file_name(task: str) -> str:
    return "".join(c if c.isalnum() or c in "-_." else "_" for c in task)[:80]


def read_program(project: Project, file: Path) -> Program:
    """The program in a file, checked against the project. Raises CallerError, PolicyError."""
    try:
        program = parse(file.read_bytes())
    except OSError as error:
        raise CallerError(f"{file} cannot be read: {error.strerror}. Give a file with a policy program.") from None
    check(program, _scope(project, program.task))
    return program


def add_program(project: Project, file: Path) -> tuple[Program, str]:
    """Adds the program in a file as an inactive, uncertified policy, and gives its hash.

    Where it asks for predicted losses it takes the arrays of the task's newest policy that has some.
    """
    program = read_program(project, file)
    digest, hash = None, program_digest(program)
    if scores_used(program):
        rows = records.policy_rows(project.store, project.tenant, program.task)
        digest = next((row.artefact for row in reversed(rows) if row.artefact), None)
        if digest is None:
            raise CallerError(
                f"{file} asks for scores of variants, and task '{program.task}' was never certified. Run 'freehold certify' first."
            )
        hash = policy_hash(hash, digest)
    records.add_policy(project.store, project.tenant, program.task, hash, show(program), digest, None, "person", datetime.now(UTC))
    return program, hash


def find_program(project: Project, task: str | None, name: str) -> Program:
    """The program in a file of that name, or the task's policy whose hash begins with it."""
    if Path(name).is_file():
        return read_program(project, Path(name))
    if task is None:
        raise CallerError(f"There is no file '{name}'. For a policy's hash, say --task TASK.")
    return parse(records.find_policy(project.store, project.tenant, task, name).source)


def estimate_policy(
    project: Project, task: str, name: str, metric: str | None, by_reward: bool = False, since: datetime | None = None
) -> Estimated:
    """What the policy in a file, or the one whose hash begins with `name`, would be worth on the task's logged traffic.

    By the metric, the task's own where none is named, or by its reward. Raises CallerError, DataError.
    """
    known = project.task(task)
    by = None if by_reward else metric or known.metric
    if by is None and known.reward is None:
        raise CallerError(f"By what measure? Say --metric NAME or --reward, or set metric under [tasks.{task}].")
    policy = _online(project, task, name)
    measure = project.catalog.metric(by) if by is not None else None
    return estimate(project.store, project.tenant, known, project.catalog, policy, measure, since)


def _online(project: Project, task: str, name: str) -> OnlinePolicy:
    """A policy as it would be served: of a file, with the arrays of the task's newest policy that has some."""
    if not Path(name).is_file():
        return load_policy(project.store, project.tenant, records.find_policy(project.store, project.tenant, task, name))
    program = read_program(project, Path(name))
    if program.task != task:
        raise CallerError(f"{name} is a policy of task '{program.task}', not of '{task}'.")
    rows = records.policy_rows(project.store, project.tenant, task)
    digest = next((row.artefact for row in reversed(rows) if row.artefact), None)
    scorer = artefact.load(project.store.blobs.get(digest)) if digest is not None else None
    return OnlinePolicy(program_digest(program), program, scorer)


def _scope(project: Project, name: str) -> Scope:
    """What a program for this task may name: its variants in the file, the journal and its newest arrays, the arrays' regions, the calls'
    tags."""
    task = project.catalog.tasks.get(name, Task(id=name))
    recorded = variants_of(project.store, project.tenant, name)
    newest = next((r.artefact for r in reversed(records.policy_rows(project.store, project.tenant, name)) if r.artefact), None)
    arrays = artefact.load(project.store.blobs.get(newest)) if newest else None
    trained = [card.name for card in on_shelf(project.store, project.tenant, name)]
    said = [*task.variants, *([task.reference] if task.reference else []), *recorded, *(arrays.variants if arrays else ()), *trained]
    variants = tuple(dict.fromkeys(said))
    if not variants:
        raise CallerError(f"There is no task '{name}'.{nearest(name, list(project.catalog.tasks))}")
    return Scope(
        task=name,
        variants=variants,
        reference=task.reference or variants[0],
        regions=arrays.region_names if arrays else (),
        tags=tags_of(project.store, project.tenant, name) or None,
    )


def verify_file(project: Project, path: Path) -> Verification:
    """Recomputes the certificate in a file from the data and the arrays it names."""
    try:
        certificate = read_certificate(path)
        if certificate.dataset is None:
            raise DataError(f"{path} names no data set. It was never issued; certify again.")
        metric = project.catalog.metric(certificate.metric)
        return verify(certificate, project.folder / certificate.dataset, _arrays(project, certificate), metric)
    except (DataError, CallerError, OperatorError) as error:
        return Verification(Verdict.UNREADABLE, (str(error),), None)


def _asked_last(project: Project, task: str, known: list[Certificate]) -> Certificate | None:
    """The certificate of the policy that was written last; asking for an earlier one again writes it again."""
    by_id = {c.id: c for c in known}
    rows = records.policy_rows(project.store, project.tenant, task)
    return next((by_id[row.certificate] for row in reversed(rows) if row.certificate in by_id), None)


def _arrays(project: Project, certificate: Certificate) -> Scorer | None:
    """The arrays a certificate's policy decides with; None where it needs none."""
    return artefact.load(project.blobs.get(certificate.artefact)) if certificate.artefact else None


def report_task(project: Project, task: str, out: Path, certificate: Path | None = None, say: Report = lambda _: None) -> list[Path]:
    """Writes the page about a task and its pictures; their paths, the page first.

    The newest certificate is the page's, or the one in the file `certificate`; others of the same data stand beside it. Raises
    CallerError where the task was never certified, DataError where the data is gone.
    """
    from freehold.web.report import write_report

    project.task(task)
    known = [c for c in records.certificates_of(project.store, project.tenant, task) if c.dataset]
    main = read_certificate(certificate) if certificate else _asked_last(project, task, known)
    if main is None or main.dataset is None:
        raise CallerError(f"Task '{task}' has no certificate to report on. Run 'freehold certify {task} …' first.")
    if main.task != task:
        raise CallerError(f"{certificate} is about task '{main.task}', not '{task}'.")
    say("recomputing from the frozen data")
    if erased := erased_items(project.folder / main.dataset):
        raise DataError(
            f"{erased} of the items certificate {main.id[:12]} rests on were erased since, and its frozen data with them: there is nothing to "
            f"draw. Certify '{task}' again on what is left."
        )
    made = remake(main, thaw(project.folder / main.dataset), _arrays(project, main), project.catalog.metric(main.metric))
    beside = [c for c in known if c.dataset_hash == main.dataset_hash and c.id != main.id and c.metric == main.metric]
    say("drawing")
    return write_report(picture(project.config.project.name, made, main, beside), out)
