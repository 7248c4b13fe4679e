"""Where a drawing's pictures are."""


def picture_links(drawing_id: str, added_in: int | None) -> dict[str, str]:
    """`image` and `thumbnail` of one version of a drawing: they stay what they are when another takes its place.

    With `added_in` None, of a drawing that was erased: they answer 410.
    """
    if added_in is None:
        return {"image": f"/drawings/{drawing_id}/image", "thumbnail": f"/drawings/{drawing_id}/image?size=128"}
    picture = f"/drawings/{drawing_id}/image?snapshot={added_in}"
    return {"image": picture, "thumbnail": f"{picture}&size=128"}
