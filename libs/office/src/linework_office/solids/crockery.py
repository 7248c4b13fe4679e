"""What stands on a table: bottles, mugs, vases, glasses, pans, cutlery."""

import numpy as np
from manifold3d import Manifold

from ..dice import Dice
from .families import Model, family
from .shapes import (
    Array,
    around,
    block,
    curve,
    drum,
    hoop,
    lofted,
    rod,
    shell,
    spindle,
    tube,
    union,
)


@family("Bottle", "Water bottle", "Beverage bottle", locarno="09-01", national="D 9520")
def bottle(dice: Dice) -> Model:
    """A turned body with a shoulder and a neck, sometimes ribbed, and a cap."""
    r, tall = dice.between(28, 38), dice.between(130, 190)
    neck, throat = dice.between(10, 15), dice.between(25, 60)
    waist, cap = r * dice.between(0.78, 1.0), dice.between(12, 22)
    shoulder = tall * dice.between(0.58, 0.75)
    outline = [
        [r - 4, 0],
        [r, 4],
        [r, 4],
        [r, tall * 0.15],
        [waist, tall * 0.38],
        [r, shoulder - 8],
        [r, shoulder],
    ]
    outline += [
        [neck + (r - neck) * 0.45, shoulder + (tall - shoulder) * 0.6],
        [neck, tall],
        [neck, tall + throat],
    ]
    body = spindle(curve(outline))
    for k in range(dice.pick([0, 0, 3, 5])):
        level = tall * 0.15 + 9 * (k + 1)
        body -= hoop(float(np.interp(level, [0, tall * 0.38, shoulder], [r, waist, r])) + 1.0, 2.2).translate(
            [0, 0, level]
        )
    top = tall + throat
    body += drum(neck + 3, 4, 1).translate([0, 0, top - cap - 4])
    lid = drum(neck + 2.5, cap, 1.5).translate([0, 0, top - cap + 0.5])
    if dice.chance(0.5):
        lid -= around(24, Manifold.cylinder(cap - 5, 0.8, 0.8, 12).translate([neck + 2.6, 0, top - cap + 2]))
    return Model(body - lid, lid) if dice.chance(0.3) else Model(body + lid)


@family("Mug", "Coffee mug", "Cup", locarno="07-01", national="D 7536")
def mug(dice: Dice) -> Model:
    """A cup with one handle at its right."""
    r, tall, flare = dice.between(36, 44), dice.between(78, 110), dice.between(0.8, 1.1)
    belly = dice.between(0.0, 7.0) * dice.pick([0, 1, -0.6])
    outline = curve([[r * flare - 3, 0], [r * flare, 4], [r * (1 + flare) / 2 + belly, tall * 0.5], [r, tall]], 10)
    body = shell(outline, 3.5, 6)
    low, high = tall * dice.between(0.16, 0.26), tall * dice.between(0.76, 0.88)
    out = dice.between(24, 34)
    start, end = (float(np.interp(z, outline[:, 1], outline[:, 0])) - 1.2 for z in (low, high))
    square = dice.chance(0.4)
    bow = [[start, 0, low], [r + out * (0.9 if square else 0.6), 0, low + (1 if square else -2)]]
    bow += [[r + out, 0, (low + high) / 2], [r + out * 0.8, 0, high - 2 if square else high], [end, 0, high]]
    handle = tube(curve(bow, 12), dice.between(4.5, 6.5), dice.between(0.8, 1.5))
    inside = spindle([[r * flare - 4, 6.0], [r - 3.5, tall + 1]])
    return Model(body + (handle - inside))


@family("Vase", "Flower vase", locarno="11-02", national="D11143")
def vase(dice: Dice) -> Model:
    """A vessel with a belly, a neck and a lip, round or fluted."""
    tall, foot, belly = dice.between(180, 300), dice.between(30, 45), dice.between(50, 85)
    neck, lip, level = dice.between(18, 32), dice.between(30, 55), dice.between(0.3, 0.6)
    outline = [[foot, 0], [foot, 0], [foot, 6], [belly, tall * level], [neck, tall * 0.84], [lip, tall]]
    body = shell(curve(outline, 14), 4, 8)
    flutes = dice.pick([0, 0, 12, 16])
    if flutes:
        z = np.linspace(tall * 0.1, tall * (level + 0.2), 24)
        skin = np.interp(z, *curve(outline, 14).T[::-1])
        path = np.column_stack([skin + 2.0, np.zeros(24), z])
        body += around(flutes, tube(path, [1.0, *[5.0] * 8, 1.0]))
    elif dice.chance(0.6):
        body += union(hoop(neck + 1.5, 2.5).translate([0, 0, tall * 0.84 + 7 * k]) for k in (-1, 0, 1))
    return Model(body)


@family("Wine glass", "Goblet", "Stemware", locarno="07-01", national="D 7523")
def wineglass(dice: Dice) -> Model:
    """A bowl on a stem on a foot."""
    foot, stem, length = dice.between(32, 40), dice.between(3, 5), dice.between(60, 110)
    bowl, mouth, deep = dice.between(34, 48), dice.between(26, 36), dice.between(70, 110)
    outline = [[foot, 0], [foot, 0], [foot, 2], [foot, 2], [stem * 2, 7], [stem, 16], [stem, length]]
    outline += [[bowl * 0.75, length + deep * 0.18], [bowl, length + deep * 0.45], [mouth, length + deep]]
    inner = [[0.3, length + 6], [bowl * 0.72 - 2, length + deep * 0.2 + 2], [bowl - 2, length + deep * 0.45]]
    inner += [[mouth - 1.6, length + deep], [mouth - 1.6, length + deep + 2]]
    glass = spindle(curve(outline, 12)) - spindle(curve(inner, 12))
    if dice.chance(0.4):
        glass += spindle(curve([[stem, -9], [stem * 2.4, 0], [stem, 9]])).translate([0, 0, length * 0.55])
    return Model(glass)


@family("Saucepan", "Cooking pan", locarno="07-02", national="D 7354")
def saucepan(dice: Dice) -> Model:
    """A pan with a long handle to the right, and a lid with a knob when it is deep."""
    r, tall, long = (
        dice.between(80, 110),
        dice.pick([40, 75, 95]) * dice.between(0.9, 1.1),
        dice.between(140, 190),
    )
    pan = shell(curve([[r - 12, 0], [r - 3, 4], [r, 14], [r, 14], [r, tall], [r + 3, tall + 2]], 6), 4, 5)
    pan += hoop(r + 2, 2.5).translate([0, 0, tall])
    bend = dice.between(0, 25)
    path = [
        [r - 2, 0, tall * 0.75],
        [r + long * 0.35, 0, tall * 0.75 + bend * 0.7],
        [r + long, 0, tall * 0.75 + bend],
    ]
    grip = tube(curve(path, 10), [7, 8, 11, 12, 10], dice.between(0.9, 1.7))
    grip -= Manifold.cylinder(60, 4, 4, 32).translate([r + long - 16, 0, tall * 0.75 + bend - 30])
    pan += grip
    if tall > 60:
        lid = spindle(curve([[r, tall + 1], [r, tall + 1], [r, tall + 4], [r * 0.5, tall + 14], [6, tall + 18]]))
        knob = spindle(curve([[7.0, 0], [6.0, 8], [15.0, 14], [13.0, 22], [0.3, 23]])).translate([0, 0, tall + 16])
        return Model(pan, lid + knob) if dice.chance(0.35) else Model(pan + lid + knob)
    return Model(pan)


def _neck(half: float, long: float, dice: Dice) -> Array:
    """Sections (x, half width, half thickness, lift) of a cutlery handle that ends in a neck at x = 0."""
    end = dice.between(8, 12)
    return np.array(
        [
            [-long, end * 0.25, 0.6, 3],
            [-long + 4, end * 0.85, 1.3, 3.2],
            [-long + 18, end, 1.5, 4.5],
            [-long * 0.5, half * 1.2, 1.8, 8],
            [-long * 0.2, half, 2.0, 9],
            [0, half * 1.1, 1.8, 4],
        ]
    )


def _ribbon(sections: Array) -> Manifold:
    """A flat bar lying along x through sections of (x, half width, half thickness, lift)."""
    turn = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    wide = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** 0.7
    s = curve(sections, 10)
    rings = [np.column_stack([np.full(32, x), wide * w, z + np.sin(turn) * t]) for x, w, t, z in s]
    return lofted(rings)


@family("Spoon", "Tablespoon", "Serving spoon", locarno="07-03", national="D 7653")
def spoon(dice: Dice) -> Model:
    """A hollow bowl at the right end of a slender handle."""
    long, deep = dice.between(105, 150), dice.between(7, 10)
    length, wide = dice.between(26, 33), dice.between(16, 22)
    bowl = Manifold.sphere(1, 72).scale([length, wide, deep]) - Manifold.sphere(1, 72).scale(
        [length - 1.5, wide - 1.5, deep - 1.5]
    )
    bowl = bowl.trim_by_plane([0, 0, -1], 0).translate([length - 2, 0, 6])
    handle = _ribbon(_neck(dice.between(3.5, 5), long, dice))
    hollow = Manifold.sphere(1, 72).scale([length - 1.5, wide - 1.5, deep - 1.5]).translate([length - 2, 0, 6])
    spoon_ = bowl + (handle - hollow)
    if dice.chance(0.4):
        spoon_ -= block(30, 5, 10, 2.4).translate([-long + 30, 0, 4])
    return Model(spoon_)


@family("Fork", "Table fork", locarno="07-03", national="D 7653")
def fork(dice: Dice) -> Model:
    """A handle that widens to a head with tines."""
    long, wide, tines = dice.between(110, 150), dice.between(11, 14), dice.pick([3, 4, 4])
    head = np.array([[8, wide * 0.8, 1.6, 1], [18, wide, 1.5, 0], [34, wide, 1.4, 0.5], [66, wide * 0.94, 1.2, 7]])
    body = _ribbon(np.vstack([_neck(dice.between(3.5, 5), long, dice), head]))
    gap = wide * 2 / (tines * 2 - 0.6)
    for k in range(1, tines):
        y = (k - tines / 2) * wide * 2 / tines
        body -= block(60, gap * 0.8, 40, gap * 0.39).translate([58, y, -15])
    return Model(body)


@family("Teapot", "Tea kettle", locarno="07-02", national="D 7318")
def teapot(dice: Dice) -> Model:
    """A round pot with a spout at the left, a handle at the right, and a lid."""
    r, tall = dice.between(60, 75), dice.between(85, 120)
    low, top = dice.between(0.6, 0.85), dice.between(0.45, 0.6)
    outline = curve([[r * low, 0], [r * low, 0], [r, tall * 0.4], [r * 0.9, tall * 0.72], [r * top, tall]], 12)
    body = spindle(outline)
    lid = spindle(curve([[r * top + 2, 0], [r * top + 2, 3], [r * top * 0.6, 12], [8.0, 17]])).translate(
        [0, 0, tall - 1]
    )
    knob = spindle(curve([[6.0, 0], [5.0, 4], [11.0, 11], [8.0, 18], [0.3, 20]])).translate([0, 0, tall + 14])
    lift = dice.between(0.85, 1.1)
    path = curve([[-r * 0.8, 0, tall * 0.3], [-r * 1.25, 0, tall * 0.5], [-r * 1.65, 0, tall * lift]], 12)
    spout = tube(path, [17, 13, 9, 7.5]) - rod([-r * 1.55, 0, tall * lift * 0.88], [-r * 1.8, 0, tall * lift * 1.2], 5)
    if dice.chance(0.5):
        bow = [
            [r * 0.8, 0, tall * 0.8],
            [r * 1.5, 0, tall * 0.92],
            [r * 1.6, 0, tall * 0.5],
            [r * 0.92, 0, tall * 0.2],
        ]
    else:
        bow = [
            [r * 0.72, 0, tall * 0.85],
            [r * 0.7, 0, tall * 1.7],
            [-r * 0.7, 0, tall * 1.7],
            [-r * 0.72, 0, tall * 0.85],
        ]
    return Model(body + lid + knob + spout + tube(curve(bow, 14), 6, 1.3))
