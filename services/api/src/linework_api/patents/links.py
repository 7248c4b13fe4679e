"""Where a drawing's pictures are."""


def picture_links(drawing_id: str, added_in: int) -> dict[str, str]:
    """`image` and `thumbnail` of one version of a drawing: they stay what they are when another takes its place."""
    picture = f"/drawings/{drawing_id}/image?snapshot={added_in}"
    return {"image": picture, "thumbnail": f"{picture}&size=128"}
