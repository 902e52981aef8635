"""What a person is shown of a certification: the frontier, where traffic goes, what still needs the reference. Records only."""

import msgspec

from freehold.promotion.certificate import Certificate


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """One policy on the cost-quality plane, on test items."""

    label: str
    """What it is: `policy`, a variant's name, a control's name."""
    kind: str
    """`policy` (the chosen one), `family` (others of its family), `variant`, `control`."""
    saving: float | None
    """1 - cost / cost of the reference."""
    loss: float
    """Mean paired loss against the reference."""
    quality: float | None
    """Mean score."""
    cost_usd_per_1k: float | None
    """USD per 1,000 calls."""
    loss_ci: tuple[float, float] | None = None
    """95 % interval."""
    is_certified: bool = False
    """Whether the bound on calibration data is within the floor."""


class Region(msgspec.Struct, frozen=True, kw_only=True):
    """A region of the task's traffic."""

    name: str
    """Its most telling words."""
    n: int
    """Items in it, all parts."""
    share: float
    """Share of traffic."""
    share_by_variant: dict[str, float]
    """Who answers it under the policy."""
    loss: float | None
    """Mean paired loss under the policy, calibration and test items; None without labels."""
    quality_reference: float | None
    """The reference's mean score."""
    cost_usd_per_1k: float | None
    """What it costs today, at the reference."""
    saving: float | None
    """What the policy saves in it."""
    example: str
    """One input of it, cut short; empty where content is not kept."""


class StillNeeded(msgspec.Struct, frozen=True, kw_only=True):
    """An input that still goes to the reference, and why."""

    text: str
    """The input, cut short."""
    region: str
    """Where it lies."""
    predicted_loss: float | None
    """The least predicted loss of any cheaper variant."""


class LabelCost(msgspec.Struct, frozen=True, kw_only=True):
    """What the labels cost, and what more of them would buy."""

    n_labelled: int
    """Items with a label."""
    n_free: int
    """Those that need nobody, because the answers agree."""
    n_asked: int | None
    """Those somebody had to judge; None where nobody did, because the reference's answers count as right."""
    by_design: dict[str, int]
    """How many of each design."""
    least_by_floor: dict[str, int]
    """The fewest calibration groups that could certify each floor, such as {"0.02": 149}."""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the report page shows."""

    project: str
    """The project's name."""
    title: str
    """Such as `triage`."""
    certificate: Certificate
    """The one the page is about."""
    beside: tuple[Certificate, ...] = ()
    """The same data at other floors."""
    points: tuple[Point, ...]
    """The cost-quality frontier with the controls."""
    regions: tuple[Region, ...]
    """The map, by volume."""
    still: tuple[StillNeeded, ...]
    """What still needs the reference."""
    labels: LabelCost
    """What the labels cost."""
    is_map_of_answers: bool = False
    """Whether regions are what resembles the inputs of one answer, and are called by it."""
    head: str | None = None
    """The name of the head that was trained; None without one."""
    calls: int
    """Calls the picture is of: the recorded answers of the reference and the candidates to its items."""
    cost_usd: float | None
    """What they cost in all; None where any is unknown."""
    since: str | None
    """Date of the first, if known."""
    until: str | None
    """Date of the last, if known."""
    notes: tuple[str, ...] = ()
    """What the reader has to be told, such as that a model is simulated."""
