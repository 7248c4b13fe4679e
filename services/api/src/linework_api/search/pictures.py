"""The pictures of a query: they wait for the decoder without holding anything, and come apart into drawings."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest

from fastapi import Request, UploadFile

from linework_api.departures import while_connected
from linework_api.search.schemas import Crop, ImageForm, QueryPart
from linework_api.sheets.query import QueryPicture, read_picture
from linework_api.state import SearchResources
from linework_core.bounded import Box, Decoded, as_unreadable, result_of
from linework_core.errors import LineworkError, TooLarge, Unprocessable, UnreadableImage

MOST_DRAWINGS = 28  # of a query: seven sheets with four each


@dataclass(frozen=True, slots=True)
class QueryDrawings:
    """The drawings that are searched by, and where in the pictures each of them is."""

    decoded: list[Decoded]
    parts: list[QueryPart]


async def read_pictures(resources: SearchResources, request: Request, form: ImageForm, caller: str) -> QueryDrawings:
    """Decode a form's pictures, one after the other; a client who leaves is forgotten.

    Raises TooLarge, UnreadableImage, NothingDrawn and Unprocessable, and ClientDisconnect. An error of a picture tells
    its number in `image`.
    """
    asked = _asked(form)
    for number, (upload, _, _) in enumerate(asked, start=1):
        _check(upload, resources.settings.max_query_bytes, number)
    pixels = resources.settings.max_query_pixels
    pictures: list[QueryPicture] = []
    for number, (upload, page, crop) in enumerate(asked, start=1):
        whole = partial(_all_of, upload)
        options = (page, crop, _cuts(resources, form.split), pixels)
        future = resources.decoder.run(read_picture, whole, *options, caller=caller)
        try:
            with as_unreadable():
                pictures.append(await while_connected(request, asyncio.wrap_future(future)))
        except LineworkError as error:
            error.extra["image"] = number
            raise
        pixels -= pictures[-1].pixels
    return _together(pictures)


def read_one(resources: SearchResources, data: bytes, split: str, caller: str) -> QueryDrawings:
    """The drawings of a picture of a batch. Raises UnreadableImage, NothingDrawn, Unprocessable."""
    options = (1, None, _cuts(resources, split), resources.settings.max_query_pixels)
    return _together([result_of(resources.decoder.run(read_picture, data, *options, caller=caller))])


def _asked(form: ImageForm) -> list[tuple[UploadFile, int, Box | None]]:
    """Each picture with its page and crop. Raises Unprocessable."""
    if len(form.crop) > len(form.image) or len(form.page) > len(form.image):
        raise Unprocessable("There are more crops or pages than pictures.")
    crops = [Crop.parse(text) for text in form.crop]
    return [
        (image, page or 1, crop.box if crop else None)
        for image, page, crop in zip_longest(form.image, form.page, crops)
    ]


def _check(upload: UploadFile, most: int, number: int) -> None:
    if not upload.size:
        raise UnreadableImage("The picture is empty.", image=number)
    if upload.size > most:
        raise TooLarge(f"A picture may have {most:,} bytes.", image=number)


def _all_of(upload: UploadFile) -> bytes:
    upload.file.seek(0)
    return upload.file.read()


def _cuts(resources: SearchResources, split: str) -> bool:
    """Whether sheets are cut into drawings: those of the query as those of the corpus."""
    return split == "auto" and resources.settings.split_sheets


def _together(pictures: Sequence[QueryPicture]) -> QueryDrawings:
    drawings = [
        (drawing, QueryPart(
            image=number, box=drawing.box, label=f"FIG. {drawing.figure}" if drawing.figure else None,
            turned=drawing.turned, reason=picture.reason,
        ))
        for number, picture in enumerate(pictures, start=1)
        for drawing in picture.drawings
    ]  # fmt: skip
    if len(drawings) > MOST_DRAWINGS:
        detail = f"There are {len(drawings)} drawings on these sheets; a search takes {MOST_DRAWINGS}."
        raise Unprocessable(f"{detail} Name some by 'crop', or send 'split=no'.")
    return QueryDrawings([drawing.decoded for drawing, _ in drawings], [part for _, part in drawings])
