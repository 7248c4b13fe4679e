"""What a family of objects is, and the list of all of them."""

from collections.abc import Callable
from dataclasses import dataclass

from manifold3d import Manifold

from ..dice import Dice


@dataclass(frozen=True)
class Model:
    """The solid that a design claims, and what is shown around it in broken lines without being claimed."""

    claimed: Manifold
    unclaimed: Manifold | None = None


@dataclass(frozen=True)
class Family:
    """A kind of object: how it is called, where it is classified, and how to make one.

    titles: names an applicant may choose; locarno: class and subclass of edition 13, `09-01`; national: the class of
    the USPC, as USPTO writes it (`D 9520`).
    """

    name: str
    titles: tuple[str, ...]
    locarno: str
    national: str
    make: Callable[[Dice], Model]


FAMILIES: dict[str, Family] = {}


def family(*titles: str, locarno: str, national: str) -> Callable[[Callable[[Dice], Model]], Callable[[Dice], Model]]:
    """Enter a function that makes a model in the list of families, under its own name."""

    def enter(make: Callable[[Dice], Model]) -> Callable[[Dice], Model]:
        FAMILIES[make.__name__] = Family(make.__name__, titles, locarno, national, make)
        return make

    return enter
