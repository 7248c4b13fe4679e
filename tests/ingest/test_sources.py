import io
import os
from pathlib import Path

import obstore
import pytest
from obstore.store import LocalStore, MemoryStore

from linework_api.ingest.formats import read
from linework_api.ingest.sources import FileSource, StoredSource, in_store, resolve, walk
from linework_core.errors import BadRequest, Forbidden, LineworkError, NotFound
from linework_core.records import PatentRecord, Rejected
from tests.ingest.building import as_json, data_record, package, png, tarred, weekly, write, zipped


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with a file, a space in a folder's name, and something beside it that is nobody's business."""
    write(tmp_path, {"data/a b/x.txt": b"inside", "secret/x.txt": b"secret", "database/x.txt": b"near"})
    return tmp_path / "data"


def test_a_file_under_a_root_is_read(root: Path) -> None:
    source = resolve(f"{root.as_uri()}/a%20b/x.txt", [root.as_uri()])
    assert (source.name, source.is_folder) == ("x.txt", False)
    with source.open() as stream:
        assert stream.read(2) == b"in"
        assert stream.seek(-4, io.SEEK_END) == 2
        assert stream.read() == b"side"


def test_a_root_itself_may_be_read(root: Path) -> None:
    assert [child.name for child in resolve(root.as_uri(), [root.as_uri()]).children()] == ["a b"]


@pytest.mark.parametrize(
    ("uri", "error"),
    [
        ("http://example.org/I20210105.tar", BadRequest),
        ("https://example.org/I20210105.tar", BadRequest),
        ("ftp://example.org/x", BadRequest),
        ("{root}/a b/x.txt", BadRequest),  # a bare path
        ("file://example.org{root}/x", BadRequest),
        ("file://{root}/../secret/x.txt", BadRequest),
        ("file://{root}/%2e%2e/secret/x.txt", BadRequest),
        ("file://{root}/x.txt?y", BadRequest),
        ("file://{root}/x\0.txt", BadRequest),
        ("s3:///key", BadRequest),
        ("file:///etc/passwd", Forbidden),
        ("file://{above}/secret/x.txt", Forbidden),
        ("file://{above}/database/x.txt", Forbidden),
        ("file://{above}/secret/not-there", Forbidden),
        ("file://{root}/not-there", NotFound),
        ("s3://bucket/key", Forbidden),
    ],
)
def test_what_may_not_be_read_is_told(root: Path, uri: str, error: type[LineworkError]) -> None:
    with pytest.raises(error) as raised:
        resolve(uri.format(root=root, above=root.parent), [root.as_uri()])
    assert type(raised.value) is error


def test_without_roots_nothing_may_be_read(root: Path) -> None:
    with pytest.raises(Forbidden):
        resolve(root.as_uri(), [])


def test_a_person_at_the_shell_may_read_any_path(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    assert [resolve(path, None).name for path in ("a b/x.txt", "../secret/x.txt")] == ["x.txt", "x.txt"]
    assert resolve(root.as_uri(), None).is_folder
    with pytest.raises(BadRequest):
        resolve("http://example.org/x", None)


def test_links_that_leave_the_root_are_refused(root: Path) -> None:
    (root / "file").symlink_to(root.parent / "secret/x.txt")
    (root / "folder").symlink_to(root.parent / "secret")
    for name in ("file", "folder", "folder/x.txt"):
        with pytest.raises(Forbidden):
            resolve(f"{root.as_uri()}/{name}", [root.as_uri()])
    found = list(read(resolve(root.as_uri(), [root.as_uri()])))
    assert [(f.name, f.reason) for f in found if isinstance(f, Rejected)] == [
        ("file", "unreadable"), ("folder/", "unreadable"),
    ]  # fmt: skip


def test_links_within_the_root_are_followed_but_not_in_circles(root: Path) -> None:
    write(root, {"weeks/a.zip": zipped(package())})
    (root / "latest").symlink_to(root / "weeks")
    (root / "weeks/up").symlink_to(root)
    found = list(read(resolve(root.as_uri(), [root.as_uri()])))
    assert sum(isinstance(item, PatentRecord) for item in found) == 2
    assert {item.reason for item in found if isinstance(item, Rejected)} == {"unreadable"}


def test_a_link_to_itself_is_refused_and_the_rest_of_its_folder_is_read(root: Path) -> None:
    write(root, {"a.zip": zipped(package())})
    (root / "loop.tar").symlink_to(root / "loop.tar")
    (root / "there").symlink_to(root / "back")
    (root / "back").symlink_to(root / "there")
    for path in ("loop.tar", "there", "there/x.tar"):
        with pytest.raises(Forbidden):
            resolve(f"{root.as_uri()}/{path}", [root.as_uri()])
    found = list(read(resolve(root.as_uri(), [root.as_uri()])))
    assert sum(isinstance(item, PatentRecord) for item in found) == 1
    assert {item.name for item in found if isinstance(item, Rejected)} >= {"back", "loop.tar", "there"}


def test_pipes_and_devices_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(Forbidden):
            FileSource(path).open()


# ---- object stores ---------------------------------------------------------------------------------------


def test_an_object_is_read_as_a_stream(tmp_path: Path) -> None:
    store = MemoryStore()
    obstore.put(store, "week/I20210105.tar", weekly(["D0907292", "D0907293"]))
    found = list(read(StoredSource(store, "week/I20210105.tar")))
    assert [item.id for item in found if isinstance(item, PatentRecord)] == ["USD0907292", "USD0907293"]


def test_a_prefix_is_read_as_a_folder(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    write(tmp_path, {"in/b/a.zip": zipped(package("D0907292")), "in/a.zip": zipped(package("D0907293")), "c.zip": b""})
    write(tmp_path / "in", package("D0907294"))
    folder = StoredSource(store, "in", is_folder=True)
    assert [path for path, _ in walk(folder)][:2] == ["USD0907294-20210105/USD0907294-20210105-D00000.TIF",
                                                      "USD0907294-20210105/USD0907294-20210105-D00001.TIF"]  # fmt: skip
    ids = [item.id for item in read(folder) if isinstance(item, PatentRecord)]
    assert ids == ["USD0907294", "USD0907293", "USD0907292"]


def test_a_data_set_in_a_store_finds_its_images() -> None:
    store = MemoryStore()
    record = data_record()
    obstore.put(store, "in/data.json", as_json([record]).encode())
    obstore.put(store, "in/images.tar", tarred({record["subfigure_file"]: png()}))
    obstore.put(store, f"in/{record['figure_file']}", png(1))
    for source in (StoredSource(store, "in", is_folder=True), StoredSource(store, "in/data.json")):
        (found,) = read(source)
        assert isinstance(found, PatentRecord)
        assert len(found.drawings) == 1


def test_an_upload_goes_by_its_own_name_and_sees_no_other_upload() -> None:
    store = MemoryStore()
    obstore.put(store, "uploads/1", as_json([data_record()]).encode())
    obstore.put(store, f"uploads/{data_record()['subfigure_file']}", png())
    obstore.put(store, "uploads/2.tar", tarred({data_record()["subfigure_file"]: png()}))
    record, rejected = sorted(read(in_store(store, "uploads/1", "mine.json")), key=lambda item: type(item).__name__)
    assert isinstance(record, PatentRecord)
    assert record.drawings == ()
    assert isinstance(rejected, Rejected)
    assert (rejected.name, rejected.reason) == ("mine.json", "no-images")


def test_a_missing_object_is_not_found() -> None:
    with pytest.raises(NotFound):
        StoredSource(MemoryStore(), "x").open()
    assert StoredSource(MemoryStore(), "", is_folder=True).child("x") is None


def test_a_failing_store_is_no_fault_of_a_record(tmp_path: Path) -> None:
    others = {f"I20210105/UTIL/{n}.ZIP": os.urandom(1 << 20) for n in range(4)}
    tar = tarred({"I20210105/DESIGN/a.ZIP": zipped(package()), **others})
    path = write(tmp_path, {"week/I20210105.tar": tar}) / "week/I20210105.tar"
    reading = read(StoredSource(LocalStore(tmp_path), "week/I20210105.tar"))
    assert isinstance(next(reading), PatentRecord)
    path.unlink()
    with pytest.raises(NotFound):
        list(reading)
