"""Where models may be loaded from, and what their loaders get to see. The operator decides the first (MODEL_HUBS,
MODEL_ROOTS; both empty by default).

A model in a folder, or in a hub's repository, is a stranger's. Its loader sees a copy with these files alone: the
configuration, read by an allow-list (model_configs.py) and written anew; the weights; the data of a tokenizer. So no
Python beside them can run, and the configuration names no other file, no other repository, and no code. A tokenizer's
own configuration is handed on as it is: what it may name lies in no copy, and `trust_remote_code` is False.
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from linework_core.errors import LineworkError
from linework_core.settings import ModelHub, get_settings
from linework_vision.errors import BadSpec, ModelNotAllowed, WeightsUnavailable

LOCAL, HUB = "local-dir:", "hf-hub:"
MAX_CONFIG_BYTES = 2**20
WEIGHTS = (
    "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors",
    "open_clip_pytorch_model.bin", "open_clip_pytorch_model.pth", "pytorch_model.bin", "pytorch_model.pth", "model.pth",
)  # fmt: skip
TOKENIZER = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "vocab.json", "vocab.txt", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model",
)  # fmt: skip


def check_hub(hub: ModelHub) -> None:
    """Raises ModelNotAllowed unless the operator lets models of this hub in."""
    if hub not in get_settings().model_hubs:
        raise ModelNotAllowed(f"Models of hubs are loaded only where the setting MODEL_HUBS names '{hub}'.")


def allowed_path(name: str | Path) -> Path:
    """The file or folder of that name, links resolved. Raises ModelNotAllowed.

    What is missing and what lies outside MODEL_ROOTS is answered alike: the answer tells nobody which files there are.
    """
    try:
        path = Path(name).resolve(strict=True)
        roots = [root.resolve() for root in get_settings().model_roots]
    except (OSError, RuntimeError, ValueError):
        path, roots = Path(), []
    if not any(path.is_relative_to(root) for root in roots):
        raise ModelNotAllowed(f"'{name}' is no file or folder under MODEL_ROOTS, from where alone models are loaded.")
    return path


@contextmanager
def checked_copy(source: str, config: str, schema: type[BaseModel]) -> Iterator[Path]:
    """The folder that a loader may read in place of `source` ('local-dir:/folder' or 'hf-hub:ORG/NAME'), for as long as
    it loads. `config` is the name of its configuration, which `schema` takes apart.

    Raises ModelNotAllowed, WeightsUnavailable where the hub does not answer, BadSpec for a wrong configuration.
    """
    if source.startswith(HUB):
        check_hub("hf-hub")
        folder = _downloaded(source.removeprefix(HUB), (config, *WEIGHTS, *TOKENIZER))
        resolve: Callable[[Path], Path] = Path.resolve  # the cache is made of links
    else:
        folder, resolve = allowed_path(source.removeprefix(LOCAL)), allowed_path
    with tempfile.TemporaryDirectory(prefix="linework-model-") as made:
        copy = Path(made)
        configuration = read_config(resolve(folder / config), schema)
        (copy / config).write_text(json.dumps(configuration))
        for name in (*WEIGHTS, *TOKENIZER):
            if (folder / name).is_file():
                (copy / name).symlink_to(resolve(folder / name))
        yield copy


def read_config(file: Path, schema: type[BaseModel]) -> dict[str, Any]:
    """The members of a configuration that are set, each known and within its bounds. Raises BadSpec."""
    try:
        with file.open("rb") as content:
            config = schema.model_validate_json(content.read(MAX_CONFIG_BYTES))
    except OSError:
        raise BadSpec(f"The model has no configuration '{file.name}' that can be read.") from None
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"]) or "configuration"
        raise BadSpec(f"The model's {file.name} is not taken: {place}: {first['msg']}") from None
    return config.model_dump(mode="json", exclude_unset=True)


def _downloaded(repository: str, names: tuple[str, ...]) -> Path:
    """The hub's cache of these files of 'ORG/NAME' or 'ORG/NAME@REVISION'; other files are not even fetched."""
    import huggingface_hub

    name, _, revision = repository.partition("@")
    try:
        return Path(huggingface_hub.snapshot_download(name, revision=revision or None, allow_patterns=list(names)))
    except Exception as error:  # the hub's client raises errors of several libraries
        raise could_not_be_loaded(repository, error) from error


def could_not_be_loaded(name: str, error: Exception, example: str = "") -> LineworkError:
    """The error that a library's error becomes; errors of our own stay as they are."""
    if isinstance(error, LineworkError):
        return error
    lines = str(error).strip().splitlines() or [type(error).__name__]
    hint = f" and name it: {example}" if example else " under MODEL_ROOTS."
    return WeightsUnavailable(
        f"The weights of '{name}' could not be loaded: {lines[0][:300].rstrip('.')}."
        f" If no model hub can be reached from here, copy the file to this machine{hint}"
    )
