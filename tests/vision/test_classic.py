"""The papers' descriptors: what each claims to see and to overlook, checked against plain ways to compute it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageOps
from sklearn.mixture import GaussianMixture

from linework_vision import load
from linework_vision.classic import sift_fv
from linework_vision.classic.ahdh import Ahdh
from linework_vision.classic.dense_sift import dense_sift, with_mirrored
from linework_vision.classic.descriptor import Descriptor, make
from linework_vision.classic.lbp import Lbp, shares
from linework_vision.classic.sift_fv import Codebook, SiftFv, shipped
from linework_vision.classic.together import Classic
from linework_vision.classic.vishash import VisHash
from linework_vision.errors import BadSpec

NAMES = ["lbp", "ahdh", "vishash", "sift-fv", "classic"]
BLACK, WHITE = 0, 255


def vector(spec: str | Descriptor, drawing: Image.Image) -> np.ndarray:
    encoder = load(spec) if isinstance(spec, str) else make(spec)
    return encoder.encode_drawings([encoder.preprocess(drawing)])[0]


def alike(spec: str | Descriptor, one: Image.Image, other: Image.Image) -> float:
    return float(vector(spec, one) @ vector(spec, other))


def object_with(texture: str) -> Image.Image:
    """A disc full of dots, or of parallel lines."""
    picture = Image.new("L", (400, 400), WHITE)
    pen = ImageDraw.Draw(picture)
    for x in range(0, 400, 16):
        if texture == "lines":
            pen.line((x, 0, x, 400), fill=BLACK, width=2)
        else:
            for y in range(0, 400, 16):
                pen.ellipse((x, y, x + 5, y + 5), fill=BLACK)
    disc = Image.new("L", picture.size, 0)
    ImageDraw.Draw(disc).ellipse((40, 40, 360, 360), fill=255)
    return Image.composite(picture, Image.new("L", picture.size, WHITE), disc)


@pytest.mark.parametrize("name", NAMES)
def test_where_the_drawing_stands_on_its_page_hardly_matters(name, draw):
    part = draw(3).crop((40, 100, 260, 400))
    pages = []
    for place in ((30, 20), (200, 150)):
        page = Image.new("L", (500, 512), WHITE)
        page.paste(part, place)
        pages.append(page)
    assert alike(name, *pages) > 0.995


@pytest.mark.parametrize("name", NAMES)
def test_a_blank_drawing_is_near_to_no_other(name, draw):
    blank = vector(name, Image.new("L", (200, 300), WHITE))
    assert all(blank @ vector(name, draw(seed)) < 0.2 for seed in range(4))


@pytest.mark.parametrize("name", ["lbp", "ahdh", "classic"])
def test_where_features_are_not_negative_a_blank_drawing_is_opposite_to_all(name, draw):
    blank = vector(name, Image.new("L", (200, 300), WHITE))
    assert all(blank @ vector(name, draw(seed)) < 0 for seed in range(4))


@pytest.mark.parametrize("size", [(1, 1), (1, 512), (512, 2), (7, 7), (2000, 1500)])
@pytest.mark.parametrize("name", NAMES)
def test_specks_strips_and_large_pictures_have_vectors(name, size):
    picture = Image.new("L", size, WHITE)
    ImageDraw.Draw(picture).line((0, 0, size[0] - 1, size[1] - 1), fill=BLACK, width=2)
    found = vector(name, picture)
    assert np.isfinite(found).all()
    assert np.linalg.norm(found) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_descriptor_takes_no_options(name):
    for spec in (f"{name};side=64", f"{name}:other"):
        with pytest.raises(BadSpec):
            load(spec)


@pytest.mark.parametrize("name", NAMES)
def test_another_process_makes_the_same_vector_under_the_same_hash_without_torch(name, draw, tmp_path):
    draw(4).save(tmp_path / "drawing.png")
    code = (
        "import sys, numpy as np; from PIL import Image; from linework_vision import load\n"
        f"e = load({name!r}); v = e.encode_drawings([e.preprocess(Image.open({str(tmp_path / 'drawing.png')!r}))])\n"
        "assert 'torch' not in sys.modules; print(e.manifest.content_hash, v.astype('<f4').tobytes().hex())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert told[0] == load(name).manifest.content_hash
    other = np.frombuffer(bytes.fromhex(told[1]), dtype="<f4")
    assert other == pytest.approx(vector(name, draw(4)), abs=1e-6)


def test_each_parameter_of_a_descriptor_counts():
    changed = [Lbp(), Lbp(side=128), Lbp(margin=0.1), Lbp(circles=((8, 1),)), Lbp(version=2)]
    changed += [Ahdh(), Ahdh(levels=8), Ahdh(dense=3), Ahdh(version=2)]
    changed += [VisHash(), VisHash(grid=8), VisHash(ranks=2), VisHash(cut=0.05), VisHash(version=2)]
    changed += [SiftFv(), SiftFv(side=128), SiftFv(margin=0), SiftFv(cells=(4,)), SiftFv(step=9), SiftFv(version=2)]
    changed += [SiftFv(mirrors=True), Classic(), Classic(spreads=(1, 1, 1)), Classic(lbp=Lbp(side=128))]
    hashes = {make(descriptor).manifest.content_hash for descriptor in changed}
    assert len(hashes) == len(changed)


# local binary patterns


@pytest.mark.parametrize(("neighbours", "radius"), [(8, 1), (16, 2), (24, 3)])
def test_a_quarter_turn_leaves_local_binary_patterns_as_they_are(draw, neighbours, radius):
    ink = 255 - np.asarray(draw(5).filter(ImageFilter.GaussianBlur(1)))
    turned = np.ascontiguousarray(np.rot90(ink))
    assert shares(ink, neighbours, radius) == pytest.approx(shares(turned, neighbours, radius), abs=1e-6)


def test_a_quarter_turn_of_a_drawing_hardly_changes_its_vector(draw):
    assert alike("lbp", draw(5), draw(5).transpose(Image.Transpose.ROTATE_90)) > 0.98


def test_turned_by_any_angle_a_texture_is_nearer_to_itself_than_to_another():
    lines, dots = object_with("lines"), object_with("dots")
    turned = lines.rotate(33, resample=Image.Resampling.BICUBIC, fillcolor=WHITE)
    assert alike("lbp", lines, turned) > alike("lbp", lines, dots) + 0.02
    assert alike("lbp", dots, turned) < alike("lbp", dots, dots.rotate(33, fillcolor=WHITE))


def test_each_circle_gives_neighbours_plus_two_shares_that_sum_to_one(draw):
    found = Lbp().describe(draw(2)) ** 2
    assert found.size == 10 + 18 + 26
    assert [part.sum() for part in np.split(found, [10, 28])] == pytest.approx([1, 1, 1], abs=1e-5)


# adaptive hierarchical density histograms


def plainly(ink: np.ndarray, level: int, levels: int, dense: int, into: list[dict[int, float]], place: int = 0) -> None:
    """The paper's recursion, region by region: shares by place on the dense levels, counts of words on the others."""
    if level == levels or not ink.any():
        return
    row, column = (int(at.mean()) for at in np.nonzero(ink))
    parts = [ink[:row, :column], ink[:row, column:], ink[row:, :column], ink[row:, column:]]
    word = 0
    for number, part in enumerate(parts):
        if level < dense:
            into[level][4 * place + number] = part.sum() / ink.sum()
        word = 2 * word + int(part.sum() * ink.size >= ink.sum() * part.size)
    if level >= dense:
        into[level][word] = into[level].get(word, 0) + 1
    for number, part in enumerate(parts):
        plainly(part, level + 1, levels, dense, into, 4 * place + number)


def test_densities_and_words_are_those_of_the_plain_recursion(draw):
    drawing = draw(6, (90, 120))
    features = Ahdh(levels=6).describe(drawing)
    inked = np.asarray(drawing) < 128
    rows, columns = np.flatnonzero(inked.any(axis=1)), np.flatnonzero(inked.any(axis=0))
    expected: list[dict[int, float]] = [{} for _ in range(6)]
    plainly(inked[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 0, 6, 2, expected)
    assert features[:4] == pytest.approx([expected[0].get(place, 0) for place in range(4)])
    assert features[4:20] == pytest.approx([expected[1].get(place, 0) for place in range(16)])
    for level in range(2, 6):
        words, start = expected[level], 20 + 15 * (level - 2)
        assert 0 not in words
        regions = sum(words.values())
        assert features[start : start + 15] == pytest.approx([words.get(word, 0) / regions for word in range(1, 16)])


def test_the_first_densities_say_where_the_ink_is():
    drawing = Image.new("L", (100, 100), WHITE)
    drawing.paste(BLACK, (0, 0, 40, 40))
    drawing.paste(BLACK, (60, 80, 100, 100))
    assert Ahdh().describe(drawing)[:4] == pytest.approx([2 / 3, 0, 0, 1 / 3], abs=0.02)


def test_a_drawing_twice_as_large_has_nearly_the_same_densities(draw):
    drawing = draw(3, (200, 256))
    doubled = drawing.resize((400, 512), Image.Resampling.LANCZOS)
    assert alike("ahdh", drawing, doubled) > 0.97


# VisHash


def test_noise_and_scale_hardly_change_a_vishash(draw):
    drawing = draw(3, (400, 512))
    noise = np.random.default_rng(0).normal(0, 3, (512, 400))
    noisy = Image.fromarray(np.clip(np.asarray(drawing) + noise, 0, 255).astype(np.uint8))
    assert alike("vishash", drawing, noisy) > 0.9
    assert alike("vishash", drawing, drawing.resize((250, 320), Image.Resampling.LANCZOS)) > 0.9
    assert alike("vishash", drawing, draw(4, (400, 512))) < 0.7


def test_paler_lines_have_the_same_vishash(draw):
    drawing = draw(5)
    pale = drawing.point(lambda grey: 255 - (255 - grey) // 2)
    assert alike("vishash", drawing, pale) > 0.99


def test_a_vishash_ranks_the_differences_between_neighbouring_patches():
    greys = np.random.default_rng(1).integers(0, 256, (9, 9)).astype(np.uint8)
    ranks = VisHash(cut=0.0).describe(Image.fromarray(greys.repeat(20, axis=0).repeat(20, axis=1)))
    values = greys / 255.0
    differences = np.concatenate([np.diff(values, axis=1), np.diff(values, axis=0)], axis=None)
    assert ranks.size == 144
    assert set(np.unique(ranks)) <= {-3, -2, -1, 0, 1, 2, 3}
    assert np.corrcoef(ranks, differences)[0, 1] > 0.9
    assert [np.mean(np.abs(ranks) == rank) for rank in (1, 2, 3)] == pytest.approx([1 / 3] * 3, abs=0.02)


# SIFT Fisher vectors


def test_the_gradients_of_an_edge_are_all_in_one_direction():
    picture = np.zeros((32, 32), dtype=np.float32)
    picture[:, 16:] = 1
    (descriptor,) = dense_sift(picture, (8,), 8)
    by_direction = descriptor.reshape(16, 8).sum(axis=0)
    assert by_direction.argmax() == 0  # to the right, where it is brighter
    assert by_direction[1:] == pytest.approx(0, abs=1e-6)
    assert np.linalg.norm(descriptor) == pytest.approx(1, abs=1e-5)


def test_descriptors_move_with_the_drawing():
    dice = np.random.default_rng(2)
    picture = np.zeros((96, 96), dtype=np.float32)
    picture[32:64, 32:64] = dice.random((32, 32), dtype=np.float32)
    moved = np.roll(picture, (6, 12), axis=(0, 1))
    one, other = (np.sort(dense_sift(each, (4,), 6) @ dice_axis, axis=0) for each in (picture, moved)
                  for dice_axis in [np.linspace(-1, 1, 128)])  # fmt: skip
    assert one == pytest.approx(other, abs=1e-4)


def test_a_picture_without_changes_has_no_descriptors():
    assert dense_sift(np.ones((64, 64), dtype=np.float32), (4, 8), 6).shape == (0, 128)
    assert dense_sift(np.ones((5, 5), dtype=np.float32), (4, 8), 6).shape == (0, 128)


def test_a_patch_in_the_mirror_has_the_same_numbers_in_other_places():
    picture = np.random.default_rng(5).random((56, 56), dtype=np.float32)
    count = len(dense_sift(picture, (5,), 6))
    found = with_mirrored(dense_sift(picture, (5,), 6))
    views = [picture, picture[:, ::-1], picture[::-1], picture[::-1, ::-1]]
    for number, view in enumerate(views):
        seen, expected = found[number * count : (number + 1) * count], dense_sift(view, (5,), 6)
        order, other = (np.argsort(each @ np.linspace(-1, 1, 128)) for each in (seen, expected))
        assert seen[order] == pytest.approx(expected[other], abs=1e-4)


def test_with_mirrors_a_mirror_image_has_nearly_the_same_fisher_vector(draw):
    for mirrored in (ImageOps.mirror(draw(5)), ImageOps.flip(draw(5))):
        assert alike("sift-fv;mirrors=true", draw(5), mirrored) > 0.98
        assert alike("sift-fv", draw(5), mirrored) < 0.95


def test_a_codebook_read_back_is_the_mixture_that_was_learned(tmp_path):
    descriptors = np.random.default_rng(3).random((600, 128), dtype=np.float32)
    learned = Codebook.learn(descriptors, gaussians=3, dimension=8, seed=0)
    learned.write(tmp_path / "book")
    book = Codebook.read(tmp_path / "book")
    reduced = (descriptors - book.mean) @ book.axes.T
    theirs = GaussianMixture(3, covariance_type="diag", random_state=0, max_iter=200).fit(reduced.astype(np.float64))
    assert book.mixture().predict_proba(reduced) == pytest.approx(theirs.predict_proba(reduced), abs=1e-3)


def test_a_fisher_vector_is_the_papers_formula():
    dice = np.random.default_rng(4)
    descriptors = dice.random((50, 128), dtype=np.float32)
    book = Codebook.learn(dice.random((400, 128), dtype=np.float32), gaussians=2, dimension=3, seed=0)
    x = (descriptors - book.mean) @ book.axes.T
    logs = -0.5 * (((x[:, None] - book.means) ** 2 / book.variances) + np.log(book.variances)).sum(axis=2)
    shares = book.weights * np.exp(logs - logs.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    z = (x[:, None] - book.means) / np.sqrt(book.variances)
    roots = np.sqrt(book.weights)[:, None]
    by_mean = (shares[..., None] * z).mean(axis=0) / roots
    by_variance = (shares[..., None] * (z**2 - 1)).mean(axis=0) / (roots * np.sqrt(2))
    found = book.describe(descriptors)
    for part, expected in ((found[2:8], by_mean), (found[8:14], by_variance)):
        expected = np.sign(expected) * np.sqrt(np.abs(expected))
        direction = expected.reshape(-1) / np.linalg.norm(expected)
        assert abs(part @ direction) / np.linalg.norm(part) == pytest.approx(1, abs=1e-3)


def test_a_slight_blur_or_shift_hardly_changes_a_fisher_vector(draw):
    drawing = draw(3)
    blurred = drawing.filter(ImageFilter.GaussianBlur(0.7))
    assert alike("sift-fv", drawing, blurred) > alike("sift-fv", drawing, draw(2)) + 0.2


def test_the_codebook_is_small_and_part_of_the_identity(monkeypatch):
    file = Path(sift_fv.__file__).with_name(sift_fv.FILE)
    assert file.stat().st_size < 300_000
    before, arrays = make(SiftFv()).manifest, shipped().arrays()
    arrays["means"] = arrays["means"] + np.float32(1e-3)
    other = Codebook(**arrays)
    monkeypatch.setattr(sift_fv, "shipped", lambda: other)
    assert make(SiftFv()).manifest.content_hash != before.content_hash


# all together


def test_the_similarity_of_all_together_is_the_weighted_mean_of_theirs(draw):
    shares = 1 / np.array(Classic().spreads)
    parts = [alike(name, draw(2), draw(3)) for name in ("hog", "lbp", "sift-fv;mirrors=true")]
    assert alike("classic", draw(2), draw(3)) == pytest.approx(parts @ shares / shares.sum(), abs=1e-5)


def test_the_vectors_of_a_known_drawing_stay_what_they_are():
    """If this fails after an update of a library, the same encoder gives other vectors: raise the descriptor's
    `version`, so that it becomes another encoder."""
    drawing = Image.new("L", (200, 100), WHITE)
    drawing.paste(BLACK, (20, 30, 180, 34))
    drawing.paste(BLACK, (20, 30, 24, 90))
    for x in range(100):
        drawing.paste(BLACK, (30 + x, 35 + x // 2, 33 + x, 38 + x // 2))
    sums = {name: [float(part.sum()) for part in np.array_split(vector(name, drawing), 6)] for name in KNOWN}
    assert sums == {name: pytest.approx(known, abs=0.01) for name, known in KNOWN.items()}


KNOWN = {
    "lbp": [1.192, 0.647, 0.886, 0.542, 0.574, 0.815],
    "ahdh": [1.835, 0.550, 0.550, 0.370, 0.730, 0.734],
    "vishash": [0.552, 0.322, 0.598, 1.013, 0.092, -0.184],
    "sift-fv": [-0.858, -0.274, -0.162, 0.513, 2.773, 0.394],
}
