"""What people carry and wear: bags, cases, umbrellas, rings, pens, combs, glasses."""

import numpy as np
from manifold3d import CrossSection, Manifold, OpType

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
    lofted,
    polygon,
    rectangle,
    rod,
    slab,
    spindle,
    tube,
    turned,
    union,
)


@family("Handbag", "Tote bag", "Purse", locarno="03-01", national="D 3246")
def handbag(dice: Dice) -> Model:
    """A soft wedge with two handles, a flap or a seam, and a clasp."""
    wide, tall, deep = dice.between(250, 340), dice.between(190, 260), dice.between(80, 130)
    top, pinch = dice.between(0.75, 0.95), dice.between(0.25, 0.5)
    rings = []
    for z, share in ((0, 0.96), (6, 1.0), (tall * 0.5, 0.5), (tall, 0.0)):
        w, d = wide * (top + (1 - top) * share), deep * (pinch + (1 - pinch) * share)
        outline = rectangle(w, d, d * 0.3).to_polygons()[0]
        rings.append(np.column_stack([outline, np.full(len(outline), z)]))
    body = lofted(rings)
    body = body - block(wide * top - 14, deep * pinch - 12, 20, deep * pinch * 0.2).translate([0, 0, tall - 12])
    reach, apart = dice.between(90, 150), wide * dice.between(0.18, 0.26)
    for side in (-1, 1):
        y = side * (deep * pinch / 2 + 3)
        path = [
            [-apart, y + side * 6, tall * 0.72],
            [-apart, y, tall],
            [-apart * 0.8, y, tall + reach * 0.75],
            [0, y, tall + reach],
            [apart * 0.8, y, tall + reach * 0.75],
            [apart, y, tall],
            [apart, y + side * 6, tall * 0.72],
        ]
        body += tube(curve(path, 10), 6)
        for x in (-apart, apart):
            tab = block(24, 9, 46, 2, 1).rotate([side * 8, 0, 0])
            body += tab.translate([x, y + side * 5, tall * 0.66])
    if dice.chance(0.6):
        body += block(wide * top * 0.3, 5, 60, 2, 1).translate([0, -deep * pinch / 2 - 8, tall - 60])
        body += facing(drum(9, 6, 1)).translate([0, -deep * pinch / 2 - 9, tall - 42])
    return Model(body)


@family("Suitcase", "Luggage", "Trolley case", locarno="03-01", national="D 3279")
def suitcase(dice: Dice) -> Model:
    """An upright shell with grooves, wheels, a carrying handle and a trolley bar."""
    wide, tall, deep = dice.between(360, 440), dice.between(520, 660), dice.between(210, 260)
    body = block(wide, deep, tall, dice.between(30, 60), 30).translate([0, 0, 55])
    count, upright = dice.whole(3, 7), dice.chance(0.6)
    for k in range(count):
        share = (k + 0.5) / count - 0.5
        if upright:
            groove = block(9, 8, tall * 0.86, 3).translate([share * wide * 0.86, -deep / 2, 55 + tall * 0.07])
        else:
            groove = block(wide * 0.8, 8, 9).translate([0, -deep / 2, 55 + tall * (0.5 + share * 0.86)])
        body -= groove
    seam = slab(rectangle(wide + 20, tall + 20) - rectangle(wide - 8, tall - 8, 40), 6)
    body -= seam.translate([0, 0, 55 + tall / 2])
    for x in (-1, 1):
        for y in (-1, 1):
            wheel = drum(26, 22, 3).translate([0, 0, -11]).rotate([0, 90, 0])
            body += wheel.translate([x * (wide / 2 - 60), y * (deep / 2 - 55), 26])
            body += block(40, 40, 40, 8).translate([x * (wide / 2 - 60), y * (deep / 2 - 55), 32])
    grip = [[-65, 0, 0], [-58, 0, 30], [58, 0, 30], [65, 0, 0]]
    body += tube(curve(grip, 8), 10).translate([0, -20, tall + 48])
    reach = dice.between(180, 320)
    bars = union(rod([x, 0, 0], [x, 0, reach], 8) for x in (-75, 75)) + block(190, 30, 28, 8, 5).translate(
        [0, 0, reach - 6]
    )
    bars = bars.translate([0, deep / 2 - 45, tall + 45])
    return Model(body, bars) if dice.chance(0.35) else Model(body + bars)


@family("Umbrella", "Parasol", locarno="03-03", national="D 3  5")
def umbrella(dice: Dice) -> Model:
    """An open canopy of panels on a stick with a hook or a knob."""
    r, deep, panels = dice.between(430, 520), dice.between(150, 240), dice.pick([6, 8, 8])
    long = dice.between(640, 780)
    rings = []
    for share in np.linspace(1.0, 0.02, 14):
        angle = np.linspace(0, 2 * np.pi, panels * 8, endpoint=False)
        sag = 1 - 0.09 * share * np.abs(np.sin(angle * panels / 2))
        z = np.full(len(angle), deep * np.cos(share * np.pi / 2.15))
        rings.append(np.column_stack([r * share * sag * np.cos(angle), r * share * sag * np.sin(angle), z]))
    skin = lofted(rings)
    canopy = skin - lofted([ring - [0, 0, 5.0] for ring in rings])
    ribs = around(
        panels,
        tube([[r * s, 0, deep * np.cos(s * np.pi / 2.15) - 9] for s in np.linspace(0.03, 0.97, 12)], 3.5),
    )
    seam = [[r * s, 0, deep * np.cos(s * np.pi / 2.15) + 0.5] for s in np.linspace(0.03, 1, 20)]
    ribs += around(panels, tube(seam, 4.5, segments=16))
    stick = rod([0, 0, deep + 45], [0, 0, deep - long], 7)
    if dice.chance(0.6):
        hook = [[0, 0, 0], [0, 0, -50], [35, 0, -95], [75, 0, -70], [78, 0, -45]]
        stick += tube(curve(hook, 12), 12).translate([0, 0, deep - long + 10])
    else:
        stick += spindle(curve([[10, 0], [18, 30], [14, 90], [8, 110]])).translate([0, 0, deep - long - 50])
    return Model(canopy + ribs + stick)


@family("Finger ring", "Jewelry ring", locarno="11-01", national="D11 26")
def ring(dice: Dice) -> Model:
    """A band with a cut stone on top."""
    r, wide, thick = dice.between(8.5, 10), dice.between(2, 4.5), dice.between(1.2, 1.8)
    half = [[r, -wide / 2], [r, -wide / 2], [r + thick, -wide * 0.4]]
    outline = np.array([*half, *([x, -z] for x, z in half[::-1])])
    body = facing(turned(curve(outline, 5)))
    size, sides = dice.between(3.2, 5.0), dice.pick([8, 8, 6, 12])
    top = r + thick + size * 0.62
    body += _stone(size, sides).translate([0, 0, top])
    prong = [[0.8, 0, -size * 1.1], [size * 0.75, 0, -size * 0.5], [size * 1.02, 0, 0.1], [size * 0.9, 0, size * 0.17]]
    body += around(dice.pick([4, 6]), tube(curve(prong, 6), 0.45), 45).translate([0, 0, top])
    if dice.chance(0.5):
        for side in (-1, 1):
            body += _stone(1.5, 8).translate([0, 0, r + thick + 0.6]).rotate([0, side * 33, 0])
    return Model(body)


def _stone(size: float, sides: int) -> Manifold:
    """A cut stone of that girdle: a crown above, a thin girdle at z = 0, a pavilion below."""
    crown = Manifold.cylinder(size * 0.35, size, size * 0.58, sides)
    girdle = Manifold.cylinder(0.35, size, size, sides).translate([0, 0, -0.35])
    pavilion = Manifold.cylinder(size * 0.85, 0.2, size, sides).translate([0, 0, -size * 0.85 - 0.3])
    return crown + girdle + pavilion


@family("Pen", "Ballpoint pen", locarno="19-06", national="D19 41")
def pen(dice: Dice) -> Model:
    """A barrel with a tip to the left, a clip and a push button."""
    r, long = dice.between(4.5, 6), dice.between(125, 140)
    waist = dice.between(0.85, 1.05)
    outline = [
        [0.6, 0],
        [0.6, 0],
        [1.2, 4],
        [1.2, 4],
        [r * 0.75, 16],
        [r * waist, 45],
        [r, long * 0.6],
        [r, long * 0.6],
    ]
    body = spindle(curve([*outline, [r, long - 4], [r, long - 4], [r * 0.85, long], [r * 0.85, long]], 8))
    body += drum(r * 0.5, 10, 1.2).translate([0, 0, long - 1])
    body += drum(r + 0.5, 3, 0.6).translate([0, 0, long * 0.6])
    if dice.chance(0.6):
        body -= union(hoop(r * waist + 0.4, 0.9).translate([0, 0, 22 + 3.5 * k]) for k in range(7))
    clip = block(3.2, 1.4, 38, 0.6, 0.4).translate([0, -r - 1.8, long - 42]) + ball(1.5).translate(
        [0, -r - 1.0, long - 41]
    )
    clip += block(3.2, 3.5, 3, 0.4, 0.4).translate([0, -r - 0.5, long - 6])
    return Model((body + clip).rotate([0, 90, 0]))


@family("Comb", "Hair comb", locarno="28-03", national="D28 39")
def comb(dice: Dice) -> Model:
    """A spine with teeth, or a long handle."""
    long, tall, spine, thick = (
        dice.between(130, 170),
        dice.between(34, 45),
        dice.between(10, 15),
        dice.between(3.5, 5),
    )
    bow = dice.between(0, 8)
    edge = curve(
        [
            [-long / 2, tall - 3],
            [-long / 4, tall + bow * 0.6],
            [0, tall + bow],
            [long / 4, tall + bow * 0.6],
            [long / 2, tall - 3],
        ],
        10,
    )
    flat = polygon(np.vstack([[[long / 2, 0], [-long / 2, 0]], edge]), 3)
    if dice.chance(0.4):
        flat = flat + rectangle(long * 0.75, spine * 1.1, spine * 0.5).translate([long * 0.8, tall - spine * 0.6])
    pitch = dice.between(3.6, 5.5)
    count = int((long - 16) / pitch)
    gaps = [
        rectangle(pitch * 0.5, tall * 2, pitch * 0.2).translate(
            [-long / 2 + 9 + pitch * (k + 0.5), -tall - spine + tall]
        )
        for k in range(count)
    ]
    flat = flat - CrossSection.batch_boolean(gaps, OpType.Add)
    return Model(slab(flat, thick))


@family("Eyeglasses", "Spectacles", locarno="16-06", national="D16306")
def glasses(dice: Dice) -> Model:
    """Two rims, a bridge and temples that reach back."""
    wide, tall, rim = dice.between(48, 56), dice.between(34, 46), dice.between(2.2, 4.5)
    style = dice.pick(["round", "square", "pilot"])
    gap, long = dice.between(16, 20), dice.between(125, 140)
    if style == "round":
        lens = CrossSection.circle(tall / 2 + 2, 72)
    elif style == "square":
        lens = rectangle(wide, tall * 0.85, 9)
    else:
        lens = polygon(
            curve(
                [[-23, 13], [0, 16], [22, 14], [26, 6], [20, -12], [4, -20], [-12, -16], [-24, 2], [-23, 13]],
                8,
            ),
            1.0,
        )
    half = (lens.bounds()[2] - lens.bounds()[0]) / 2
    frame = Manifold()
    for side in (-1, 1):
        one = lens if side > 0 else lens.mirror([1, 0])
        part = slab(one.offset(rim, circular_segments=48) - one, 4) + slab(one.offset(rim / 2), 1.4)
        frame += part.translate([side * (half + gap / 2), 0, 0])
        hinge = side * (gap / 2 + 2 * half + rim)
        high = tall * 0.22
        path = [
            [hinge - side * 2, 0, high],
            [hinge + side * 3, 6, high],
            [hinge + side * 4, long * 0.7, high],
            [hinge + side * 1, long, high - 26],
        ]
        frame += tube(curve(path, 12), 2.4, 1.4)
    bridge = [[-gap / 2 - 1, 0, 3], [-gap / 4, -2, 8], [gap / 4, -2, 8], [gap / 2 + 1, 0, 3]]
    return Model(frame + tube(curve(bridge, 8), 2.0))
