"""The imaginary patent office: it plans what was granted and when, draws it, and publishes it week by week."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from functools import partial
from itertools import groupby
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import structlog

from .design import Citation, Design, Hague, Parent, Person, Priority
from .dice import Dice
from .drawing import Pen
from .names import AGENTS, EXAMINERS, FIRMS, FIRST, LAST, PLACES
from .packages import package, write_week
from .solids import FAMILIES, Family

SINCE, UNTIL = date(2007, 1, 2), date(2021, 12, 28)  # Tuesdays: the office grants on Tuesdays
FIRST_NUMBER = 120_001  # numbers of the 1940s, so that nothing here collides with a patent anyone will load
log = structlog.get_logger()
T = TypeVar("T")


def publish(
    directory: Path | str,
    designs: int = 60,
    seed: int = 1,
    since: date = SINCE,
    until: date = UNTIL,
    size: float = 1.0,
    workers: int = 1,
) -> list[Path]:
    """Write the weekly tars of a sample corpus into a directory, and return their paths in order of date.

    designs: how many; since, until: the first and last day of grant; size: share of the full page size, smaller is
    faster; workers: processes that draw. Equal arguments give equal bytes.
    """
    return write_weeks(directory, plan(designs, seed, since, until), size, workers)


def write_weeks(directory: Path | str, designs: Sequence[Design], size: float = 1.0, workers: int = 1) -> list[Path]:
    """Write these designs as weekly tars, and return their paths in order of date."""
    folder = Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    ordered = sorted(designs, key=lambda design: (design.granted, design.number))
    paths = []
    for granted, week in groupby(_packaged(ordered, size, workers), key=lambda pair: pair[0].granted):
        paths.append(write_week(folder, granted, ((design.name, content) for design, content in week)))
    log.info("published", designs=len(ordered), weeks=len(paths), directory=str(folder))
    return paths


def _packaged(designs: Sequence[Design], size: float, workers: int) -> Iterator[tuple[Design, bytes]]:
    make = partial(package, size=size)
    if workers <= 1:
        yield from ((design, make(design)) for design in designs)
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        yield from zip(designs, pool.map(make, designs), strict=True)


def plan(designs: int = 60, seed: int = 1, since: date = SINCE, until: date = UNTIL) -> list[Design]:
    """What the office grants, in order of number: everything is decided here, nothing is drawn yet."""
    dice = Dice(seed, 0)
    days = _grant_days(dice, designs, since, until)
    kinds = _families(dice, designs)
    granted: list[Design] = []
    number = FIRST_NUMBER
    for index, day in enumerate(days):
        number += dice.whole(3, 90)
        parent = _parent(Dice(seed, 1, index), granted, day)
        family = FAMILIES[parent.family] if parent else kinds[index]
        design = _design(Dice(seed, 2, index), number, family, day, (seed, 3, index))
        design = _continued(Dice(seed, 4, index), design, parent) if parent else design
        design = _claims_abroad(Dice(seed, 5, index), design)
        granted.append(replace(design, citations=_citations(Dice(seed, 6, index), design, granted)))
    return granted


def _grant_days(dice: Dice, designs: int, since: date, until: date) -> list[date]:
    """A Tuesday for each design, in order; the first and the last of the period are among them."""
    first = since + timedelta(days=(1 - since.weekday()) % 7)
    weeks = (until - first).days // 7
    if weeks < 0:
        raise ValueError(f"there is no Tuesday from {since} to {until}")
    picks = sorted(dice.whole(0, weeks) for _ in range(designs))
    if designs > 1:
        picks[0], picks[-1] = 0, weeks
    for k in range(2, designs - 1, 5):  # now and then two designs share a week
        picks[k] = picks[k - 1]
    return [first + timedelta(weeks=pick) for pick in picks]


def _families(dice: Dice, designs: int) -> list[Family]:
    """A family for each design: few families, of many Locarno classes, some with one member, some with several."""
    by_class: dict[str, list[Family]] = defaultdict(list)
    for family in FAMILIES.values():
        by_class[family.locarno[:2]].append(family)
    # Of each class first the kind that everybody knows, which is the one its module begins with.
    columns = _shuffled(dice, [[group[0], *_shuffled(dice, group[1:])] for group in by_class.values()])
    deepest = max(len(column) for column in columns)
    spread = [column[row] for row in range(deepest) for column in columns if row < len(column)]
    chosen = spread[: max(1, round(designs * 0.5))]
    more = [chosen[int(len(chosen) * dice.between(0, 0.999) ** 1.5)] for _ in range(designs - len(chosen))]
    # The newest design is of a kind seen before: whoever searches for it first finds something.
    return [*_shuffled(dice, chosen + more[1:]), *more[:1]][:designs]


def _shuffled(dice: Dice, items: Sequence[T]) -> list[T]:
    return [item for _, _, item in sorted((dice.between(0, 1), k, item) for k, item in enumerate(items))]


def _parent(dice: Dice, granted: Sequence[Design], day: date) -> Design | None:
    """Sometimes an earlier design, granted long enough ago and not too long, that this one continues."""
    able = [d for d in granted if 250 <= (day - d.granted).days <= 1000 and not d.hague]
    return dice.pick(able) if able and dice.chance(0.15) else None


def _design(dice: Dice, number: int, family: Family, day: date, seed: tuple[int, ...]) -> Design:
    filed = day - timedelta(days=dice.whole(330, 800))
    views = _views(dice)
    place = dice.pick(PLACES)
    names = [Person(dice.pick(LAST), dice.pick(FIRST), *place) for _ in range(dice.pick([1, 1, 2, 3]))]
    line = dice.between(3.0, 4.2)
    return Design(
        number=number,
        family=family.name,
        seed=seed,
        variant=0,
        title=dice.pick(family.titles),
        granted=day,
        filed=filed,
        application=_application(filed, number),
        locarno=family.locarno,
        national=family.national,
        views=views,
        sheets=_sheets(dice, len(views)),
        style=dice.pick(["elevational", "elevational", "plain", "new", "of"]),
        label=dice.whole(52, 84),
        azimuth=dice.pick([-1, 1, 1]) * dice.between(24, 42),
        elevation=dice.between(18, 30),
        distance=dice.pick([0.0, 3.0, 4.5]),
        pen=Pen(line, line + dice.pick([0.0, 1.0, 1.5])),
        inventors=tuple(names),
        company=dice.pick(FIRMS) if dice.chance(0.75) else "",
        agent=dice.pick(AGENTS),
        examiners=tuple(_shuffled(dice, EXAMINERS)[: dice.whole(1, 2)]),
    )


def _application(filed: date, number: int) -> str:
    """A serial number in series 29 that grows with the filing date."""
    return f"29{900_000 + (filed - date(2004, 1, 1)).days * 13 + number % 13:06d}"


def _views(dice: Dice) -> tuple[str, ...]:
    """Four to seven views in a usual order."""
    sides = ["front", "rear", "left", "right", "top", "bottom"]
    if dice.chance(0.3):
        sides = ["front", "rear", "right", "left", "top", "bottom"]
    for dull in (["rear"], ["bottom"], ["left"])[: dice.pick([0, 0, 0, 1, 2, 3])]:
        sides = [side for side in sides if side not in dull]
    extra = ["rear perspective"] if len(sides) < 6 and dice.chance(0.3) else []
    return ("perspective", *sides, *extra)


def _sheets(dice: Dice, figures: int) -> tuple[int, ...]:
    """How many figures each sheet carries: mostly one, in a fifth of the designs two to four on some."""
    if not dice.chance(0.22):
        return (1,) * figures
    left, counts = figures - 1, [1]
    most = dice.whole(2, 4)
    while left:
        counts.append(min(most, left))
        left -= counts[-1]
    return tuple(counts)


def _continued(dice: Dice, design: Design, parent: Design) -> Design:
    """The design as a child of the parent: its shape bent a little, filed while the parent was still pending."""
    filed = parent.granted - timedelta(days=dice.whole(5, 90))
    link = Parent(
        dice.pick(["continuation", "division"]),
        parent.application,
        parent.filed,
        parent.number,
        parent.granted,
    )
    return replace(
        design,
        seed=parent.seed,
        variant=parent.variant + 1,
        title=parent.title,
        filed=filed,
        application=_application(filed, design.number),
        inventors=parent.inventors,
        company=parent.company,
        parents=(link, *parent.parents),
    )


def _claims_abroad(dice: Dice, design: Design) -> Design:
    """Some designs claim a foreign priority, and some of those came as international registrations."""
    if design.parents or not dice.chance(0.3):
        return design
    day = design.filed - timedelta(days=dice.whole(100, 182))
    serial = dice.whole(100, 98_999)
    numbers = {
        "EM": f"{serial:09d}-0001",
        "JP": f"{day.year}-{serial:06d}",
        "KR": f"30-{day.year}-{serial:07d}",
        "CN": f"{day.year}30{serial:06d}.{serial % 10}",
    }
    country = dice.pick(list(numbers))
    claimed = Priority(country, numbers[country], day, "regional" if country == "EM" else "national")
    design = replace(design, priorities=(claimed,))
    if not dice.chance(0.45):
        return design
    published = design.filed + timedelta(days=182)
    hague = Hague(f"DM/{900_000 + serial}", design.filed, published)
    return replace(design, hague=hague, application=f"35{900_000 + serial}")


def _citations(dice: Dice, design: Design, granted: Sequence[Design]) -> tuple[Citation, ...]:
    """Earlier designs of the same kind, found by the examiner, and documents that are not in the corpus."""
    before = [d for d in granted if d.family == design.family and d.granted < design.granted]
    own = [_own(d) for d in _shuffled(dice, before)[:5]]
    outside = [_outside(dice, design) for _ in range(dice.whole(2, 9))]
    cited = sorted(own + outside, key=lambda c: (c.country != "US", c.kind != "S", c.date))
    if dice.chance(0.25):
        year = design.filed.year - 2
        text = f"“Catalogue of the Autumn Fair.” exhibitors' list, page {dice.whole(3, 90)} (Year: {year})."
        cited.append(Citation(text=text))
    return tuple(cited)


def _own(cited: Design) -> Citation:
    return Citation(
        number=f"D{cited.number}",
        kind="S",
        name=cited.inventors[0].last + (" et al." if len(cited.inventors) > 1 else ""),
        date=f"{cited.granted:%Y%m}00",
        national=cited.national,
    )


def _outside(dice: Dice, design: Design) -> Citation:
    """A document from elsewhere, older than the application; of one in twenty-five the day is known."""
    day = design.filed - timedelta(days=dice.whole(60, 7000))
    printed = f"{day:%Y%m%d}" if dice.chance(0.04) else f"{day:%Y%m}00"
    category = "cited by examiner" if dice.chance(0.7) else "cited by applicant"
    national = design.national if category.endswith("examiner") else ""
    kind = dice.pick(["design", "design", "design", "application", "foreign"])
    if kind == "foreign":
        number = f"30{dice.whole(4_000_000, 5_999_999)}"
        return Citation("CN", number, "S", date=printed, category=category)
    name = dice.pick(LAST)
    if kind == "application" and day.year > 2001:
        number = f"{day.year}/{dice.whole(9_000_000, 9_899_999):07d}"
        return Citation("US", number, "A1", name, printed, category)
    return Citation("US", f"D{dice.whole(20_000, FIRST_NUMBER - 1)}", "S", name, printed, category, national)
