"""A granted design as the imaginary office keeps it: what it shows, and everything the grant says about it."""

from dataclasses import dataclass
from datetime import date

from .drawing import BOTTOM, FRONT, LEFT, REAR, RIGHT, TOP, Pen, View


@dataclass(frozen=True)
class Priority:
    """An earlier foreign filing that the application claims."""

    country: str
    number: str
    filed: date
    kind: str = "national"


@dataclass(frozen=True)
class Parent:
    """The US application that this one continues or divides, and the patent it became."""

    relation: str  # 'continuation' or 'division'
    application: str
    filed: date
    number: int
    granted: date


@dataclass(frozen=True)
class Hague:
    """An international registration under the Hague Agreement."""

    number: str
    registered: date
    published: date


@dataclass(frozen=True)
class Citation:
    """A reference cited: a patent document, or with `text` something else.

    `date` is as the office prints it, `YYYYMMDD`, mostly with day `00`; `number` is unpadded.
    """

    country: str = "US"
    number: str = ""
    kind: str = ""
    name: str = ""
    date: str = ""
    category: str = "cited by examiner"
    national: str = ""
    text: str = ""


@dataclass(frozen=True)
class Person:
    """An inventor."""

    last: str
    first: str
    city: str
    state: str
    country: str


@dataclass(frozen=True)
class Design:
    """One design, complete: the same design always gives the same package, byte for byte.

    `views` name the figures in their order (see `VIEWS`, and 'perspective', 'rear perspective'); `sheets` says
    how many figures stand on each sheet; `label` is the size of the printed labels in pixels.
    Change one with `dataclasses.replace` to make the cases a test needs.
    """

    number: int
    family: str
    seed: tuple[int, ...]
    variant: int
    title: str
    granted: date
    filed: date
    application: str
    locarno: str
    national: str
    views: tuple[str, ...]
    sheets: tuple[int, ...]
    style: str
    label: int
    azimuth: float
    elevation: float
    distance: float
    pen: Pen
    inventors: tuple[Person, ...]
    company: str
    agent: str
    examiners: tuple[str, ...]
    priorities: tuple[Priority, ...] = ()
    parents: tuple[Parent, ...] = ()
    hague: Hague | None = None
    citations: tuple[Citation, ...] = ()

    @property
    def id(self) -> str:
        """The patent's id, padded to seven digits: `USD0120417`."""
        return f"USD{self.number:07d}"

    @property
    def name(self) -> str:
        """The package's name: `USD0120417-20080108`."""
        return f"{self.id}-{self.granted:%Y%m%d}"

    @property
    def labels(self) -> tuple[str, ...]:
        """What is printed below each figure: 'FIG. 1', or '1.1' in an international registration."""
        mark = "1.{}" if self.hague else "FIG. {}"
        return tuple(mark.format(n) for n in range(1, len(self.views) + 1))

    def view(self, name: str) -> View:
        """Where the viewer of that figure stands."""
        if name == "perspective":
            return View(self.azimuth, self.elevation, self.distance)
        if name == "rear perspective":
            return View(self.azimuth + 180, -self.elevation, self.distance)
        return VIEWS[name]


VIEWS = {"front": FRONT, "rear": REAR, "left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM}
