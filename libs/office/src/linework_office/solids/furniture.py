"""Seats, tables, shelves."""

import numpy as np
from manifold3d import Manifold

from ..dice import Dice
from .families import Model, family
from .shapes import around, beam, block, curve, drum, hoop, rod, tube, union


@family("Chair", "Dining chair", "Side chair", locarno="06-01", national="D 6716")
def chair(dice: Dice) -> Model:
    """Four legs, a seat and a back: slats, a panel or spindles."""
    wide, deep, seat = dice.between(400, 460), dice.between(400, 450), dice.between(430, 460)
    tall, lean, leg = dice.between(820, 1020), dice.between(25, 80), dice.between(30, 42)
    thick, splay = dice.between(22, 45), dice.between(0, 25)
    x, y = wide / 2 - leg * 0.5 - 12, deep / 2 - leg * 0.5 - 12
    bar = beam if dice.chance(0.6) else rod
    width = leg if bar is beam else leg / 2
    body = block(wide, deep, thick, 30, min(10.0, thick / 3)).translate([0, 0, seat - thick])
    for side in (-1, 1):
        body += bar([side * x, -y, seat - 5], [side * (x + splay), -y - splay, 0], width, width * 0.7)
        body += bar([side * x, y, seat - 5], [side * (x + splay), y + splay, 0], width, width * 0.7)
        body += bar([side * x, y, seat - thick], [side * x, y + lean, tall], width, width * 0.85)
    style = dice.pick(["slats", "panel", "spindles"])
    top = [-x, y + lean, tall - 30]

    def across(share: float, height: float) -> Manifold:
        z = seat + (tall - seat) * share
        return block(2 * x, 18, height, 0, 4).translate([0, y + lean * share, z - height / 2])

    if style == "panel":
        tilt = float(np.degrees(np.arctan2(lean, tall - seat)))
        panel = block(2 * x, 16, (tall - seat) * 0.62, 0, 5).rotate([-tilt, 0, 0])
        body += panel.translate([0, y + lean * 0.36, seat + (tall - seat) * 0.36])
    elif style == "slats":
        count = dice.whole(2, 4)
        body += union(across(0.35 + 0.58 * k / (count - 1), 55) for k in range(count))
    else:
        body += across(0.93, 70)
        for k in range(1, 6):
            share = -1 + k / 3
            body += rod([share * x, y, seat - 5], [share * x, y + lean * 0.93, top[2]], 8)
    if dice.chance(0.5):
        low = seat * 0.3
        body += union(rod([s * x, -y - 8, low], [s * x, y + 8, low], 10) for s in (-1, 1))
    return Model(body)


@family("Stool", "Bar stool", locarno="06-01", national="D 6716")
def stool(dice: Dice) -> Model:
    """A round seat on splayed legs with a foot ring."""
    r, tall, legs = dice.between(150, 190), dice.between(440, 720), dice.pick([3, 4, 4])
    thick, foot = dice.between(25, 55), dice.between(1.0, 1.35)
    body = drum(r, thick, 9).translate([0, 0, tall - thick])
    leg = rod([r * 0.7, 0, tall - 5], [r * foot, 0, 0], dice.between(13, 19), 10)
    body += around(legs, leg, 30 if legs == 3 else 45)
    if tall > 520 or dice.chance(0.4):
        level = dice.between(0.25, 0.4)
        body += hoop(r * foot + (r * 0.7 - r * foot) * level, 9).translate([0, 0, tall * level])
    return Model(body)


@family("Table", "Occasional table", locarno="06-03", national="D 6694")
def table(dice: Dice) -> Model:
    """A top on four legs, or a round top on a column with feet."""
    tall, thick = dice.between(420, 740), dice.between(25, 45)
    if dice.chance(0.35):
        r = dice.between(330, 480)
        body = drum(r, thick, 8).translate([0, 0, tall - thick]) + drum(dice.between(30, 50), tall * 0.85).translate(
            [0, 0, tall * 0.14]
        )
        feet = dice.pick([3, 4])
        path = [[0, 0, tall * 0.3], [r * 0.35, 0, tall * 0.22], [r * 0.7, 0, tall * 0.06], [r * 0.85, 0, 10]]
        return Model(body + around(feet, tube(curve(path, 10), [28, 22, 16, 14]), 45))
    wide, deep, leg = dice.between(900, 1500), dice.between(560, 800), dice.between(45, 75)
    body = block(wide, deep, thick, dice.pick([0, 40, 90]), 6).translate([0, 0, tall - thick])
    x, y, splay = wide / 2 - leg * 1.4, deep / 2 - leg * 1.4, dice.between(0, 40)
    for sx in (-1, 1):
        for sy in (-1, 1):
            body += beam([sx * x, sy * y, tall - thick], [sx * (x + splay), sy * (y + splay), 0], leg, leg * 0.7)
        body += block(20, 2 * y, 70).translate([sx * x, 0, tall - thick - 70])
    body += union(block(2 * x, 20, 70).translate([0, sy * y, tall - thick - 70]) for sy in (-1, 1))
    if dice.chance(0.4):
        body += block(2 * x, 2 * y, 18).translate([0, 0, tall * 0.25])
    return Model(body)


@family("Bookcase", "Shelf unit", "Cabinet", locarno="06-04", national="D 6677")
def bookcase(dice: Dice) -> Model:
    """A case with shelves, sometimes with drawers or doors below."""
    wide, deep, tall, board = dice.between(600, 1000), dice.between(280, 360), dice.between(900, 1800), 24.0
    body = block(wide, deep, tall)
    shelves = dice.whole(3, 5)
    closed = dice.chance(0.5)
    step = (tall - board - 60) / shelves
    for k in range(shelves):
        low = 60 + board + k * step
        if k == 0 and closed:
            continue
        body -= block(wide - 2 * board, deep, step - board).translate([0, -board, low])
    if closed:
        for side in (-1, 1):
            x = side * (wide / 4 - 3)
            body += block(wide / 2 - 14, 16, step - 14).translate([x, -deep / 2 - 4, 60 + board])
            knob = drum(11, 24, 3).rotate([90, 0, 0])
            body += knob.translate([side * 45, -deep / 2 - 8, 60 + board + step * 0.6])
    if dice.chance(0.5):
        body -= block(wide - 160, deep + 10, 45).translate([0, 0, -1])
    return Model(body)


@family("Sofa", "Settee", "Couch", locarno="06-01", national="D 6381")
def sofa(dice: Dice) -> Model:
    """Cushions between two arms and a back, on short feet."""
    seats = dice.whole(2, 3)
    seat, deep, arm = dice.between(580, 680), dice.between(780, 880), dice.between(120, 200)
    wide, back = seats * seat + 2 * arm, dice.between(720, 860)
    rest, round_ = dice.between(540, 640), dice.between(20, 50)
    body = block(wide, deep, 260, 30, 12).translate([0, 0, 110])
    body += block(wide - 20, 190, back - 120, 40, round_).translate([0, deep / 2 - 95, 120])
    for side in (-1, 1):
        body += block(arm, deep - 20, rest - 110, 30, round_).translate([side * (wide - arm) / 2, -5, 110])
        for y in (-deep / 2 + 70, deep / 2 - 70):
            body += Manifold.cylinder(120, 18, 28, 40).translate([side * (wide / 2 - 80), y, 0])
    for k in range(seats):
        x = (k - (seats - 1) / 2) * seat
        body += block(seat - 12, deep - 200, 130, 40, 30).translate([x, -95, 350])
        body += block(seat - 20, 150, 330, 40, 40).rotate([-8, 0, 0]).translate([x, deep / 2 - 230, 470])
    return Model(body)
