"""Electric things: phones, speakers, cameras, watches, plugs."""

import numpy as np
from manifold3d import Manifold

from ..dice import Dice
from .families import Model, family
from .shapes import (
    around,
    ball,
    block,
    curve,
    drum,
    facing,
    polygon,
    rectangle,
    rod,
    slab,
    spindle,
    tube,
    turned,
    union,
)


def _panel(width: float, height: float, deep: float, corner: float, edge: float) -> Manifold:
    """An upright rounded plate: front towards -y, centred in x, standing on z = 0, from y = 0 backwards."""
    return block(width, height, deep, corner, edge).rotate([90, 0, 0]).translate([0, deep, height / 2])


@family("Mobile phone", "Smartphone", "Electronic device", locarno="14-03", national="D14138")
def phone(dice: Dice) -> Model:
    """A slim plate with a screen in front and lenses at the back; or one with keys."""
    wide, tall, deep = dice.between(62, 76), dice.between(125, 158), dice.between(7, 10)
    corner = dice.between(6, 13)
    body = _panel(wide, tall, deep, corner, dice.between(1, 3))
    keys = dice.chance(0.3)
    top = tall * (0.52 if keys else dice.between(0.88, 0.95))
    rim = dice.between(3, 5)
    screen_tall = top - (tall * 0.1 if keys else rim)
    z = tall - top / 2 - (tall * 0.07 if keys else (tall - top) / 2)
    body -= _panel(wide - 2 * rim, screen_tall, 3, 3, 0).translate([0, -2.4, z - screen_tall / 2])
    if keys:
        for row in range(4):
            for column in (-1, 0, 1):
                button = _panel(wide * 0.24, tall * 0.065, 3, 2.5, 0.5)
                body += button.translate([column * wide * 0.28, -1.2, tall * (0.3 - 0.08 * row)])
        body += facing(drum(6, 3, 0.6)).translate([0, 1.4, tall * 0.415])
    else:
        body -= slab(rectangle(wide * 0.18, 1.6, 0.7), 2).translate([0, 0, tall - 4])
    body += _bumps(dice, wide, tall, deep)
    for level in (0.62, 0.72):
        body += block(2, deep * 0.4, tall * 0.07, 0, 0.4).translate([wide / 2, deep / 2, tall * level])
    body -= block(9, 2.6, 8, 1.2).translate([0, deep / 2, -4])
    return Model(body)


def _bumps(dice: Dice, wide: float, tall: float, deep: float) -> Manifold:
    """The camera at the back: one to three lenses on a raised plate."""
    lenses, r = dice.whole(1, 3), dice.between(4.5, 6)
    x, low = wide / 2 - 15, tall - 12 - lenses * 2.6 * r
    plate = _panel(2.8 * r, lenses * 2.6 * r + 3, 1.6, r, 0.4).translate([x, deep - 0.4, low])
    lens = (drum(r, 3, 0.5) - drum(r * 0.6, 9)).rotate([-90, 0, 0])
    return plate + union(lens.translate([x, deep - 0.2, low + 1.5 + (k + 0.5) * 2.6 * r]) for k in range(lenses))


@family("Loudspeaker", "Speaker", locarno="14-01", national="D14214")
def speaker(dice: Dice) -> Model:
    """A box with two cones, on small feet."""
    wide, tall, deep = dice.between(170, 220), dice.between(280, 380), dice.between(180, 240)
    body = block(wide, deep, tall, dice.pick([0, 14, 30]), dice.pick([0, 5]))
    big, small = wide * dice.between(0.34, 0.42), wide * dice.between(0.14, 0.2)
    body = _cone(body, big, [0, -deep / 2, tall * 0.34])
    body = _cone(body, small, [0, -deep / 2, tall * dice.between(0.76, 0.82)])
    if dice.chance(0.5):
        body -= facing(drum(wide * 0.07, 40)).translate([wide * 0.32, -deep / 2 + 20, tall * 0.62])
    foot = drum(12, 14, 2)
    for x in (-1, 1):
        body += union(foot.translate([x * wide * 0.36, y * deep * 0.36, -12]) for y in (-1, 1))
    return Model(body)


def _cone(body: Manifold, r: float, at: list[float]) -> Manifold:
    """The body with a loudspeaker cone of radius r let into its front."""
    hollow = turned([[0.0, -30], [r * 0.4, -28], [r * 0.86, -4], [r * 0.86, 10], [0.0, 10]])
    ring = turned([[r * 0.86, -3], [r * 1.08, -3], [r * 1.08, 4], [r * 0.9, 4]])
    cap = Manifold.sphere(r * 0.34, 64).scale([1, 1, 0.6]).translate([0, 0, -27])
    screws = around(6, drum(r * 0.05, 7).translate([r * 0.99, 0, 0]))
    return body - facing(hollow).translate(at) + facing(ring + cap + screws).translate(at)


@family("Camera", "Digital camera", locarno="16-01", national="D16202")
def camera(dice: Dice) -> Model:
    """A box with a lens in front, a finder hump and a shutter button."""
    wide, tall, deep = dice.between(115, 140), dice.between(70, 85), dice.between(32, 45)
    body = block(wide, deep, tall, 10, 3)
    r, x, out = dice.between(25, 31), dice.between(-8, 12), dice.between(18, 50)
    barrel = drum(r, out, 1.5) + drum(r * 1.12, out * 0.4, 1) + drum(r * 0.94, out * 1.15, 1)
    barrel -= drum(r * 0.8, 60).translate([0, 0, out * 1.15 - 6]) + around(
        28, drum(1.3, out * 0.3).translate([r, 0, out * 0.55])
    )
    barrel += Manifold.sphere(r * 0.8, 64).scale([1, 1, 0.35]).translate([0, 0, out * 1.15 - 8])
    body += facing(barrel).translate([x, -deep / 2, tall * 0.46])
    if dice.chance(0.6):
        hump = polygon([[-24, 0], [24, 0], [15, 17], [-15, 17]], 2)
        body += slab(hump, deep * 0.85).translate([x, 0, tall - 1])
    else:
        body -= slab(rectangle(16, 9, 2), 6).translate([-wide * 0.3, -deep / 2, tall * 0.83])
    body += drum(6, 8, 1).translate([wide * 0.38, -3, tall - 2]) + drum(11, 4, 1).translate([wide * 0.38, -3, tall - 1])
    body += drum(11, 9, 1.5).translate([wide * 0.2, 4, tall - 2]) - around(
        18, drum(0.9, 20).translate([11.2, 0, 0])
    ).translate([wide * 0.2, 4, tall])
    grip = drum(11, tall - 10, 4).scale([1, 0.9, 1]).translate([-wide / 2 + 14, -deep / 2, 5])
    body += grip
    body -= slab(rectangle(wide * 0.5, tall * 0.6, 3), 3).translate([0, deep / 2, tall * 0.48])
    return Model(body)


@family("Wristwatch", "Watch", locarno="10-02", national="D10 30")
def watch(dice: Dice) -> Model:
    """A case with hands and hour marks between two straps, face to the front."""
    r, deep, strap, long = (
        dice.between(18, 22),
        dice.between(8, 11),
        dice.between(16, 21),
        dice.between(55, 75),
    )
    case = drum(r, deep, 1.5) if dice.chance(0.7) else block(r * 1.9, r * 1.9, deep, 5, 1.5)
    case -= drum(r * 0.84, 10).translate([0, 0, deep - 1.6])
    top = deep - 1.8
    case += around(12, block(r * 0.16, 0.9, 0.9).translate([r * 0.7, 0, top]))
    for angle, length in ((dice.between(20, 60), 0.55), (dice.between(110, 250), 0.72)):
        case += block(length * r, 1.5, 1.2).translate([length * r / 2 - 1, 0, top]).rotate([0, 0, 90 - angle])
    case += drum(1.6, 1.8).translate([0, 0, top])
    case += drum(2.6, 5, 0.5).rotate([0, 90, 0]).translate([r - 1, 0, deep / 2])
    for side in (-1, 1):
        lug = block(3, r * 0.9, deep * 0.7, 0.8, 0.8)
        case += union(lug.translate([x * (strap / 2 + 1.6), side * r * 0.85, 0.5]) for x in (-1, 1))
    straps = Manifold()
    for side in (-1, 1):
        end = strap / 2 * dice.between(0.75, 0.95)
        outline = [[-strap / 2, r - 3], [strap / 2, r - 3], [end, r + long], [-end, r + long]]
        straps += polygon(np.array(outline) * [1, side], 3).extrude(2.4).translate([0, 0, deep * 0.25])
    straps -= union(drum(1.2, 30).translate([0, -r - long + 8 + 6 * k, 0]) for k in range(5))
    buckle = (rectangle(strap * 1.25, 11, 2) - rectangle(strap * 0.95, 6, 1)).extrude(2.6)
    straps += buckle.translate([0, r + long, deep * 0.25])
    unclaimed = dice.chance(0.35)
    whole = Model(facing(case), facing(straps - case)) if unclaimed else Model(facing(case + straps))
    return whole


@family("Electrical plug", "Power plug", locarno="13-03", national="D13133")
def plug(dice: Dice) -> Model:
    """A tapered body with pins to the left and a cord to the right."""
    wide, tall, long = dice.between(24, 34), dice.between(20, 30), dice.between(32, 46)
    hull = []
    for x, share in ((0.0, 1.0), (long * 0.3, 1.0), (long * 0.7, 0.75), (long, 0.5)):
        outline = rectangle(wide * share, tall * share, tall * share * 0.3).to_polygons()[0]
        hull.append(np.column_stack([np.full(len(outline), x), outline]))
    body = Manifold.hull_points(np.vstack(hull[:2])) + Manifold.hull_points(np.vstack(hull[1:]))
    path = curve([[long - 2, 0, 0], [long + 40, 0, 0], [long + 65, 0, -12], [long + 95, 0, -10]], 12)
    body += tube(path, 3.4) + union(
        drum(5.4 - 0.35 * k, 3, 0.6).rotate([0, 90, 0]).translate([long + 5 * k, 0, 0]) for k in range(5)
    )
    if dice.chance(0.5):
        for y in (-1, 1):
            body += rod([2, y * wide * 0.26, 0], [-18, y * wide * 0.26, 0], 2.4)
    else:
        blade = block(20, 1.8, 7, 0, 0.3).translate([-9, 0, -3.5])
        body += blade.translate([0, wide * 0.24, tall * 0.1]) + blade.translate([0, -wide * 0.24, tall * 0.1])
        if dice.chance(0.6):
            body += rod([2, 0, -tall * 0.28], [-20, 0, -tall * 0.28], 2.3)
    return Model(body)


@family("Headphones", "Headset", locarno="14-01", national="D14205")
def headphones(dice: Dice) -> Model:
    """Two ear cups on a band over the head."""
    r, cup, thick = dice.between(75, 85), dice.between(34, 44), dice.between(18, 26)
    arch = [[r * np.cos(a), 0, r * 1.08 * np.sin(a)] for a in np.linspace(-0.25, np.pi + 0.25, 48)]
    body = tube(np.array(arch), dice.between(5, 8), dice.between(1.6, 2.6))
    tilt = dice.between(0, 8)
    for side in (-1, 1):
        pad = drum(cup * 1.03, thick * 0.55, 6) + drum(cup * 0.86, thick, 5).translate([0, 0, -thick * 0.7])
        pad -= drum(cup * 0.55, 30).translate([0, 0, thick * 0.3])
        pad = (
            pad.scale([1.15, 0.95, 1]).rotate([0, -90, 0])
            if side > 0
            else pad.scale([1.15, 0.95, 1]).rotate([0, 90, 0])
        )
        body += pad.rotate([0, side * tilt, 0]).translate([side * (r - 2), 0, -r * 0.35])
    body += union(ball(9).translate([s * r * 0.97, 0, -r * 0.1]) for s in (-1, 1))
    return Model(body)


@family("Clock", "Timepiece", locarno="10-01", national="D10 15")
def clock(dice: Dice) -> Model:
    """A round dial with hour marks and two hands, face to the front."""
    r, deep = dice.between(110, 150), dice.between(22, 40)
    body = drum(r, deep, dice.between(3, 9)) - drum(r * 0.88, deep).translate([0, 0, deep - 8])
    top = deep - 9
    heavy = dice.chance(0.5)
    for k in range(12):
        size = (r * 0.17, 9.0) if k % 3 == 0 and heavy else (r * 0.1, 5.0)
        body += block(*size, 3).translate([r * 0.74, 0, top]).rotate([0, 0, 30 * k])
    for angle, length, wide in ((dice.between(280, 330), 0.45, 9.0), (dice.between(20, 80), 0.68, 6.0)):
        hand = polygon([[-r * 0.1, -wide / 2], [r * length, -wide / 5], [r * length, wide / 5], [-r * 0.1, wide / 2]])
        body += hand.extrude(4).rotate([0, 0, 90 - angle]).translate([0, 0, top])
    body += drum(7, 6, 1).translate([0, 0, top])
    if dice.chance(0.5):
        bell = spindle(curve([[r * 0.3, 0], [r * 0.3, 0], [r * 0.24, r * 0.12], [0.3, r * 0.18]]))
        for side in (-1, 1):
            part = bell.rotate([-90, 0, 0]).translate([0, r * 1.06, deep / 2]).rotate([0, 0, side * 32])
            body += part + rod([0, r * 0.9, deep / 2], [0, r * 1.15, deep / 2], 4).rotate([0, 0, side * 32])
            body += rod([0, -r * 0.9, deep / 2], [0, -r * 1.18, deep / 2], 6).rotate([0, 0, side * 35])
    return Model(facing(body))


@family("Battery", "Storage battery", locarno="13-02", national="D13103")
def battery(dice: Dice) -> Model:
    """A car battery: a ribbed box with two terminals and a handle."""
    wide, deep, tall = dice.between(200, 260), dice.between(130, 170), dice.between(150, 190)
    body = block(wide, deep, tall * 0.8, 6, 2) + block(wide + 8, deep + 8, tall * 0.2, 8, 3).translate(
        [0, 0, tall * 0.78]
    )
    ribs = dice.whole(5, 9)
    for k in range(ribs):
        rib = block(5, deep + 6, tall * 0.5, 0, 1)
        body += rib.translate([wide * (0.84 * k / (ribs - 1) - 0.42), 0, tall * 0.14])
    top = tall * 0.98
    for x in (-1, 1):
        body += Manifold.cylinder(24, 12, 9, 40).translate([x * wide * 0.38, -deep * 0.28, top - 1])
        body += block(44, 44, 8, 6, 1).translate([x * wide * 0.38, -deep * 0.28, top - 1])
    for k in range(6):
        body += drum(11, 5, 1).translate([(k - 2.5) * wide * 0.13, deep * 0.12, top - 1])
    if dice.chance(0.5):
        arch = [
            [-wide * 0.3, 0, top - 4],
            [-wide * 0.24, 0, top + 45],
            [wide * 0.24, 0, top + 45],
            [wide * 0.3, 0, top - 4],
        ]
        body += tube(curve(arch, 12), 6).translate([0, -deep * 0.02, 0])
    return Model(body)
