"""Water and its fittings: taps, basins, watering cans, buckets."""

import numpy as np
from manifold3d import Manifold

from ..dice import Dice
from .families import Model, family
from .shapes import around, ball, block, curve, drum, hoop, rod, shell, spindle, tube, turned, union


@family("Faucet", "Tap", "Mixer tap", locarno="23-01", national="D23238")
def faucet(dice: Dice) -> Model:
    """A column with a spout that bends to the front, and one lever or two cross handles."""
    tall, reach, pipe = dice.between(110, 240), dice.between(110, 170), dice.between(10, 14)
    body = drum(dice.between(24, 30), 8, 2) + drum(pipe + 7, tall * 0.45, 3)
    body += _square_spout(tall, reach, pipe) if dice.chance(0.35) else _round_spout(tall, reach, pipe)
    if dice.chance(0.5):
        lever = tube(curve([[0.0, 0, 0], [38.0, 0, 8], [80.0, 0, 30]], 10), [8.0, 6, 5], 1.4)
        body += lever.translate([pipe, 0, tall * 0.3])
        body += drum(15, 24, 4).rotate([0, 90, 0]).translate([pipe - 2, 0, tall * 0.3])
    else:
        knob = drum(18, 8, 2) + drum(9, 40, 2) + ball(10).translate([0, 0, 44])
        knob += around(4, rod([0, 0, 44], [30, 0, 44], 5.5) + ball(7).translate([30, 0, 44]), 45)
        body += union(knob.translate([side * 80, 0, 0]) for side in (-1, 1)) + block(200, 44, 10, 20, 3)
    return Model(body)


def _square_spout(tall: float, reach: float, pipe: float) -> Manifold:
    arm = block(pipe * 2, reach + pipe, pipe * 1.5, 0, 2).translate([0, -reach / 2, tall - pipe])
    mouth = drum(pipe * 0.8, 14, 2).translate([0, -reach, tall - pipe - 11])
    return drum(pipe, tall + pipe, 2) + arm + mouth


def _round_spout(tall: float, reach: float, pipe: float) -> Manifold:
    path = [[0.0, 0, 10], [0, 0, tall * 0.75], [0, -reach * 0.15, tall * 1.05], [0, -reach * 0.5, tall * 1.2]]
    path += [[0, -reach * 0.88, tall * 1.02], [0, -reach, tall * 0.78]]
    mouth = drum(pipe * 1.15, 16, 2) - drum(pipe * 0.7, 8).translate([0, 0, -2])
    return tube(curve(path, 14), pipe) + mouth.translate([0, -reach, tall * 0.78 - 14])


@family("Wash basin", "Sink", locarno="23-02", national="D23284")
def basin(dice: Dice) -> Model:
    """A bowl, oval or square, let into a slab or on a pedestal."""
    wide, deep, tall = dice.between(480, 600), dice.between(380, 460), dice.between(130, 180)
    if dice.chance(0.5):
        outer = block(wide, deep, tall, 40, 15)
        inner = block(wide - 70, deep - 130, tall, 60, 50).translate([0, -25, 30])
    else:
        round_ = spindle(curve([[0.5, 0], [0.62, 0.02], [0.9, 0.5], [1.0, 1.0], [1.0, 1.0]], 10))
        outer = round_.scale([wide / 2, deep / 2, tall])
        inner = round_.scale([wide / 2 - 22, deep / 2 - 22, tall]).translate([0, 0, 22])
    body = outer - inner - drum(22, 200).translate([0, -20, -50])
    body += (drum(26, 5, 1) - drum(16, 20).translate([0, 0, -5])).translate([0, -20, 27])
    pillar = dice.chance(0.5)
    if pillar:
        column = spindle(curve([[110, -560], [110, -560], [105, -540], [70, -420], [75, -120], [120, 20]], 10))
        body += (column - drum(20, 900).translate([0, 0, -700])).scale([1, 0.85, 1])
        body += block(110, 80, 12, 20, 3).translate([0, deep * 0.42, tall - 8]) if dice.chance(0.5) else Manifold()
    return Model(body)


@family("Watering can", locarno="23-01", national="D 8  1")
def watering_can(dice: Dice) -> Model:
    """A can with a long spout that ends in a rose, and a bow handle."""
    r, tall = dice.between(75, 95), dice.between(150, 200)
    body = shell(np.array([[r, 0.0], [r * dice.between(0.75, 1.0), tall]]), 3, 4)
    reach, lift = dice.between(150, 210), dice.between(0.95, 1.15) * tall
    start = [-r * 0.8, 0, tall * 0.22]
    body += tube([start, [-r - reach, 0, lift]], [20, 11]) - shell_inside(r, tall)
    direction = np.array([-r - reach, 0, lift]) - start
    tilt = float(np.degrees(np.arctan2(direction[0], direction[2])))
    rose = spindle([[11, 0], [34, 30], [34, 36]]) - union(
        around(n, drum(2, 10).translate([d, 0, 33])) for n, d in ((6, 12), (12, 24))
    )
    body += rose.rotate([0, tilt, 0]).translate([-r - reach + 4, 0, lift - 4])
    bow = [
        [r * 0.85, 0, tall * 0.2],
        [r * 1.5, 0, tall * 0.45],
        [r * 1.35, 0, tall * 1.15],
        [r * 0.3, 0, tall * 1.4],
        [-r * 0.7, 0, tall * 0.95],
    ]
    body += tube(curve(bow, 12), 7) - shell_inside(r, tall)
    body += hoop(r * 1.0, 3).translate([0, 0, 3])
    return Model(body)


def shell_inside(r: float, tall: float) -> Manifold:
    """What a can of that radius and height holds."""
    return drum(r * 0.7, tall + 1).translate([0, 0, 4])


@family("Bucket", "Pail", locarno="07-07", national="D32 53")
def bucket(dice: Dice) -> Model:
    """A tapered pail with a wire bail."""
    low, high, tall = dice.between(85, 105), dice.between(125, 150), dice.between(220, 280)
    body = shell(np.array([[low, 0.0], [high, tall]]), 4, 6) + hoop(high, 5).translate([0, 0, tall])
    rib = dice.between(0.6, 0.8)
    body += hoop(low + (high - low) * rib, 3).translate([0, 0, tall * rib])
    arch = [
        [(high + 8) * np.cos(a), -dice_tilt * np.sin(a), tall - 12 + high * 1.05 * np.sin(a)]
        for dice_tilt in [25.0]
        for a in np.linspace(0, np.pi, 32)
    ]
    body += tube(np.array(arch), 3.5)
    grip = rod([-45, -25, tall - 12 + high * 1.05], [45, -25, tall - 12 + high * 1.05], 11)
    for side in (-1, 1):
        body += drum(14, 10, 2).rotate([0, 90, 0]).translate([side * (high + 1) - 5, 0, tall - 12])
    return Model(
        body
        + grip
        - turned([[0.0, 8], [low - 5, 8], [high - 5, tall + 1], [0, tall + 1]]).trim_by_plane([0, 0, -1], -tall * 1.0)
    )
