"""What a model's own configuration may say: known members, each with its bounds; anything else is refused.

The members are those of open_clip's and timm's files that describe a network, an input and a tokenizer. Missing on
purpose is whatever names another file, repository or class: `hf_model_name`, `auto_map`, `url`, `file`, `custom_load`.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from linework_vision.pictures import Interpolation, Side

Count = Annotated[int, Field(ge=0, le=2**20)]
Width = Annotated[int, Field(ge=1, le=16_384)]
Depth = Annotated[int, Field(ge=1, le=200)]
Number = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Numbers = Annotated[tuple[Number, ...], Field(min_length=1, max_length=4)]
Word = Annotated[str, Field(max_length=200, pattern=r"^[\w.-]*$")]
Note = Annotated[str, Field(max_length=10_000)]


class Known(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ActKwargs(Known):
    approximate: Literal["tanh", "none"]


class NormKwargs(Known):
    eps: Number


class Tower(Known):
    """What both towers of a CLIP model have."""

    width: Width = 1
    mlp_ratio: Number = 4
    ls_init_value: Number | None = None
    final_ln_after_pool: bool = False
    pool_type: Word = ""
    output_tokens: bool = False
    act_kwargs: ActKwargs | None = None
    norm_kwargs: NormKwargs | None = None
    block_type: Literal["default", "custom"] | None = None
    qk_norm: bool = False
    scaled_cosine_attn: bool = False
    scale_heads: bool = False
    scale_attn_inner: bool = False
    scale_attn: bool = False
    scale_fc: bool = False


class Vision(Tower):
    layers: Depth | tuple[Depth, Depth, Depth, Depth] = 1
    head_width: Width = 1
    patch_size: Side = 16
    image_size: Side | tuple[Side, Side] = 224
    patch_dropout: Number = 0
    attentional_pool: bool | Literal["parallel", "cascade"] = False
    attn_pooler_queries: Width = 1
    attn_pooler_heads: Width = 1
    no_ln_pre: bool = False
    pos_embed_type: Word = ""
    timm_model_name: Word | None = None
    timm_model_pretrained: bool = False
    timm_pool: Word = ""
    timm_proj: Word | None = None
    timm_proj_bias: bool = False
    timm_drop: Number = 0
    timm_drop_path: Number | None = None


class TokenizerKwargs(Known):
    clean: Word = ""
    strip_sep_token: bool = False


class Text(Tower):
    """`hf_tokenizer_name` says only that the folder holds a tokenizer of Hugging Face; its value is not followed."""

    layers: Depth = 1
    heads: Width = 1
    context_length: Annotated[int, Field(ge=1, le=4096)] = 77
    vocab_size: Count = 0
    hf_tokenizer_name: Note | None = None
    tokenizer_mode: Literal["clips"] | None = None
    tokenizer_kwargs: TokenizerKwargs | None = None
    embed_cls: bool = False
    pad_id: Count = 0
    eos_id: Count = 0
    no_causal_mask: bool = False
    proj_bias: bool = False
    proj_type: Literal["linear", "none"] = "linear"


class Multimodal(Text):
    dim_head: Width = 1
    n_queries: Width = 1
    attn_pooler_heads: Width = 1


class ClipModel(Known):
    embed_dim: Annotated[int, Field(ge=1, le=4000)]
    vision_cfg: Vision
    text_cfg: Text
    multimodal_cfg: Multimodal | None = None
    custom_text: bool = False
    quick_gelu: bool = False
    init_logit_scale: Number = 0
    init_logit_bias: Number | None = None
    nonscalar_logit_scale: bool = False


class ClipPreprocess(Known):
    size: Side | tuple[Side, Side] = 224
    mode: Literal["RGB"] = "RGB"
    mean: Numbers = (0,)
    std: Numbers = (1,)
    interpolation: Interpolation = "bicubic"
    resize_mode: Word = ""
    fill_color: Count = 0


class ClipFile(Known):
    """open_clip_config.json"""

    model_cfg: ClipModel
    preprocess_cfg: ClipPreprocess = ClipPreprocess()


Shape = tuple[Annotated[int, Field(ge=1, le=4)], Side, Side]
Labels = Annotated[tuple[Note, ...], Field(max_length=100_000)]


class TimmPretrained(Known):
    tag: Word | None = None
    architecture: Word | None = None
    custom_load: Literal[False] = False
    input_size: Shape = (3, 224, 224)
    test_input_size: Shape | None = None
    min_input_size: Shape | None = None
    fixed_input_size: bool = False
    interpolation: Interpolation = "bicubic"
    crop_pct: Number = 1
    test_crop_pct: Number | None = None
    crop_mode: Word = ""
    mean: Numbers = (0,)
    std: Numbers = (1,)
    num_classes: Count = 0
    label_offset: Count | None = None
    pool_size: Annotated[tuple[Count, ...], Field(max_length=2)] | None = None
    test_pool_size: Annotated[tuple[Count, ...], Field(max_length=2)] | None = None
    first_conv: Word | Annotated[tuple[Word, ...], Field(max_length=10)] | None = None
    classifier: Word | Annotated[tuple[Word, ...], Field(max_length=10)] | None = None
    license: Note | None = None
    description: Note | None = None
    origin_url: Note | None = None
    paper_name: Note | None = None
    paper_ids: Note | Labels | None = None
    notes: Labels | None = None


class TimmArguments(Known):
    img_size: Side | tuple[Side, Side] | None = None
    dynamic_img_size: bool = False
    global_pool: Word = ""


class TimmFile(Known):
    """timm's config.json"""

    architecture: Word
    num_classes: Count = 0
    num_features: Count | None = None
    global_pool: Word = ""
    label_names: Labels | None = None
    label_descriptions: dict[Note, Note] | None = None
    model_args: TimmArguments = TimmArguments()
    pretrained_cfg: TimmPretrained
