"""Sport, play, music, and houses for play or for living."""

import numpy as np
from manifold3d import CrossSection, Manifold

from ..dice import Dice
from .families import Model, family
from .shapes import (
    around,
    ball,
    block,
    curve,
    drum,
    facing,
    hoop,
    polygon,
    rectangle,
    rod,
    slab,
    spindle,
    tube,
    turned,
    union,
)


@family("Dumbbell", "Hand weight", locarno="21-02", national="D21681")
def dumbbell(dice: Dice) -> Model:
    """Two weights on a bar: round plates, hexagons or balls."""
    r, thick, grip = dice.between(35, 60), dice.between(30, 60), dice.between(110, 140)
    style = dice.pick(["plates", "hexagon", "balls"])
    if style == "hexagon":
        weight = CrossSection.circle(r, 6).extrude(thick) ^ turned(
            [[0.0, 0], [r * 0.85, 0], [r, thick * 0.2], [r, thick * 0.8], [r * 0.85, thick], [0, thick]]
        )
    elif style == "balls":
        weight = ball(r).translate([0, 0, r * 0.9])
    else:
        weight = drum(r, thick * 0.45, 3) + drum(r * 0.82, thick * 0.4, 3).translate([0, 0, thick * 0.45])
        weight += drum(18, thick * 0.4, 2).translate([0, 0, thick * 0.8])
    body = spindle(curve([[13, -grip / 2], [14, -grip / 4], [17.0, 0], [14, grip / 4], [13, grip / 2]]))
    for side in (0, 180):
        body += weight.translate([0, 0, grip / 2 - 2]).rotate([0, side, 0])
    return Model(body.rotate([0, 90, 0]))


@family("Chess piece", "Game piece", locarno="21-01", national="D21389")
def chess_piece(dice: Dice) -> Model:
    """A pawn, a rook, a bishop or a queen."""
    r, tall = dice.between(15, 19), dice.between(45, 75)
    outline = [
        [r, 0],
        [r, 0],
        [r, 6],
        [r, 6],
        [r * 0.85, 9],
        [r * 0.55, 16],
        [r * 0.42, tall * 0.6],
        [r * 0.5, tall],
    ]
    body = (
        spindle(curve(outline, 8))
        + drum(r * 0.75, 4, 1.5).translate([0, 0, tall - 2])
        + hoop(r * 0.8, 2).translate([0, 0, 9])
    )
    kind = dice.pick(["pawn", "rook", "bishop", "queen"])
    if kind == "pawn":
        body += ball(r * 0.62).translate([0, 0, tall + r * 0.62])
    elif kind == "rook":
        tower = drum(r * 0.72, r, 0.8) - drum(r * 0.48, 30).translate([0, 0, r * 0.55])
        body += (tower - around(3, block(60, 4.5, 30).translate([0, 0, r * 0.6]))).translate([0, 0, tall])
    elif kind == "bishop":
        mitre = spindle(curve([[r * 0.4, 0], [r * 0.62, r * 0.6], [r * 0.3, r * 1.5], [0.3, r * 1.8]], 10))
        mitre -= block(40, 2, 40).rotate([0, 40, 0]).translate([r * 0.3, 0, r * 0.9]).rotate([0, 0, 90])
        body += (mitre + ball(2.6).translate([0, 0, r * 1.85])).translate([0, 0, tall])
    else:
        crown = spindle(curve([[r * 0.42, 0], [r * 0.5, r * 0.6], [r * 0.78, r * 1.2], [r * 0.78, r * 1.2]], 8))
        crown -= around(8, ball(r * 0.2).translate([r * 0.76, 0, r * 1.2])) + spindle(
            [[r * 0.2, r], [r * 0.6, r * 1.3]]
        )
        body += (crown + ball(r * 0.26).translate([0, 0, r * 1.15])).translate([0, 0, tall])
    return Model(body)


@family("Drum", "Percussion instrument", locarno="17-04", national="D17 22")
def snare(dice: Dice) -> Model:
    """A shell between two hoops with tension rods."""
    r, tall, rods = dice.between(150, 190), dice.between(110, 260), dice.pick([6, 8, 10])
    body = drum(r, tall)
    for z in (0.0, tall - 16):
        body += (drum(r + 9, 18, 3) - drum(r - 3, 20).translate([0, 0, 9 if z else -11])).translate([0, 0, z - 1])
    lug = block(12, 18, 50, 3, 3).translate([r + 5, 0, tall / 2 - 25])
    lug += rod([r + 8, 0, -2], [r + 8, 0, tall + 4], 3.2) + drum(5.5, 8, 1).translate([r + 8, 0, tall])
    body += around(rods, lug, 15)
    if tall > 190:
        leg = tube(curve([[r + 12, 0, tall * 0.4], [r + 14, 0, 0], [r + 22, 0, -90]], 6), 5)
        body += around(3, leg, 30)
    return Model(body)


@family("Guitar", "Acoustic guitar", locarno="17-03", national="D17 14")
def guitar(dice: Dice) -> Model:
    """A waisted body with a sound hole, a fretted neck and a head with pegs, neck up."""
    low, waist, high = dice.between(180, 205), dice.between(115, 135), dice.between(135, 155)
    deep, neck = dice.between(85, 110), dice.between(300, 350)
    half = [[0.0, 0], [low * 0.6, 10], [low, 130], [low * 0.9, 210], [waist, 290], [high, 390], [high * 0.6, 465]]
    side = curve([*half, [0.0, 480]], 12)
    body = slab(polygon(np.vstack([side, (side * [-1.0, 1])[-2:0:-1]])), deep)
    body += facing(drum(60, 3) - drum(56, 9)).translate([0, -deep / 2 + 1, 330])
    body -= facing(drum(48, 30)).translate([0, -deep / 2 + 15, 330])
    front = -deep / 2 - 8
    body += slab(rectangle(54, neck + 120, 3).translate([0, 420 + neck / 2]), 16).translate([0, front, 0])
    for k in range(12):  # each fret shortens the string by a twelfth root of two
        down = neck * (1 - 2 ** (-k / 12)) * 1.9
        if down < neck - 10:
            body += slab(rectangle(52, 3), 4).translate([0, front - 8, 480 + neck - down])
    body += _guitar_head().translate([0, front + 4, 475 + neck])
    body += slab(rectangle(110, 20, 5), 12).translate([0, -deep / 2 - 3, 170])
    for k in range(6):
        x = (k - 2.5) * 7
        body += rod([x, -deep / 2 - 10, 175], [x, front - 11, 480 + neck], 1.1)
    return Model(body)


def _guitar_head() -> Manifold:
    """A head with three pegs on either side."""
    outline = [[-28.0, 0], [28.0, 0], [36.0, 20], [32.0, 130], [0.0, 140], [-32.0, 130], [-36.0, 20]]
    head = slab(polygon(outline, 3), 14)
    for side in (-1, 1):
        for z in (30, 68, 106):
            head += ball(9).scale([1.3, 0.7, 1]).translate([side * 50, 0, z])
            head += rod([side * 30, 0, z], [side * 48, 0, z], 3)
    return head


@family("House", "Building", "Cottage", locarno="25-03", national="D25 33")
def house(dice: Dice) -> Model:
    """Walls, a pitched roof, a door, windows and a chimney."""
    wide, deep, wall = dice.between(80, 120), dice.between(70, 95), dice.between(45, 70)
    ridge, eave = dice.between(28, 50), dice.between(5, 10)
    body = block(wide, deep, wall)
    gable = polygon([[-deep / 2, wall - 1], [deep / 2, wall - 1], [0, wall + ridge]])
    body += slab(gable, wide).rotate([0, 0, 90])
    e, drop = deep / 2 + eave, eave * ridge / (deep / 2)
    roof = polygon(
        [
            [-e, wall - drop],
            [0, wall + ridge],
            [e, wall - drop],
            [e, wall - drop + 5],
            [0, wall + ridge + 6],
            [-e, wall - drop + 5],
        ]
    )
    body += slab(roof, wide + 2 * eave).rotate([0, 0, 90])
    door = dice.between(-0.25, 0.25) * wide
    front = -deep / 2
    body -= block(17, 4, 34).translate([door, front, -1])
    body += block(13, 3, 30).translate([door, front + 1.2, 0]) + ball(1.4).translate([door + 4.5, front - 0.6, 16])
    step = block(24, 10, 3).translate([door, front - 4, 0])
    body += step
    windows = [x for x in (-0.32, 0.0, 0.32) if abs(x * wide - door) > 20]
    for x in windows:
        body = _window(body, x * wide, front, wall * 0.45)
    for y in (-0.22, 0.22):
        side = _window(block(wide, deep, wall).rotate([0, 0, 90]), y * deep, -wide / 2, wall * 0.45)
        cut = block(wide, deep, wall).rotate([0, 0, 90]) - side
        body -= cut.rotate([0, 0, 90]) + cut.rotate([0, 0, -90])
    if dice.chance(0.7):
        x = dice.between(0.15, 0.35) * wide
        body += block(13, 13, ridge * 0.8 + 12).translate([x, deep * 0.2, wall + ridge * 0.4])
        body += block(16, 16, 4).translate([x, deep * 0.2, wall + ridge * 1.2 + 10])
    return Model(body)


def _window(body: Manifold, x: float, front: float, low: float) -> Manifold:
    """The body with a four-paned window in its front wall."""
    pane = block(6.4, 4, 7.4)
    cut = union(pane.translate([x + dx, front, low + dz]) for dx in (-4, 4) for dz in (0, 9))
    return body - cut
