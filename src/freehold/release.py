"""A specialist given to others with all it was made of, as far as that may leave; and one from elsewhere taken in."""

import shutil
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from freehold.chat import text_of
from freehold.context import prompts
from freehold.context.prompt import hash_of
from freehold.curate import datasets_alone
from freehold.datasets.card import Openness
from freehold.datasets.example import PERSON
from freehold.datasets.export import Exported, Wanted, export, kept_back
from freehold.datasets.recipe import Recipe, toml_of
from freehold.datasets.table import batches_of
from freehold.datasets.versions import ROWS, Version, intact, versions
from freehold.errors import CallerError, DataError
from freehold.feedback.annotation import annotation_of
from freehold.project import Project
from freehold.promotion.certificate import Certificate
from freehold.promotion.records import certificates_of
from freehold.store.files import private_file
from freehold.training.plans import write_plan
from freehold.variants import shelf
from freehold.variants.card import Card
from freehold.variants.folder import CARD, SUMS, read_folder, write_folder, write_sums
from freehold.variants.specialist import FORMATS, Answerer, read
from freehold.web.modelcard import Model, readme

README, PROMPT, DATA = "README.md", "prompt.txt", "data"
PLAN, ANNOTATION, CERTIFICATE, RECIPE = "plan.toml", "annotation.json", "certificate.json", "recipe.toml"
_OURS = {SUMS, README, PROMPT, DATA, PLAN, ANNOTATION, CERTIFICATE, RECIPE, CARD}
_FEWEST_WORDS, _FEWEST_CHARS = 4, 24
"""Of what counts as quoted: shorter texts stand in any file by chance."""
_FEWEST_TOLD = 5


class Released(msgspec.Struct, frozen=True, kw_only=True):
    """What left."""

    folder: str
    """Where it lies, absolute."""
    label: str
    """The specialist's name and hash."""
    level: Openness
    """How much of its data leaves with it."""
    rows: dict[str, int]
    """Rows of its data set that are there, by part."""
    left_out: dict[str, int]
    """Those that stayed, by reason."""
    certificate: str | None
    """Id of the newest certificate that names it."""
    raters: int
    """People who labelled for its task, each by a pseudonym."""
    files: tuple[str, ...]
    """What the folder holds."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be released, and how."""

    name: str
    """The specialist."""
    level: Openness = "redacted"
    """`full`: rows with all they came from. `redacted`: questions and answers. `statistics`: no row."""
    without_licence: bool = False
    """Whether rows without a licence leave, too."""
    without_consent: bool = False
    """Whether rows without consent do."""


def release(project: Project, asked: Asked, out: Path) -> Released:
    """Writes a specialist with all it was made of into the folder `out`, which must be empty or new.

    Raises CallerError for one that belongs to somebody alone, where its data may not leave at that level, and where what leaves quotes rows
    that stay.
    """
    card = shelf.find(project.store, project.tenant, asked.name)
    if card.subject is not None:
        raise CallerError(
            f"'{card.name}' belongs to one person or customer alone, and is nobody else's: 'freehold take' packs it for them. What can be released "
            f"is the one under it, '{card.over}'."
        )
    if taken := _OURS & {file.name for file in card.files}:
        raise DataError(f"{card.label} has a file called '{min(taken)}', which a release has, too. Its method has to call it otherwise.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CallerError(f"'{out}' is there and not empty. A release replaces nothing; name a new folder.")
    with datasets_alone(project):
        version = _dataset(project, card, asked.level)
        try:
            return _written(project, card, asked, version, out)
        except BaseException:
            shutil.rmtree(out, ignore_errors=True)
            raise


def _dataset(project: Project, card: Card, level: Openness) -> Version | None:
    """The data set that it learnt from; None where it is gone and none of it is asked for."""
    found = next((one for one in versions(project.datasets) if one.manifest.hash == card.dataset), None)
    if found is None and level != "statistics":
        raise CallerError(
            f"The data set that '{card.name}' learnt from, {card.plan.dataset[:80]}, is no longer there: it was removed, or somebody's rows were "
            "erased from it. Train it again on what is left, or release it at --level statistics."
        )
    return None if found is None else intact(found)


def _written(project: Project, card: Card, asked: Asked, version: Version | None, out: Path) -> Released:
    raters = () if version is None else _raters(version)
    told, names = annotation_of(project.store, project.tenant, card.task, project.catalog, project.config.credits, raters)
    wanted = Wanted(
        format="huggingface",
        openness=asked.level,
        without_licence=asked.without_licence,
        without_consent=asked.without_consent,
        task=card.task,
        for_training=True,
        pseudonyms=names,
    )
    certificate = next(
        (one for one in reversed(certificates_of(project.store, project.tenant, card.task)) if one.specialists.get(card.name) == card.hash),
        None,
    )
    shown = _shown(card, asked.level)
    write_folder(project.store, shown, out)
    write_plan(shown.plan, out / PLAN)
    _write(out / ANNOTATION, msgspec.json.format(msgspec.json.encode(told), indent=1))
    if certificate is not None:
        _write(out / CERTIFICATE, msgspec.json.format(msgspec.json.encode(_certificate(certificate, asked.level)), indent=1))
    if version is not None:
        _write(out / RECIPE, _recipe(version.manifest.recipe, asked.level).encode())
    prompt = _prompt(project, card)
    if prompt is not None:
        _write(out / PROMPT, prompt.encode())
    if version is not None:
        _refuse_quotes(version, wanted, out)
    exported = None if version is None else _export(project, version, wanted, out / DATA)
    manifest = None if version is None else version.manifest
    task = project.catalog.tasks.get(card.task)
    source = next((_text(out / file.name) or "" for file in card.files if file.name.endswith(".py")), "")
    model = Model(
        shown, asked.level, task.instruction if task else "", manifest, exported, told, certificate, source, (PROMPT,) if prompt else ()
    )
    _write(out / README, readme(model).encode())
    files = write_sums(out)
    return Released(
        folder=str(out.absolute()),
        label=card.label,
        level=asked.level,
        rows=exported.rows if exported else {},
        left_out=exported.left_out if exported else {},
        certificate=certificate.id if certificate else None,
        raters=told.people,
        files=files,
    )


def _export(project: Project, version: Version, wanted: Wanted, out: Path) -> Exported:
    instructions = {task.id: task.instruction for task in project.catalog.tasks.values()}
    try:
        return export(version, wanted, out, instructions, datetime.now(UTC))
    except CallerError as error:
        raise CallerError(
            f"The data of this specialist may not leave. {error} Say licence and consent under [data] or [tasks.NAME], build the data set again and "
            "train on it; let rows without them leave by --without-licence and --without-consent; or release it at --level statistics."
        ) from None


def _shown(card: Card, level: Openness) -> Card:
    """The card as others see it: no paths of this machine, and no rare answers where rows are not shown with all they came from."""
    plan = msgspec.structs.replace(
        card.plan,
        embedder=None if card.plan.embedder is None else Path(card.plan.embedder).name,
        base=None if card.plan.base is None else Path(card.plan.base).name,
    )
    tested = card.tested
    if tested is not None and level != "full":
        often = {answer: rows for answer, rows in tested.answers.items() if rows[0] >= _FEWEST_TOLD}
        tested = msgspec.structs.replace(tested, answers=often)
    return msgspec.structs.replace(card, plan=plan, tested=tested, tenant="default")


def _certificate(certificate: Certificate, level: Openness) -> Certificate | dict[str, object]:
    """The whole record, from which `freehold verify` recomputes the claim, or what may be told without the names of regions, slices and tags."""
    if level == "full":
        return certificate
    names = (
        "id", "task", "reference", "metric", "metric_kind", "label_design", "claim", "max_loss", "confidence", "attempt", "delta", "certified",
        "estimate", "method", "dataset_hash", "n_items", "n_calibrate", "n_calibrate_groups", "n_test", "loss_upper_bound", "loss_calibrate",
        "saving", "saving_unit", "share", "specialists", "created_at",
    )  # fmt: skip
    return {"abridged": True, **{name: getattr(certificate, name) for name in names}}


def _recipe(recipe: Recipe, level: Openness) -> str:
    """How the data set was made; below full openness without its sources, which may name customers, tags and people."""
    if level == "full":
        return toml_of(recipe)
    lines = [line for line in toml_of(recipe).splitlines() if not line.startswith("from = ")]
    return "\n".join(["# Where its rows came from is told at full openness alone.", *lines]) + "\n"


def _prompt(project: Project, card: Card) -> str | None:
    """The words that it is asked in, of one that a model answers with a prompt of its own."""
    if card.variant is None:
        return None
    known = prompts.versions(project.store, project.tenant, card.task)
    return next((one.text for one in known if one.hash == card.variant.prompt), None)


def _raters(version: Version) -> set[str]:
    """The names of people whom rows rest on; an author's hash behind a name is no part of it."""
    found = {
        rater.removeprefix(PERSON)
        for table in batches_of(version.folder / ROWS, ["raters"])
        for row in table.to_pylist()
        for rater in row["raters"]
        if rater.startswith(PERSON)
    }
    hashed = {name for name in found if len(tail := name.rpartition(" ")[2]) == 12 and set(tail) <= set("0123456789abcdef") and " " in name}
    return (found - hashed) | {name.rpartition(" ")[0] for name in hashed}


def _refuse_quotes(version: Version, wanted: Wanted, out: Path) -> None:
    """Raises CallerError where a file that can be read holds the words of a row that stays: programs and prompts may quote what they learnt from."""
    files = {path: text for path in sorted(out.iterdir()) if (text := _text(path)) is not None}
    counts = dict.fromkeys(files, 0)
    for row in kept_back(version, wanted):
        for said in {text_of(row.input), text_of(row.output)}:
            if len(said) >= _FEWEST_CHARS and len(said.split()) >= _FEWEST_WORDS:
                escaped = msgspec.json.encode(said).decode()[1:-1]
                for path, text in files.items():
                    counts[path] += said in text or escaped in text
    for path, count in counts.items():
        if count:
            raise CallerError(
                f"'{path.name}' of the specialist quotes {count:,} rows that may not leave at this level. Release it at a level at which they do, or "
                "train it without them."
            )


def _write(path: Path, data: bytes) -> None:
    with private_file(path) as file:
        file.write(data)


def _text(path: Path) -> str | None:
    """What a file says; None for one that is no text."""
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError:
        return None


def add(project: Project, folder: Path, name: str | None = None, expected: str | None = None) -> Card:
    """Puts the specialist in a folder, which `release` or somebody else's `take` wrote, on the shelf. It answers nothing until a policy names it.

    `expected`: the hash it has to have, or its beginning. Raises DataError for a folder that was changed or a format that nobody reads here,
    CallerError for a name that is taken and for what belongs to somebody alone.
    """
    card, files = read_folder(folder)
    if expected is not None and not card.hash.startswith(expected):
        raise DataError(f"{folder} holds {card.label}, and not one with the hash {expected}. Take it from whom you expected it of.")
    if card.subject is not None:
        raise CallerError(f"'{card.name}' belongs to one person or customer alone. What can be added is the one under it, '{card.over}'.")
    if card.format in FORMATS and card.over is None:
        read(card, files, _nobody)
    elif card.variant is None:
        raise DataError(f"{card.label} is of the format '{card.format}', which this Freehold does not read: {', '.join(FORMATS)}.")
    prompt = _text(folder / PROMPT) if card.variant is not None and (folder / PROMPT).is_file() else None
    if prompt is not None and card.variant is not None:
        if hash_of(prompt) != card.variant.prompt:
            raise DataError(f"{folder / PROMPT} is not the prompt that {card.label} is asked with. Take it anew from its source.")
        prompts.keep(project.store, project.tenant, card.task, prompt, datetime.now(UTC))
    variant = card.variant if card.variant is None or name is None else msgspec.structs.replace(card.variant, id=name)
    own = msgspec.structs.replace(
        card, name=name or card.name, tenant=project.tenant, variant=variant, files=shelf.store_files(project.store, files)
    )
    shelf.add(project.store, own)
    return own


def _nobody() -> Answerer:
    raise AssertionError("one that answers over another is not added alone")
