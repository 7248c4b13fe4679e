"""Wheels, and a car to play with."""

import numpy as np
from manifold3d import CrossSection, Manifold

from ..dice import Dice
from .families import Model, family
from .shapes import around, block, curve, drum, facing, polygon, rectangle, slab, turned, union


@family("Toy car", "Toy vehicle", locarno="21-01", national="D21551")
def toy_car(dice: Dice) -> Model:
    """A body seen from the side in the front view, four wheels, windows."""
    long, wide = dice.between(85, 110), dice.between(40, 50)
    roof, wheel = dice.between(36, 48), dice.between(9.5, 12)
    nose, tail, bonnet = long / 2, -long / 2, dice.between(20, 25)
    van = dice.chance(0.35)
    rear = (
        [[tail, bonnet + 3], [tail + 4, roof]]
        if van
        else [[tail, bonnet], [tail + long * 0.16, bonnet + 2], [tail + long * 0.3, roof]]
    )
    front = [[nose - long * 0.38, roof], [nose - long * 0.24, bonnet + 3], [nose - 2, bonnet - 2], [nose, 9]]
    body = slab(polygon([[tail + 1, 7], *rear, *front, [nose - 2, 7]], 2.0), wide)
    glass = [
        [tail + (10 if van else long * 0.26), bonnet + 3],
        [tail + (11 if van else long * 0.33), roof - 4],
        [nose - long * 0.41, roof - 4],
        [nose - long * 0.3, bonnet + 3],
    ]
    middle = tail + long * 0.5
    screen = block(wide * 0.78, 200, (roof - bonnet) * 0.5, 0).rotate([0, 0, 90]).translate([0, 0, bonnet + 4])
    inner = slab(polygon([[tail, 0], *rear, *front, [nose, 0]]).offset(-1.2), wide * 2)
    body -= screen - inner - slab(rectangle(long * 0.3, 200).translate([middle, 0]), wide * 2)
    body -= block(1.2, wide * 0.7, 60).translate([nose - long * 0.12, 0, bonnet - 2.5])
    window = slab(polygon(glass, 1.0) - rectangle(3.5, 60).translate([middle, roof]), 3)
    body -= union(window.translate([0, y * wide / 2, 0]) for y in (-1, 1))
    for x in (tail + long * 0.22, nose - long * 0.2):
        for y in (-1, 1):
            arch = drum(wheel + 1.5, 12).translate([0, 0, -6]).rotate([90, 0, 0])
            body -= arch.translate([x, y * wide / 2, wheel])
            rim = drum(wheel, 9, 1.5) - (drum(wheel * 0.62, 9).translate([0, 0, 7.4])) + drum(wheel * 0.25, 8.8, 0.8)
            body += rim.rotate([90 * (1 if y < 0 else -1), 0, 0]).translate([x, y * (wide / 2 - 7), wheel])
    body += union(
        drum(3, 3, 0.8).rotate([0, 90, 0]).translate([nose - 2, y * wide * 0.32, bonnet - 7]) for y in (-1, 1)
    )
    return Model(body)


@family("Wheel", "Vehicle wheel", "Wheel rim", locarno="12-16", national="D12209")
def wheel(dice: Dice) -> Model:
    """A car wheel: a rim, a hub with nuts and spokes of many kinds, face to the front; sometimes with its tyre."""
    r, deep, count = dice.between(200, 230), dice.between(150, 190), dice.whole(5, 9)
    barrel = [[r * 0.88, 0], [r, -6], [r, 10], [r * 0.93, 16], [r * 0.9, deep * 0.5], [r * 0.93, deep - 14]]
    lip = [[r, deep - 8], [r, deep], [r * 0.95, deep + 4], [r * 0.9, deep - 6], [r * 0.85, deep * 0.5]]
    hub, width = r * dice.between(0.2, 0.26), dice.between(0.5, 1.1) * np.pi * r / count * 0.5
    flat = _spoke(dice.pick(["straight", "forked", "curved", "twin"]), r, width)
    low, top = deep - 50, deep - 14
    spoke = flat.extrude(30).translate([0, 0, low])
    body = around(count, spoke, 90) ^ drum(r * 0.895, deep * 2)
    body = body + turned(barrel + lip) + drum(hub, 56, 4).translate([0, 0, low - 20])
    body += drum(hub * 0.45, 8, 2).translate([0, 0, top + 17])
    nut = CrossSection.circle(hub * 0.13, 6).extrude(8).translate([hub * 0.72, 0, top + 16])
    body += around(5, nut, 90)
    if dice.chance(0.3):
        return Model(facing(body), facing(_tyre(r, deep)))
    return Model(facing(body))


def _spoke(style: str, r: float, width: float) -> CrossSection:
    """The outline of one spoke, from the hub outwards along x."""
    if style == "curved":
        sweep = np.array([[s * np.cos(0.7 * s), s * np.sin(0.7 * s)] for s in np.linspace(0.12, 0.9, 12)]) * r
        half = np.array([-width * 0.35, width * 0.35])
        return polygon(np.vstack([sweep + half, sweep[::-1] - half]))
    if style == "forked":
        side = np.array([[0, width * 0.4], [r * 0.5, width * 0.28], [r * 0.9, width]])
        arm = polygon(np.vstack([side * [1.0, -1.0], side[::-1]]))
        return arm - polygon([[r * 0.58, 0], [r * 0.95, -width * 0.62], [r * 0.95, width * 0.62]])
    if style == "twin":
        bar = rectangle(r * 0.9, width * 0.42).translate([r * 0.45, 0])
        return bar.translate([0, width * 0.5]) + bar.translate([0, -width * 0.5])
    return polygon([[0, -width * 0.5], [r * 0.9, -width * 0.38], [r * 0.9, width * 0.38], [0, width * 0.5]])


def _tyre(r: float, deep: float) -> Manifold:
    half = [[r, 4.0], [r, 4.0], [r * 1.1, -12.0], [r * 1.28, 6.0]]
    other = [[x, deep - z] for x, z in half[::-1]]
    return turned(curve([*half, [r * 1.3, deep / 2], *other], 8)) - drum(r, deep * 3).translate([0, 0, -deep])
