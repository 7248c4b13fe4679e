"""Hidden-line views: a solid seen from one side, as a patent draughtsman inks it.

A line is drawn where two faces meet at an angle (crease) or where a surface turns away from the viewer (contour), and
only where no surface hides it: edges are sampled finely and compared with a depth buffer.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .outline import Flags, Floats, Ints, Shape
from .raster import dense, farthest, nearest, stamp

COARSE = 2  # the depth buffer has one cell for 2 x 2 pixels of ink
MARGIN = 8  # white pixels around a drawing


@dataclass(frozen=True)
class View:
    """Where the viewer stands: azimuth in degrees from the front towards the right side, elevation from level.

    `distance` is in lengths of the object: 0 means infinitely far, a parallel projection.
    """

    azimuth: float
    elevation: float
    distance: float = 0.0


FRONT, RIGHT, REAR, LEFT = View(0, 0), View(90, 0), View(180, 0), View(-90, 0)
TOP, BOTTOM = View(0, 90), View(0, -90)


@dataclass(frozen=True)
class Pen:
    """Line widths in pixels, and the dash of broken lines (inked, blank)."""

    line: float = 3.0
    contour: float = 4.0
    dash: tuple[float, float] = (22.0, 14.0)


@dataclass(frozen=True)
class Projection:
    """A shape as one viewer sees it: flat (p, 3) = right, down and away in mm; seen (t,) = faces the viewer."""

    shape: Shape
    flat: Floats
    seen: Flags

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in mm."""
        width, height = np.ptp(self.flat[:, :2], axis=0)
        return float(width), float(height)


def project(shape: Shape, view: View) -> Projection:
    """Look at a shape. Perspective is a projective map of space, so planes stay planes and depths stay in order."""
    az, el = np.radians(view.azimuth), np.radians(view.elevation)
    right = np.array([np.cos(az), np.sin(az), 0.0])
    towards = np.array([np.sin(az) * np.cos(el), -np.cos(az) * np.cos(el), np.sin(el)])
    up = np.cross(towards, right)
    low, high = shape.points.min(0), shape.points.max(0)
    local = (shape.points - (low + high) / 2) @ np.column_stack([right, -up, -towards])
    normals = shape.normals @ towards
    if view.distance <= 0:
        return Projection(shape, local, normals > 1e-6)
    eye = view.distance * float(np.linalg.norm(high - low))
    rays = (low + high) / 2 + eye * towards - shape.points[shape.triangles[:, 0]]
    seen = np.einsum("ij,ij->i", shape.normals, rays) > 1e-6 * eye
    return Projection(shape, local * (eye / (eye + local[:, 2:])), seen)


def ink(seen: Projection, scale: float, pen: Pen) -> NDArray[np.bool_]:
    """The drawing, True where black, at `scale` pixels per mm, cropped to the lines and a small margin."""
    low = seen.flat[:, :2].min(0)
    flat = np.column_stack([(seen.flat[:, :2] - low) * scale + MARGIN, seen.flat[:, 2] * scale])
    width, height = (int(np.ceil(v * scale)) + 2 * MARGIN + 1 for v in seen.size)
    cells = (-(-height // COARSE), -(-width // COARSE))
    corners = flat[seen.shape.triangles[seen.seen]] / [COARSE, COARSE, 1.0]
    behind = farthest(nearest(corners, *cells)) + 0.003 * float(np.ptp(flat, axis=0).max())
    facing = seen.seen[seen.shape.sides]
    contour = facing[:, 0] != facing[:, 1]
    inner = seen.shape.crease & facing.all(axis=1)
    strokes = []
    for edges, thickness in ((inner, pen.line), (contour, pen.contour)):
        for broken in (False, True):
            chosen = edges & (seen.shape.broken == broken)
            points = _visible(flat, seen.shape.edges[chosen], behind, pen.dash if broken else None)
            strokes.append((points, thickness))
    page = np.zeros((height, width), dtype=bool)
    kept = dense(np.vstack([points for points, _ in strokes]), height, width)
    for points, thickness in strokes:
        mine, kept = kept[: len(points)], kept[len(points) :]
        stamp(page, points[mine], thickness)
    return page


def _visible(flat: Floats, edges: Ints, behind: Floats, dash: tuple[float, float] | None) -> Floats:
    """The points (n, 2), a pixel apart, along the edges that nothing hides, and that a dash inks."""
    a, b = flat[edges[:, 0]], flat[edges[:, 1]]
    length = np.hypot(*(b - a)[:, :2].T)
    count = np.ceil(length).astype(np.int64) + 1
    edge = np.repeat(np.arange(len(edges)), count)
    step = np.arange(len(edge)) - (np.cumsum(count) - count)[edge]
    share = step / np.maximum(count[edge] - 1, 1)
    point = a[edge] + (b - a)[edge] * share[:, None]
    cell = (point[:, :2] / COARSE + 0.5).astype(np.int64)
    visible = point[:, 2] <= behind[cell[:, 1], cell[:, 0]]
    if dash is not None:
        start, sign = _run(edges, length)
        travelled = (start[edge] + sign[edge] * share * length[edge]) % sum(dash)
        visible &= travelled < dash[0]
    return np.asarray(point[visible, :2])


def _run(edges: Ints, length: Floats) -> tuple[Floats, Floats]:
    """How far along its chain each edge starts, and whether it runs with the chain (1) or against it (-1).

    Dashes must flow over the short edges of a tessellated curve, so edges that meet end to end are walked as one.
    """
    at: dict[int, list[int]] = {}
    for index, (a, b) in enumerate(edges.tolist()):
        at.setdefault(a, []).append(index)
        at.setdefault(b, []).append(index)
    start, sign, done = np.zeros(len(edges)), np.ones(len(edges)), np.zeros(len(edges), dtype=bool)
    ends = sorted(at, key=lambda point: (len(at[point]) == 2, point))
    for point in ends:
        for first in at[point]:
            here, index, travelled = point, first, 0.0
            while not done[index]:
                done[index] = True
                forward = edges[index, 0] == here
                sign[index] = 1.0 if forward else -1.0
                start[index] = travelled if forward else travelled + length[index]
                travelled += float(length[index])
                here = int(edges[index, 1] if forward else edges[index, 0])
                index = next((k for k in at[here] if not done[k]), index)
    return start, sign
