"""A contact sheet of augmented drawings: `python benchmarks/augmentations.py FOLDER_OF_PICTURES OUT.png`.

Left the drawing as it is, then seven variants by the settings' defaults, then each step alone at full strength.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from linework_core.recipes import Augmentation
from linework_trainer.augment import Augment
from linework_vision.pictures import fit_on_white

SIDE, ROWS, VARIANTS = 128, 6, 7
NOTHING = dict.fromkeys(("horizontal_flip", "line_width", "rotation", "erasing", "grid_mask"), 0.0)
ALONE = [
    {"line_width": 1.0},
    {"rotation": 15.0},
    {"smallest_crop": 0.5},
    {"erasing": 1.0},
    {"grid_mask": 1.0},
]


def main(folder: Path, out: Path) -> None:
    files = sorted(folder.rglob("*.png"))
    chosen = [files[i * len(files) // ROWS] for i in range(ROWS)]
    usual = Augment(Augmentation(), SIDE, SIDE)
    alone = [
        Augment(Augmentation(**{"smallest_crop": 1.0, "crop_stretch": 1.0, **NOTHING, **one}), SIDE, SIDE)
        for one in ALONE
    ]
    rows = []
    for row, file in enumerate(chosen):
        with Image.open(file) as picture:
            greys = np.array(fit_on_white(picture.convert("L"), SIDE, SIDE, Image.Resampling.BICUBIC, margin=0.04))
        tiles = [greys, *(usual(greys, (row, i)) for i in range(VARIANTS)), *(one(greys, (row,)) for one in alone)]
        rows.append(np.hstack([np.pad(tile, 2, constant_values=160) for tile in tiles]))
    Image.fromarray(np.vstack(rows)).save(out, optimize=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
