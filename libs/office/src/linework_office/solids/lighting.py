"""Lamps and what shines in them."""

import numpy as np

from ..dice import Dice
from .families import Model, family
from .shapes import around, ball, block, curve, drum, hoop, rod, spindle, turned, union


@family("Table lamp", "Lamp", locarno="26-05", national="D26106")
def table_lamp(dice: Dice) -> Model:
    """A turned or straight foot with a shade that is a cone, a drum or a dome."""
    foot, tall = dice.between(60, 85), dice.between(220, 320)
    style = dice.pick(["turned", "stick", "globe"])
    if style == "turned":
        outline = [
            [foot, 0],
            [foot, 0],
            [foot, 10],
            [foot, 10],
            [18.0, 26],
            [36, tall * 0.35],
            [13, tall * 0.6],
        ]
        body = spindle(curve([*outline, [20, tall * 0.72], [9, tall * 0.8], [9, tall + 20]], 10))
    elif style == "globe":
        body = drum(foot, 12, 4) + ball(foot * 0.9).translate([0, 0, foot * 0.95]) + drum(9, tall + 20)
    else:
        body = drum(foot, 18, 6) + drum(7, tall + 20)
    low, high, deep = dice.between(95, 140), dice.between(50, 95), dice.between(120, 170)
    if dice.chance(0.3):
        shade = turned(_wall(curve([[low, 0], [low * 0.93, deep * 0.45], [low * 0.5, deep * 0.85], [6, deep]], 12)))
    else:
        shade = turned(_wall(np.array([[low, 0.0], [high, deep]])))
        shade += union(rod([0, 0, deep - 12], [high * s, 0, deep - 12], 2.2) for s in (-1, 1))
    shade = shade.translate([0, 0, tall - deep * 0.25])
    body += drum(4, deep * 0.78).translate([0, 0, tall]) + ball(7).translate([0, 0, tall + deep * 0.77])
    return Model(body, shade) if dice.chance(0.2) else Model(body + shade)


def _wall(outline: np.ndarray) -> np.ndarray:
    """A closed profile, 3 mm thick, inside an outline."""
    return np.vstack([outline, outline[::-1] - [3.0, 0.0]])


@family("Pendant lamp", "Hanging light fixture", locarno="26-05", national="D26 88")
def pendant(dice: Dice) -> Model:
    """A bell, bowl or cone that hangs from a cord and a ceiling rose."""
    r, deep, cord = dice.between(120, 200), dice.between(110, 220), dice.between(220, 380)
    style = dice.pick(["bell", "bowl", "cone"])
    outlines = {
        "bell": [[r, 0], [r * 0.8, deep * 0.2], [r * 0.55, deep * 0.6], [r * 0.4, deep * 0.9], [22, deep]],
        "bowl": [[r, 0], [r * 0.96, deep * 0.35], [r * 0.7, deep * 0.75], [22, deep]],
        "cone": [[r, 0], [r, 0], [r * 0.55, deep * 0.55], [r * 0.25, deep * 0.85], [22, deep]],
    }
    body = turned(_wall(curve(outlines[style], 12)))
    body += drum(24, 45, 3).translate([0, 0, deep - 4]) + drum(3.5, cord).translate([0, 0, deep + 20])
    body += spindle(curve([[14, 0], [14, 0], [52, 20], [55, 28], [55, 28], [55, 34]])).translate([0, 0, deep + cord])
    body += ball(32).translate([0, 0, deep * 0.35]) + drum(18, deep * 0.6).translate([0, 0, deep * 0.4])
    if dice.chance(0.4):
        body += hoop(r, 4)
    return Model(body)


@family("Desk lamp", "Reading lamp", locarno="26-05", national="D26 65")
def desk_lamp(dice: Dice) -> Model:
    """A base, an arm with joints, and a head that looks down to the left."""
    foot, lower, upper = dice.between(75, 100), dice.between(220, 300), dice.between(200, 270)
    bend = np.radians(dice.between(60, 78))
    knee = np.array([lower * np.cos(bend), 0, 16 + lower * np.sin(bend)])
    rise = np.radians(dice.between(15, 40))
    head = knee + np.array([-upper * np.cos(rise), 0, upper * np.sin(rise)])
    body = drum(foot, 18, 6) if dice.chance(0.7) else block(foot * 1.8, foot * 1.4, 18, 20, 5)
    body += rod([0, 0, 10], list(knee), 7) + rod(list(knee), list(head), 6)
    for joint, size in ((knee, 14), (head, 12), (np.array([0, 0, 20]), 15)):
        body += drum(size, 26, 2).translate([0, 0, -13]).rotate([90, 0, 0]).translate(list(joint))
    mouth, deep = dice.between(55, 80), dice.between(90, 130)
    outline = curve([[mouth, 0], [mouth * 0.9, deep * 0.3], [mouth * 0.5, deep * 0.75], [18, deep]], 10)
    shade = (
        turned(_wall(outline)) + drum(20, 28, 4).translate([0, 0, deep - 8]) + ball(22).translate([0, 0, deep * 0.4])
    )
    shade = shade.translate([0, 0, -deep]).rotate([0, dice.between(15, 40), 0])
    return Model(body + shade.translate(list(head)))


@family("Light bulb", "Lamp bulb", locarno="26-04", national="D26  2")
def bulb(dice: Dice) -> Model:
    """A glass pear on a threaded cap, sometimes with fins."""
    r, neck = dice.between(28, 36), dice.between(14, 18)
    low = dice.between(25, 45)
    glass = spindle(
        curve(
            [
                [neck, 0],
                [neck, 0],
                [neck + 3, low * 0.5],
                [r, low + 18],
                [r * 0.74, low + r + 22],
                [r * 0.36, low + r + 33],
                [0.2, low + r + 35],
            ],
            12,
        )
    )
    cap = drum(12.5, 24, 1).translate([0, 0, -26]) + spindle([[4, -33], [10, -26]])
    cap += union(hoop(12.8, 1.6).translate([0, 0, -22 + 5 * k]) for k in range(4))
    body = glass + drum(neck + 1, 6, 1.5).translate([0, 0, -4])
    if dice.chance(0.5):
        fin = block(8, 2.2, low * 0.8, 0, 0.5).translate([neck + 4, 0, 0])
        body += around(16, fin)
    return Model(body, cap) if dice.chance(0.25) else Model(body + cap)
