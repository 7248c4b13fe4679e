"""Hand tools, and what they fasten."""

import numpy as np
from manifold3d import CrossSection, Manifold

from ..dice import Dice
from .families import Model, family
from .shapes import (
    around,
    block,
    curve,
    drum,
    hoop,
    polygon,
    rectangle,
    slab,
    spindle,
    tube,
    turned,
    union,
)


@family("Hammer", "Claw hammer", locarno="08-02", national="D 8 75")
def hammer(dice: Dice) -> Model:
    """A handle, a head with a round face to the left and a split claw to the right."""
    tall, r, face = dice.between(270, 340), dice.between(11, 14), dice.between(14, 18)
    grip = [[r * 0.8, 0], [r * 1.25, 6], [r * 1.2, tall * 0.2], [r * 0.9, tall * 0.42], [r * 0.8, tall * 0.7]]
    handle = spindle(curve([*grip, [r * 0.85, tall + 6], [r * 0.85, tall + 6]], 10)).scale([1, 0.8, 1])
    head = block(34, 24, 30, 4, 3).translate([0, 0, tall - 24])
    poll = spindle(curve([[face * 0.7, 0], [face * 0.62, 18], [face, 30], [face, 30], [face, 44], [face - 2, 46]], 6))
    head += poll.rotate([0, -90, 0]).translate([-12, 0, tall - 9])
    drop = dice.between(14, 30)
    side = [[14, tall + 5], [40, tall + 4], [68, tall - drop * 0.6], [82, tall - drop * 1.7]]
    under = [[80, tall - drop * 1.8], [62, tall - drop * 0.9 - 5], [38, tall - 17], [14, tall - 22]]
    claw = slab(polygon(np.vstack([curve(side, 8), curve(under, 8)])), 30)
    taper = polygon([[10.0, -11], [90.0, -16], [90, -2.5], [44, -0.2], [44, 0.2], [90, 2.5], [90.0, 16], [10.0, 11]])
    head += claw ^ taper.extrude(200).translate([0, 0, tall - 120])
    if dice.chance(0.5):
        handle -= union(hoop(r * 1.3, 1.4).translate([0, 0, 18 + 8 * k]) for k in range(6))
    return Model(head, handle - head) if dice.chance(0.25) else Model(handle + head)


@family("Screwdriver", locarno="08-04", national="D 8 82")
def screwdriver(dice: Dice) -> Model:
    """A fluted grip with a shaft that points to the right, flat or cross-headed."""
    r, grip = dice.between(13, 17), dice.between(90, 115)
    shaft, s = dice.between(80, 150), dice.between(2.8, 4)
    outline = [[r * 0.7, 0.0], [r, 8.0], [r, grip * 0.3], [r * 0.85, grip * 0.55], [r, grip * 0.75], [r * 0.6, grip]]
    body = spindle(curve([*outline, [s + 2, grip + 8]], 10))
    cut = tube([[r * 1.18, 0, grip * 0.04], [r * 1.18, 0, grip * 0.7]], r * 0.34)
    body -= around(dice.pick([6, 8]), cut)
    tip = _flat_tip(s) if dice.chance(0.5) else _cross_tip(s)
    blade = drum(s, shaft + grip) + tip.translate([0, 0, shaft + grip])
    return Model((body + blade).rotate([0, 90, 0]))


def _flat_tip(s: float) -> Manifold:
    """A flattened end, about z = 0, of a shaft of radius s."""
    side = np.array([[s, -22.0], [s * 1.3, -8.0], [s * 1.1, 6.0]])
    flat = polygon(np.vstack([side, side[::-1] * [-1.0, 1.0]]))
    wedge = polygon([[-s, -22], [s, -22], [0.6, 6], [-0.6, 6]])
    return slab(flat, 2 * s) ^ slab(wedge, 4 * s).rotate([0, 0, 90])


def _cross_tip(s: float) -> Manifold:
    """A pointed end with four notches, from z = 0 up, of a shaft of radius s."""
    notch = block(s, s, 14).translate([s * 0.85, s * 0.85, 1])
    return spindle([[s, -1], [s, 4], [0.8, 12]]) - around(4, notch)


@family("Wrench", "Combination wrench", "Spanner", locarno="08-05", national="D 8 21")
def wrench(dice: Dice) -> Model:
    """A flat bar with an open jaw at the left and a ring at the right."""
    long, jaw, ring = dice.between(150, 210), dice.between(19, 25), dice.between(15, 20)
    width, thick = dice.between(14, 18), dice.between(7, 10)
    bar = CrossSection.square([long, width], True)
    head = CrossSection.circle(jaw, 64).translate([-long / 2, 0])
    bar = bar + head + CrossSection.circle(ring * 0.92, 64).translate([long / 2, 0])
    bar = bar.offset(-5.0, circular_segments=48).offset(5.0, circular_segments=48) if width > 15 else bar
    turn = dice.between(10, 18)
    mouth = rectangle(jaw * 2.4, jaw * 0.95, 4).translate([-jaw * 1.05, 0]).rotate(turn).translate([-long / 2, 0])
    hole = CrossSection.circle(ring * 0.62, dice.pick([6, 12, 12])).translate([long / 2, 0])
    body = slab(bar - mouth, thick * 0.75) + slab(
        CrossSection.circle(jaw * 0.999, 64).translate([-long / 2, 0]).offset(-1.2) - mouth, thick
    )
    body += slab(CrossSection.circle(ring, 64).translate([long / 2, 0]), thick * 1.2)
    body -= slab(hole, thick * 2)
    if dice.chance(0.6):
        recess = slab(rectangle(long * 0.5, width * 0.5, width * 0.24), 2)
        body -= recess.translate([0, -thick * 0.375, 0]) + recess.translate([0, thick * 0.375, 0])
    return Model(body)


@family("Pliers", locarno="08-05", national="D 8 52")
def pliers(dice: Dice) -> Model:
    """Two crossed levers on a pivot, jaws up."""
    long, open_ = dice.between(110, 140), dice.between(26, 38)
    jaw, grip = dice.between(45, 65), dice.between(6, 8)
    body = Manifold()
    for side in (-1, 1):
        jaw_side = [[0.0, jaw], [side * 7.0, jaw - 2], [side * 15.0, 12.0], [side * 16.0, -8.0], [-side * 4.0, -14.0]]
        body += slab(polygon([*jaw_side, [-side * 9.0, 2.0], [0.0, 8.0]], 1.0), 9).translate([0, side * 1.2, 0])
        path = [[side * 8.0, 0.0, -6.0], [side * 14.0, 0.0, -25.0], [side * open_, 0.0, -long * 0.5]]
        lever = curve([*path, [side * open_ * 0.8, 0.0, -long]], 12)
        body += tube(lever, [grip * 0.8, grip, grip * 1.1, grip], 0.9)
    body += drum(9, 14, 1.5).translate([0, 0, -7]).rotate([90, 0, 0])
    body -= slab(polygon([[-0.5, jaw + 2], [0.5, jaw + 2], [0.5, 13], [-0.5, 13]]), 40)
    return Model(body)


@family("Key", "Door key", locarno="08-07", national="D 8347")
def key(dice: Dice) -> Model:
    """A bow with a hole, and a bitted blade to the right."""
    bow, long = dice.between(12, 15), dice.between(28, 38)
    wide, thick = dice.between(7.5, 9), dice.between(2, 2.6)
    head = _bow(dice.pick(["round", "square", "clover"]), bow)
    top, low, tip = wide / 2, -wide / 2, bow + long
    teeth = [[tip, low + 2.4]]
    x = tip - 2.5
    while x > bow + 7:
        deep = dice.between(0.6, 3.0)
        teeth += [[x, low + deep], [x - 1.6, low + deep]]
        x -= 3.6
    stop = [[bow + 5, low], [bow + 5, low - 1.2], [bow - 2, low - 1.2], [0.0, low]]
    body = slab(head + polygon([[0.0, top], [tip - 3, top], [tip, 0.8], *teeth, *stop]), thick)
    groove = slab(rectangle(long, 1.3).translate([bow + long / 2 + 2, 1.0]), 0.9)
    body -= groove.translate([0, -thick / 2, 0]) + groove.translate([0, thick / 2, 0])
    if dice.chance(0.5):
        body += slab(head.offset(-2.2), thick + 1.0)
    return Model(body - slab(CrossSection.circle(bow * 0.28, 40).translate([-bow * 0.55, 0]), 20))


def _bow(style: str, size: float) -> CrossSection:
    """The part of a key that one holds."""
    if style == "round":
        return CrossSection.circle(size, 64)
    if style == "square":
        return rectangle(size * 1.9, size * 2.1, 4)
    leaf = CrossSection.circle(size * 0.62, 48)
    sides = leaf.translate([size * 0.35, size * 0.6]) + leaf.translate([size * 0.35, -size * 0.6])
    return sides + leaf.translate([-size * 0.55, 0]) + leaf


@family("Padlock", locarno="08-07", national="D 8331")
def padlock(dice: Dice) -> Model:
    """A body with a keyhole and a shackle."""
    wide, tall, deep = dice.between(42, 55), dice.between(36, 52), dice.between(16, 22)
    bar, reach = dice.between(3.5, 5), dice.between(22, 40)
    body = (
        block(wide, deep, tall, dice.between(3, 8), 2.5)
        if dice.chance(0.6)
        else drum(wide / 2, deep, 2).rotate([90, 0, 0]).translate([0, deep / 2, wide / 2])
        + block(wide * 0.92, deep, tall * 0.4, 3, 2).translate([0, 0, tall * 0.55])
    )
    x = wide / 2 - bar - 4
    arch = [[x * np.cos(a), 0, reach + x * np.sin(a)] for a in np.linspace(0, np.pi, 24)]
    shackle = tube(np.array([[x, 0, -8], *arch, [-x, 0, -8]]), bar).translate([0, 0, tall - 2])
    hole = drum(3.2, 30).rotate([90, 0, 0]).translate([0, 0, tall * 0.45])
    slot = block(2.4, 30, 9).translate([0, -15, tall * 0.45 - 9])
    ring = (drum(8, 3, 0.6) - drum(6.4, 9)).rotate([90, 0, 0]).translate([0, -deep / 2 + 1.5, tall * 0.45])
    return Model(body + shackle + ring - (hole + slot).trim_by_plane([0, -1, 0], 3))


@family("Bolt", "Hexagonal screw", locarno="08-08", national="D 8387")
def bolt(dice: Dice) -> Model:
    """A hexagonal head, a shank and a thread, with or without a nut and a washer."""
    r, long, head = dice.between(6, 9), dice.between(45, 80), dice.between(7, 10)
    pitch = dice.between(2.4, 3.2)
    across = r * dice.between(1.75, 2.05)
    hexagon = CrossSection.circle(across, 6).extrude(head) ^ turned(
        [[0.0, 0], [across, 0], [across, head * 0.75], [across * 0.82, head], [0, head]]
    )
    body = drum(r, long + 1).translate([0, 0, -long]) + hexagon
    if dice.chance(0.5):
        body += drum(across * 1.15, 2.2, 0.5).translate([0, 0, -2.2])
    count = int(long * dice.between(0.45, 0.7) / pitch)
    groove = turned([[r * 0.83, 0], [r + 1, -pitch * 0.5], [r + 1, pitch * 0.5]])
    body -= union(groove.translate([0, 0, -long + 3 + pitch * k]) for k in range(count))
    body -= turned([[r - 2, -long - 1], [r + 2, -long - 1], [r + 2, -long + 3]])
    if dice.chance(0.4):
        nut = CrossSection.circle(across, 6).extrude(head * 0.9) - drum(r, 20)
        body += nut.translate([0, 0, -long * 0.7])
    return Model(body)
