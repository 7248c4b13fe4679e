"""A search's parameters are read at once, and as the framework itself would read them."""

from typing import Annotated

import pytest
from fastapi import Depends, FastAPI, Query
from fastapi.testclient import TestClient

from linework_api.queries import documented, from_query
from linework_api.search.schemas import StoredQuery

app = FastAPI()


@app.get("/ours", openapi_extra=documented(StoredQuery))
async def ours(query: Annotated[StoredQuery, Depends(from_query(StoredQuery))]) -> StoredQuery:
    return query


@app.get("/theirs")
async def theirs(query: Annotated[StoredQuery, Query()]) -> StoredQuery:
    return query


@pytest.mark.parametrize(
    "query",
    [
        "drawing=a",
        "patent=b&before=2019-05-01&after=2018-01-01&date_basis=filed",
        "q=lamp&locarno=14&locarno=02-14&office=US&view=front&exclude=x&exclude=y",
        "like=a&like=b&unlike=c&facets=locarno&facets=year&facets=view&limit=7&record=false&explain=1",
        "q=a&image_weight=0.2&text_weight=.8&mode=exact&group_by=patent&family=exclude",
        "",
        "drawing=a&patent=b",
        "drawing=",
        "drawing=a&before=1.5.2019&limit=0&mode=quick",
        "drawing=a&befor=2019-05-01",
        "drawing=a&locarno=%00",
        "drawing=a&locarno=",
        "q=a&image_weight=nan",
        "drawing=%ff&q=%C3%A9",
    ],
)
def test_a_query_is_taken_or_refused_as_the_framework_would(query: str) -> None:
    with TestClient(app) as client:
        mine, plain = client.get(f"/ours?{query}"), client.get(f"/theirs?{query}")
    assert mine.status_code == plain.status_code
    assert mine.json() == plain.json()


def test_the_parameters_are_documented_as_the_framework_would() -> None:
    paths = app.openapi()["paths"]
    assert paths["/ours"]["get"]["parameters"] == paths["/theirs"]["get"]["parameters"]
