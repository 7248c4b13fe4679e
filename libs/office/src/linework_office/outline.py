"""What of a solid can become a line: its edges, with the faces that meet there."""

from dataclasses import dataclass

import numpy as np
from manifold3d import Error, Manifold
from numpy.typing import NDArray

CREASE = np.cos(np.radians(31.0))  # faces that meet at a sharper angle than this have a line between them

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Shape:
    """A closed mesh ready to be drawn from any side.

    points (p, 3) in mm; triangles (t, 3); normals (t, 3); edges (e, 2) as point indices; sides (e, 2) as the two
    triangles that meet; crease (e,): a line whenever it can be seen; broken (e,): drawn dashed (not claimed).
    """

    points: Floats
    triangles: Ints
    normals: Floats
    edges: Ints
    sides: Ints
    crease: Flags
    broken: Flags


def shape_of(claimed: Manifold, unclaimed: Manifold | None = None) -> Shape:
    """The mesh of a claimed solid and, dashed, of its environment; ValueError if a solid is empty or broken."""
    whole = _shape_of(claimed, broken=False)
    return whole if unclaimed is None else _both(whole, _shape_of(unclaimed, broken=True))


def _shape_of(solid: Manifold, broken: bool) -> Shape:
    if solid.status() != Error.NoError or solid.is_empty():
        raise ValueError(f"this solid cannot be drawn: {solid.status()}, {solid.num_tri()} triangles")
    mesh = solid.to_mesh64()
    points = np.asarray(mesh.vert_properties, dtype=float)[:, :3]
    triangles = np.asarray(mesh.tri_verts, dtype=np.int64)
    normals = _face_normals(points, triangles, _faces(mesh, len(triangles)))
    edges, sides = _edges(triangles)
    crease = np.einsum("ij,ij->i", normals[sides[:, 0]], normals[sides[:, 1]]) < CREASE
    return Shape(points, triangles, normals, edges, sides, crease, np.full(len(edges), broken))


def _faces(mesh: object, count: int) -> Ints:
    """A number per triangle that coplanar triangles of one original face share."""
    runs = np.asarray(mesh.run_index, dtype=np.int64) // 3  # type: ignore[attr-defined]
    run = np.repeat(np.arange(len(runs) - 1), np.diff(runs))
    face = np.asarray(mesh.face_id, dtype=np.int64)  # type: ignore[attr-defined]
    keys = run * (int(face.max()) + 1) + face if len(face) == count else np.arange(count)
    return np.asarray(np.unique(keys, return_inverse=True)[1])


def _face_normals(points: Floats, triangles: Ints, faces: Ints) -> Floats:
    """Unit normals by face, not by triangle: the slivers that booleans leave have no normal worth trusting."""
    a, b, c = (points[triangles[:, k]] for k in range(3))
    area = np.cross(b - a, c - a)
    total = np.column_stack([np.bincount(faces, weights=area[:, k]) for k in range(3)])
    unit = total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)
    return np.asarray(unit[faces], dtype=float)


def _edges(triangles: Ints) -> tuple[Ints, Ints]:
    """Each edge once, with its two triangles: in a closed mesh every edge has exactly two."""
    half = triangles[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    owner = np.repeat(np.arange(len(triangles)), 3)
    half.sort(axis=1)
    order = np.lexsort((half[:, 1], half[:, 0]))
    return half[order][::2], np.column_stack([owner[order][::2], owner[order][1::2]])


def _both(one: Shape, other: Shape) -> Shape:
    shift, faces = len(one.points), len(one.triangles)
    return Shape(
        np.vstack([one.points, other.points]),
        np.vstack([one.triangles, other.triangles + shift]),
        np.vstack([one.normals, other.normals]),
        np.vstack([one.edges, other.edges + shift]),
        np.vstack([one.sides, other.sides + faces]),
        np.concatenate([one.crease, other.crease]),
        np.concatenate([one.broken, other.broken]),
    )
