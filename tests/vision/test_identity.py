"""One encoder, one id: whatever changes its vectors changes its hash, and nothing else does."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from linework_core import imaging
from linework_vision import load
from linework_vision.hog import HogParameters, make_hog
from linework_vision.identity import digest_of, make_manifest, slug


def weights() -> dict[str, np.ndarray]:
    return {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.zeros(2, dtype=np.int64)}


def manifest(**changed):
    values = {
        "name": "net", "spec": "net", "dimension": 8, "precision": "fp32", "recipe": {"side": 64}, "weights": "00"
    }  # fmt: skip
    return make_manifest(**values | changed)


def test_the_order_of_weights_does_not_matter():
    assert digest_of(weights()) == digest_of(dict(reversed(weights().items())))


@given(st.sampled_from(["a", "b"]), st.integers(0, 5))
def test_one_changed_weight_makes_another_digest(name, position):
    changed = weights()
    flat = changed[name].reshape(-1)
    flat[position % flat.size] += 1
    assert digest_of(changed) != digest_of(weights())


@pytest.mark.parametrize("change", [lambda w: w.astype(np.float64), lambda w: w.reshape(3, 2)])
def test_type_and_shape_of_a_weight_count(change):
    changed = weights()
    changed["b"] = change(changed["b"])
    assert digest_of(changed) != digest_of(weights())


@pytest.mark.parametrize(
    "changed",
    [{"dimension": 9}, {"precision": "bf16"}, {"recipe": {"side": 65}}, {"weights": "01"}, {"has_text": True}],
)
def test_whatever_a_vector_depends_on_is_in_the_hash(changed):
    assert manifest(**changed).content_hash != manifest().content_hash


def test_another_derivative_recipe_makes_another_encoder(monkeypatch):
    before = manifest()
    monkeypatch.setattr(imaging, "RECIPE", "grey512-2")
    assert manifest().content_hash != before.content_hash


@pytest.mark.parametrize("changed", [{"name": "other"}, {"spec": "other"}])
def test_a_name_is_no_part_of_the_hash(changed):
    assert manifest(**changed).content_hash == manifest().content_hash


def test_the_id_is_a_readable_name_with_the_hash():
    found = manifest(name="timm ResNet.18 / a1")
    assert found.id == f"timm-resnet-18-a1-{found.content_hash[:12]}"
    assert slug("--A b--") == "a-b"


def test_each_parameter_of_hog_counts():
    changes = [{"side": 72}, {"margin": 0.2}, {"blur": 2.0}, {"orientations": 9}, {"cell": 8}, {"block_norm": "L1"}]
    changes += [{"mirrors": "none"}, {"version": 2}, {}]
    hashes = {make_hog(HogParameters(**change)).manifest.content_hash for change in changes}
    assert len(hashes) == len(changes)


def test_the_hash_is_the_same_in_another_process():
    code = "from linework_vision import load; import sys; sys.stdout.write(load('hog').manifest.content_hash)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert other == load("hog").manifest.content_hash


def test_random_weights_are_told_apart_by_their_seed():
    one, again, other = (
        load(f"timm:test_resnet;pretrained=false;seed={seed}").manifest.content_hash for seed in (1, 1, 2)
    )
    assert one == again != other
