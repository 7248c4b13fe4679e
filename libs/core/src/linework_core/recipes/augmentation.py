"""What may change about a drawing while it still shows the same design."""

from pydantic import BaseModel, ConfigDict, Field


class Augmentation(BaseModel):
    """What is done to a drawing, and how often. A probability of 0 (or 0 degrees, or a crop of 1) leaves it out."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    horizontal_flip: float = Field(0.5, ge=0, le=1, description="probability of mirroring left and right")
    vertical_flip: float = Field(0.0, ge=0, le=1, description="probability of mirroring top and bottom")
    line_width: float = Field(0.5, ge=0, le=1, description="probability that lines become thicker or thinner")
    rotation: float = Field(5.0, ge=0, le=180, description="largest angle in degrees, either way")
    smallest_crop: float = Field(0.7, gt=0, le=1, description="smallest share of the area that a crop keeps")
    crop_stretch: float = Field(1.1, ge=1, le=2, description="largest change of the proportions by a crop")
    erasing: float = Field(0.25, ge=0, le=1, description="probability that a rectangle is erased")
    grid_mask: float = Field(0.25, ge=0, le=1, description="probability that a grid of squares is erased")
    company: float = Field(0.0, ge=0, le=1, description="probability of another drawing of the patent on the sheet")
    label: float = Field(0.0, ge=0, le=1, description="probability of a printed label, such as 'FIG. 3'")
