"""Commands about proof: certify, verify, report."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from freehold.cli.console import (
    GATE_SAID_NO,
    JsonOption,
    ProjectOption,
    exit_with,
    number,
    opened,
    out,
    print_json,
    print_table,
    share,
    steps,
    usd,
)

if TYPE_CHECKING:
    from freehold.promotion.certificate import Certificate


def register(app: typer.Typer) -> None:
    """Adds these commands."""
    for command in (certify, verify, report):
        app.command()(command)


def certify(
    task: Annotated[str, typer.Argument(help="The task.")],
    reference: Annotated[str | None, typer.Option(help="The variant to compare with; the task's own when left out.")] = None,
    variants: Annotated[
        str | None, typer.Option(metavar="A,B,…", help="Who may answer instead; all that were recorded when left out.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="What measures quality; 'agreement' takes the reference's answers as right.")] = None,
    max_loss: Annotated[float | None, typer.Option(help="What the policy may lose on average, such as 0.02.")] = None,
    confidence: Annotated[float | None, typer.Option(help="Confidence of the claim, such as 0.95.")] = None,
    train: Annotated[float, typer.Option(metavar="FRACTION", help="Share of groups to train on.")] = 0.4,
    calibrate: Annotated[float, typer.Option(metavar="FRACTION", help="Share of groups to prove on; the rest is the test part.")] = 0.4,
    by: Annotated[str | None, typer.Option(metavar="FEATURE|TAG", help="Give every slice of the traffic a bound of its own.")] = None,
    seed: Annotated[int, typer.Option(help="Orders items; splits do not depend on it.")] = 0,
    embedder: Annotated[Path | None, typer.Option(metavar="DIR", help="A folder made by 'freehold embedder build'.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find the cheapest policy whose loss is provably within the floor. Exit 3 when there is none, or only an estimate."""
    from freehold.datasets.split import Fractions
    from freehold.improve import Request, certify_task
    from freehold.routing.embed import load_embedder

    request = Request(
        task=task,
        reference=reference,
        variants=tuple(name.strip() for name in variants.split(",") if name.strip()) if variants else None,
        metric=metric,
        max_loss=max_loss,
        confidence=confidence,
        fractions=Fractions(train, calibrate),
        by=by,
        seed=seed,
    )
    with opened(project) as home, steps(not as_json) as say:
        certificate = certify_task(home, request, load_embedder(embedder) if embedder else None, say).certificate
    if as_json:
        print_json(certificate)
    else:
        print_certificate(certificate)
    if not certificate.certified:
        exit_with(GATE_SAID_NO)


def print_certificate(certificate: "Certificate") -> None:
    """A certificate for people."""
    c, unit = certificate, "saving" if certificate.saving_unit == "cost" else "calls saved"
    out().print(c.claim + "\n", markup=False)
    out().print(c.policy_source, markup=False)
    bound = "estimated bound on loss" if c.estimate else "bound on loss"
    print_table(
        "",
        ["", "policy", "reference"],
        [
            [f"{bound} (floor {c.max_loss:g}, confidence {c.confidence:g})", number(c.loss_upper_bound, 4), "0"],
            [f"{unit}, calibration", share(c.saving), "0.0%"],
            [f"{unit}, test ({c.test.n} items)", share(c.test.saving), "0.0%"],
            ["loss, test", _loss(c), "0"],
            ["quality", number(c.quality.policy), number(c.quality.reference)],
            ["USD per 1,000 calls", usd(c.cost_usd_per_1k.policy), usd(c.cost_usd_per_1k.reference)],
        ],
        right=(1, 2),
    )
    controls = {
        "all cheapest": c.controls.all_cheapest,
        "all reference": c.controls.all_reference,
        "shuffled": c.controls.shuffled,
        "oracle": c.controls.oracle,
    }
    print_table(
        "Controls, on the same test items",
        ["", "loss", "quality", unit],
        [[name, number(k.loss, 4), number(k.quality), share(k.saving)] for name, k in controls.items()],
        right=(1, 2, 3),
    )
    print_table("Who answers (calibration)", ["variant", "share"], [[v, share(s)] for v, s in c.share.items()], right=(1,))
    if c.slices:
        rows = [[s.name, str(s.n_calibrate), number(s.loss_upper_bound, 4), share(s.saving), s.reason] for s in c.slices]
        print_table(f"Slices by {c.by}; the worst is {c.worst_slice}", ["slice", "items", "bound", unit, "why not"], rows, right=(1, 2, 3))
    for line in remarks(c):
        out().print(line, markup=False)


def _loss(c: "Certificate") -> str:
    interval = f" ({c.test.loss_ci[0]:.3f} to {c.test.loss_ci[1]:.3f})" if c.test.loss_ci else ""
    return number(c.test.loss, 4) + interval


def remarks(c: "Certificate") -> list[str]:
    """What has to be said beside the numbers."""
    from freehold.catalog import AGREEMENT

    lines = [
        f"{c.n_items:,} paired items in {c.n_groups:,} groups: {c.n_train:,} to train, {c.n_calibrate:,} to prove, {c.n_test:,} to test. "
        f"Labels: {c.label_design}. Method: {c.method}, attempt {c.attempt}, {c.thresholds_tested} policies tested."
    ]
    if c.estimate and c.metric == AGREEMENT:
        lines.append(
            "These answers are no random sample, and prove nothing, however many. Finish the one that was begun, or put another to the "
            f"candidates: 'freehold ask {c.task}'."
        )
    elif c.estimate:
        lines.append(
            f"Labels that were found prove nothing, however many. Draw some with 'freehold label {c.task}', or import scores that were drawn "
            "or are complete with --label-design audit or census."
            + ("" if c.labels_needed is None else f" About {c.labels_needed:,} groups with such labels are expected to be needed.")
        )
    elif not c.certified:
        more = "more recorded items" if c.metric == AGREEMENT else "more labelled groups"
        lines.append(
            "No number of labels is expected to be enough: nothing cheaper stays within the floor."
            if c.labels_needed is None
            else f"About {c.labels_needed:,} {more} are expected to be needed (at least {c.labels_at_least:,} to prove on)."
        )
    if c.unpaired.n:
        apart = {name: d for name, d in c.unpaired.differences.items() if abs(d) > 0.2}
        told = (
            "; they differ in " + ", ".join(f"{n} ({d:+.2f} sd)" for n, d in sorted(apart.items(), key=lambda x: -abs(x[1]))[:5])
            if apart
            else ""
        )
        reasons = ", ".join(f"{reason}: {n:,}" for reason, n in c.unpaired.by_reason.items())
        lines.append(f"{c.unpaired.n:,} items could not be used ({reasons}){told}.")
    lines += [
        f"{n:,} answers of '{variant}' have no label or were not given, and were counted as wrong." for variant, n in c.charged.items()
    ]
    lines += [f"Not a candidate: {variant}, because {why}." for variant, why in c.left_out.items()]
    lines += [f"Condition: {condition}" for condition in c.conditions] if c.certified else []
    way = f"; 'freehold promote {c.task} --policy {c.policy_hash[:12]}' activates it" if c.certified else ""
    lines.append(f"Certificate: {c.certificate}. Policy: {c.policy} (inactive{way}).")
    return lines


def verify(
    certificate: Annotated[Path, typer.Argument(help="A certificate that 'freehold certify' wrote.")],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Recompute a certificate from its frozen data. Exit 0 valid, 3 not, 1 unreadable."""
    from freehold.improve import verify_file
    from freehold.promotion.verify import Verdict

    with opened(project if project is not None else _project_of(certificate)) as home:
        result = verify_file(home, certificate)
    if as_json:
        print_json({"verdict": result.verdict, "reasons": result.reasons, "certificate": result.certificate})
    else:
        out().print(result.verdict.value, markup=False)
        for reason in result.reasons:
            out().print(f"  {reason}", markup=False)
    if result.verdict is not Verdict.VALID:
        exit_with(1 if result.verdict is Verdict.UNREADABLE else GATE_SAID_NO)


def _project_of(certificate: Path) -> Path | None:
    """The project a certificate lies in, if it lies in one."""
    from freehold.config import find_project
    from freehold.errors import OperatorError

    try:
        return find_project(certificate.absolute().parent)
    except OperatorError:
        return None


def report(
    task: Annotated[str, typer.Argument(help="The task.")],
    to: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write report.html and its pictures.")],
    certificate: Annotated[Path | None, typer.Option(help="The certificate to report on; the task's newest when left out.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write a page about a task: saving, certificate, frontier, regions, what still needs the reference."""
    from freehold.improve import report_task

    with opened(project) as home, steps(not as_json) as say:
        files = report_task(home, task, to, certificate, say)
    if as_json:
        print_json({"files": [str(f) for f in files]})
    else:
        out().print(f"Wrote {files[0]}.", markup=False, soft_wrap=True)
