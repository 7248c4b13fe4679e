"""Specs: what they may say, and what is said back to a wrong one."""

import subprocess
import sys

import pytest

from linework_vision import load
from linework_vision.errors import BadSpec, ModelNotAllowed
from linework_vision.spec import Spec


def test_a_spec_has_prefix_name_and_options():
    spec = Spec.parse("timm:hf-hub:org/name.tag;seed=3;pretrained=false")
    assert (spec.prefix, spec.name) == ("timm", "hf-hub:org/name.tag")
    assert spec.options == {"seed": "3", "pretrained": "false"}


@pytest.mark.parametrize(
    "spec",
    [
        "", "resnet", "hog;side=64", "timm:no_such_model", "timm:", "timm:test_resnet;colour=red",
        "timm:test_resnet;seed=1", "timm:test_resnet;pretrained=no", "timm:test_resnet;pretrained=false;seed=-1",
        "timm:test_resnet;pretrained=false;pretrained=false", "timm:test_resnet;seed",
        "timm:test_resnet;pretrained=false;weights=/x", "open_clip:NoSuchModel/openai", "open_clip:ViT-B-32",
        "open_clip:ViT-B-32/openai;seed=1", "debug:0", "debug:5000", "debug:x", "checkpoint:/x;seed=1",
    ],
)  # fmt: skip
def test_a_wrong_spec_is_refused(spec):
    with pytest.raises(BadSpec):
        load(spec)


@pytest.mark.parametrize(
    "spec",
    [
        "/no/such/folder",
        "checkpoint:/no/such/folder",
        "timm:test_resnet;weights=/no/file",
        "open_clip:ViT-B-32//no/file",
    ],
)
def test_missing_weights_are_named(spec):
    with pytest.raises(ModelNotAllowed, match="/no/"):
        load(spec)


def test_an_unreachable_hub_is_told_with_what_to_do_instead(monkeypatch, tmp_path):
    """With the hub's own switch for machines that are offline, and an empty cache."""
    code = (
        "from linework_vision import load\n"
        "from linework_vision.errors import WeightsUnavailable\n"
        "for spec in ('timm:test_resnet', 'open_clip:ViT-B-32/laion2b_s34b_b79k'):\n"
        "    try: load(spec)\n"
        "    except WeightsUnavailable as error: assert '/path/to/file' in str(error), error\n"
        "    else: raise SystemExit('loaded')\n"
    )
    env = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path), "PATH": "", "MODEL_HUBS": '["timm", "open_clip"]'}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(BadSpec, match="cuda:17"):
        load("timm:test_resnet;pretrained=false", device="cuda:17")


def test_hog_needs_no_torch():
    code = "import sys; from linework_vision import load; load('hog'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
