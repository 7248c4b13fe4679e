"""Packages of records and pictures, as DeepPatent2 has them."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any


def tar_of(records: list[dict[str, Any]], images: Path) -> bytes:
    """These records, and their pictures out of a tar of pictures."""
    pictures, packed = {record["subfigure_file"] for record in records}, io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as made, tarfile.open(images) as source:
        text = json.dumps(records).encode()
        listed = tarfile.TarInfo("records.json")
        listed.size = len(text)
        made.addfile(listed, io.BytesIO(text))
        for member in source:
            if member.name in pictures:
                made.addfile(member, source.extractfile(member))
    return packed.getvalue()
