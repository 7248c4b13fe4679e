"""The few ways of making a solid that all families share: turned, extruded, lofted, and combined.

Millimetres; z points up, y to the rear, so the front of an object looks towards -y. Every function returns a closed
`Manifold`; combine them with `+` (union), `-` (difference) and `^` (intersection).
"""

from collections.abc import Iterable, Sequence

import numpy as np
from manifold3d import CrossSection, JoinType, Manifold, Mesh64
from numpy.typing import NDArray

Array = NDArray[np.float64]
Points = Sequence[Sequence[float]] | Sequence[Array] | Array  # (n, 2) or (n, 3)
ROUND = 64  # segments of a full turn: facets of 5.6 degrees, far below the crease angle that draws a line


def curve(points: Points, steps: int = 8) -> Array:
    """A smooth line through the points (n, d), as a Catmull-Rom spline; a point given twice stays a corner."""
    p = np.asarray(points, dtype=float)
    padded = np.vstack([p[:1], p, p[-1:]])
    t = np.linspace(0.0, 1.0, steps, endpoint=False)[:, None]
    pieces = []
    for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False):
        if np.allclose(b, c):
            continue
        before, after = (b if np.allclose(a, b) else a), (c if np.allclose(c, d) else d)
        first, second = (c - before) / 2, (after - b) / 2
        h = (2 * t**3 - 3 * t**2 + 1, t**3 - 2 * t**2 + t, -2 * t**3 + 3 * t**2, t**3 - t**2)
        pieces.append(h[0] * b + h[1] * first + h[2] * c + h[3] * second)
    return np.vstack([*pieces, p[-1:]])


def turned(profile: Points, segments: int = ROUND) -> Manifold:
    """A solid of revolution about z from a closed profile of (radius, height)."""
    return Manifold.revolve(CrossSection([np.maximum(np.asarray(profile, dtype=float), [0.0, -1e9])]), segments)


def spindle(profile: Points, segments: int = ROUND) -> Manifold:
    """A solid of revolution from an outline of (radius, height) that runs from one end to the other."""
    p = np.asarray(profile, dtype=float)
    return turned(np.vstack([[[0.0, p[0, 1]]], p, [[0.0, p[-1, 1]]]]), segments)


def shell(profile: Points, wall: float, floor: float | None = None) -> Manifold:
    """An open vessel: the spindle of the profile (bottom to top) with a hollow that leaves a wall and a floor."""
    p = np.asarray(profile, dtype=float)
    bottom = p[0, 1] + (wall if floor is None else floor)
    inside = np.column_stack([np.maximum(p[:, 0] - wall, 0.3), p[:, 1]])
    inside = np.vstack([[[np.interp(bottom, p[:, 1], inside[:, 0]), bottom]], inside[inside[:, 1] > bottom]])
    inside = np.vstack([inside, [[inside[-1, 0], p[-1, 1] + 1.0]]])
    return spindle(p) - spindle(inside)


def drum(radius: float, height: float, edge: float = 0.0, segments: int = ROUND) -> Manifold:
    """A standing cylinder on z = 0 with rounded edges."""
    if edge <= 0:
        return Manifold.cylinder(height, radius, radius, segments)
    turn = np.linspace(0, np.pi / 2, 6)
    low = np.column_stack([radius - edge + edge * np.sin(turn), edge - edge * np.cos(turn)])
    high = np.column_stack([low[::-1, 0], height - low[::-1, 1]])
    return spindle(np.vstack([low, high]), segments)


def ball(radius: float, segments: int = ROUND) -> Manifold:
    """A sphere about the origin."""
    return Manifold.sphere(radius, segments)


def hoop(radius: float, thickness: float, segments: int = ROUND) -> Manifold:
    """A torus about z: a round bar bent to a circle."""
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return turned(np.column_stack([radius + thickness * np.cos(turn), thickness * np.sin(turn)]), segments)


def rectangle(width: float, depth: float, corner: float = 0.0) -> CrossSection:
    """A centred rectangle with rounded corners."""
    if corner <= 0:
        return CrossSection.square([width, depth], True)
    corner = min(corner, 0.49 * width, 0.49 * depth)
    inner = CrossSection.square([width - 2 * corner, depth - 2 * corner], True)
    return inner.offset(corner, JoinType.Round, circular_segments=48)


def polygon(points: Points, corner: float = 0.0) -> CrossSection:
    """A flat outline, optionally with all its corners rounded."""
    flat = CrossSection([np.asarray(points, dtype=float)])
    if flat.area() <= 0:
        flat = CrossSection([np.asarray(points, dtype=float)[::-1]])
    if corner <= 0:
        return flat
    shrunk = flat.offset(-corner, JoinType.Miter)
    grown = shrunk.offset(2 * corner, JoinType.Round, circular_segments=48)
    return grown.offset(-corner, JoinType.Round, circular_segments=48)


def block(width: float, depth: float, height: float, corner: float = 0.0, edge: float = 0.0) -> Manifold:
    """A box on z = 0, centred in x and y; `corner` rounds its upright edges, `edge` those of top and bottom."""
    if edge <= 0:
        return rectangle(width, depth, corner).extrude(height)
    turn, points = np.linspace(0, np.pi / 2, 6), []
    for share in turn:
        inset, z = edge * (1 - np.sin(share)), edge * (1 - np.cos(share))
        outline = rectangle(width - 2 * inset, depth - 2 * inset, max(corner - inset, 0.05)).to_polygons()[0]
        points += [np.column_stack([outline, np.full(len(outline), level)]) for level in (z, height - z)]
    return Manifold.hull_points(np.vstack(points))


def slab(outline: CrossSection, thickness: float) -> Manifold:
    """A flat outline in the x-z plane made a plate of that thickness, centred on y = 0 (front view = outline)."""
    return outline.extrude(thickness).translate([0, 0, -thickness / 2]).rotate([90, 0, 0])


def lofted(rings: Sequence[Array]) -> Manifold:
    """A skin over rings (k, n, 3) of equally many points, closed by a fan at each end."""
    r = np.asarray(rings, dtype=float)
    count, size = r.shape[:2]
    points = np.vstack([r.reshape(-1, 3), r[0].mean(0), r[-1].mean(0)])
    i = np.arange(size)
    j = (i + 1) % size
    first, last = (count * size, (count - 1) * size)
    faces = [np.column_stack([np.full(size, first), j, i])]
    for k in range(count - 1):
        low, high = k * size, (k + 1) * size
        faces += [
            np.column_stack([low + i, low + j, high + j]),
            np.column_stack([low + i, high + j, high + i]),
        ]
    faces.append(np.column_stack([np.full(size, first + 1), last + i, last + j]))
    triangles = np.vstack(faces).astype(np.uint64)
    solid = Manifold(Mesh64(points, triangles))
    return solid if solid.volume() > 0 else Manifold(Mesh64(points, triangles[:, ::-1]))


def tube(path: Points, radius: float | Sequence[float], flat: float = 1.0, segments: int = 24) -> Manifold:
    """A bar along a path (k, 3); the radius may change along it; `flat` squeezes the section across the path."""
    p = np.asarray(path, dtype=float)
    radii = np.interp(np.linspace(0, 1, len(p)), np.linspace(0, 1, np.size(radius)), np.atleast_1d(radius))
    along = np.gradient(p, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    side = np.cross(along[0], [0.0, 0.0, 1.0] if abs(along[0, 2]) < 0.9 else [0.0, 1.0, 0.0])
    turn = np.linspace(0, 2 * np.pi, segments, endpoint=False)
    rings = []
    for centre, direction, r in zip(p, along, radii, strict=True):
        side = side - direction * (side @ direction)  # carried along the path, so the skin does not twist
        side /= np.linalg.norm(side)
        up = np.cross(direction, side)
        rings.append(centre + r * (np.outer(np.cos(turn), side) + flat * np.outer(np.sin(turn), up)))
    return lofted(rings)


def rod(start: Sequence[float], end: Sequence[float], radius: float, tip: float | None = None) -> Manifold:
    """A straight round bar from start to end, of radius `tip` at its end."""
    return tube([start, end], [radius, radius if tip is None else tip], segments=32)


def beam(start: Sequence[float], end: Sequence[float], width: float, tip: float | None = None) -> Manifold:
    """A square bar from start to end (mostly upright), of width `tip` at its end."""
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) / 2
    low, high = (
        np.asarray(start) + corners * width,
        np.asarray(end) + corners * (width if tip is None else tip),
    )
    return lofted([low, high])


def around(count: int, part: Manifold, start: float = 0.0) -> Manifold:
    """The part, repeated at equal angles about z."""
    return union(part.rotate([0, 0, start + 360.0 * k / count]) for k in range(count))


def union(parts: Iterable[Manifold]) -> Manifold:
    """All parts as one solid."""
    whole = Manifold()
    for part in parts:
        whole = whole + part
    return whole


def facing(solid: Manifold) -> Manifold:
    """A solid turned about z, laid so that its axis points to the front (towards -y)."""
    return solid.rotate([90, 0, 0])
