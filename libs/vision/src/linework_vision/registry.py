"""From a spec to an encoder. A loader is imported only when its prefix is asked for: HOG needs no torch."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

from linework_core.settings import get_settings
from linework_vision.encoder import Encoder
from linework_vision.errors import BadSpec
from linework_vision.model_sources import allowed_path
from linework_vision.spec import Spec

Precision = Literal["fp32", "bf16"]
SHIPPED = Path(__file__).parent / "shipped"  # checkpoints that come with this package, by name
Loader = Callable[[Spec, str, Precision], Encoder]


def load(spec: str, *, device: str = "cpu", precision: Precision = "fp32") -> Encoder:
    """Load an encoder by its spec:

    - `linework-mini`: the network that is shipped with Linework, for drawings and texts
    - `hog`: histograms of oriented gradients; needs no weights
    - `lbp`, `ahdh`, `vishash`, `sift-fv[;mirrors=true]`: the papers' other descriptors; need none either
    - `classic`: the best of these together
    - `timm:NAME[;weights=/file][;image_size=N][;pretrained=false;seed=N]`
    - `open_clip:NAME/PRETRAINED`, a tag or a local file; `open_clip:local-dir:/folder`, `open_clip:hf-hub:ORG/NAME`
    - `checkpoint:/folder`, or just the folder: what Linework's trainer writes; `checkpoint:sha256:HEX`: the same
      out of the object store
    - `debug:DIMENSION`: for tests, with the setting DEBUG_ENCODERS

    Hubs and paths are subject to the settings MODEL_HUBS and MODEL_ROOTS (model_sources.py).

    Raises BadSpec, ModelNotAllowed, WeightsUnavailable.
    """
    parsed = Spec.parse(spec)
    prefixes = {prefix for prefix in _LOADERS if prefix != "debug" or get_settings().debug_encoders}
    loader = _LOADERS[parsed.prefix] if parsed.prefix in prefixes else None
    if loader is None and "/" in parsed.prefix:
        parsed = Spec.parse(f"checkpoint:{parsed.text}")
        loader = _load_checkpoint
    if loader is None:
        raise BadSpec(f"'{spec}' names no encoder. Known: {', '.join(sorted(prefixes))}, or a checkpoint's folder.")
    return loader(parsed, device, precision)


def register(prefix: str, loader: Loader) -> None:
    """Make `load` know another kind of encoder."""
    _LOADERS[prefix] = loader


def _load_hog(spec: Spec, device: str, precision: Precision) -> Encoder:
    from linework_vision.hog import load_hog

    return load_hog(spec)


def _load_classic(spec: Spec, device: str, precision: Precision) -> Encoder:
    from linework_vision.classic.loading import load_classic

    return load_classic(spec)


def _load_timm(spec: Spec, device: str, precision: Precision) -> Encoder:
    from linework_vision.timm_encoder import load_timm

    return load_timm(spec, device, precision)


def _load_open_clip(spec: Spec, device: str, precision: Precision) -> Encoder:
    from linework_vision.clip_encoder import load_open_clip

    return load_open_clip(spec, device, precision)


def _load_checkpoint(spec: Spec, device: str, precision: Precision) -> Encoder:
    from linework_vision.checkpoint import load_checkpoint
    from linework_vision.stored import STORED, fetch_checkpoint

    spec.allow(())
    folder = fetch_checkpoint(spec.name) if spec.name.startswith(STORED) else _allowed_checkpoint(spec.name)
    return load_checkpoint(replace(spec, name=str(folder)), device, precision)


def _allowed_checkpoint(name: str) -> Path:
    """The checkpoint's folder. Raises ModelNotAllowed, also where a link in it leads out of MODEL_ROOTS."""
    folder = allowed_path(name)
    for file in folder.iterdir() if folder.is_dir() else ():
        if file.is_symlink():
            allowed_path(file)
    return folder


def _load_shipped(spec: Spec, device: str, precision: Precision) -> Encoder:
    from linework_vision.checkpoint import load_checkpoint

    if spec.name:
        raise BadSpec(f"'{spec.prefix}' has one form; '{spec.name}' is none of its.")
    return load_checkpoint(replace(spec, name=str(SHIPPED / spec.prefix)), device, precision)


def _load_debug(spec: Spec, device: str, precision: Precision) -> Encoder:
    from linework_vision.debug import load_debug

    return load_debug(spec)


_LOADERS: dict[str, Loader] = {
    "linework-mini": _load_shipped,
    "hog": _load_hog,
    "lbp": _load_classic,
    "ahdh": _load_classic,
    "vishash": _load_classic,
    "sift-fv": _load_classic,
    "classic": _load_classic,
    "timm": _load_timm,
    "open_clip": _load_open_clip,
    "checkpoint": _load_checkpoint,
    "debug": _load_debug,
}
