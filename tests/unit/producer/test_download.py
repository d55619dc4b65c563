"""A file arrives whole and proven, or not at all; what has come of it is not fetched twice."""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producer import download
from producer.download import Download
from producer.errors import DownloadFailed
from producer.published import PublishedFile
from tests.unit.producer.file_server import FileServer, serving

CONTENT = bytes(range(256)) * 40
NAME = "model.pth"
FILE = PublishedFile(NAME, len(CONTENT), hashlib.sha256(CONTENT).hexdigest())


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    """Nobody waits between two tries, and pieces are small."""
    monkeypatch.setattr(download, "PAUSES_S", (0.0, 0.0))
    monkeypatch.setattr(download, "_PIECE_BYTES", 1000)


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as state:
        state.files["/model.pth"] = CONTENT
        yield state


@pytest.fixture
def fetch(server, tmp_path) -> Callable[[], None]:
    return Download(f"{server.url}/{NAME}", FILE, tmp_path, lambda held: None).run


def test_a_file_arrives_under_its_name_and_nothing_else_is_left(fetch, tmp_path, server):
    fetch()

    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert [file.name for file in tmp_path.iterdir()] == [NAME]
    assert server.ranges == [None]


def test_a_connection_that_is_cut_goes_on_where_it_was(fetch, tmp_path, server):
    server.cuts = [3000, 2500]

    fetch()

    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=3000-", "bytes=5500-"]


def test_a_download_that_was_interrupted_goes_on_in_another_process(fetch, tmp_path, server):
    FILE.part(tmp_path).write_bytes(CONTENT[:4321])

    fetch()

    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert server.ranges == ["bytes=4321-"]


def test_a_server_that_goes_away_leaves_what_has_come_for_the_next_time(fetch, tmp_path, server):
    server.cuts = [3000, 0, 0, 0]

    with pytest.raises(DownloadFailed, match=r"model\.pth: .* cannot be reached"):
        fetch()

    assert FILE.part(tmp_path).read_bytes() == CONTENT[:3000]
    assert not (tmp_path / NAME).exists()
    fetch()
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert server.ranges[-1] == "bytes=3000-"


@pytest.mark.parametrize("says_length", [True, False])
def test_a_server_that_knows_no_ranges_is_read_from_the_beginning(
    fetch, tmp_path, server, says_length
):
    server.knows_ranges, server.says_length = False, says_length
    FILE.part(tmp_path).write_bytes(b"x" * 4321)

    fetch()

    assert (tmp_path / NAME).read_bytes() == CONTENT


def test_an_answer_with_another_part_is_not_taken_for_the_one_asked_for(fetch, tmp_path, server):
    server.shift_bytes = 7
    FILE.part(tmp_path).write_bytes(CONTENT[:100])

    fetch()

    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert server.ranges == ["bytes=100-", None]


def test_a_part_that_is_wrong_is_dropped_and_the_file_fetched_anew(fetch, tmp_path, server):
    FILE.part(tmp_path).write_bytes(b"x" * 5000)

    fetch()

    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert server.ranges == ["bytes=5000-", None]


@pytest.mark.parametrize("held", [0, 5000, len(CONTENT), len(CONTENT) + 1])
def test_a_file_with_another_hash_never_gets_the_name(fetch, tmp_path, server, held):
    server.files["/model.pth"] = CONTENT[:-1] + b"!"
    FILE.part(tmp_path).write_bytes(b"x" * held)

    with pytest.raises(DownloadFailed, match="another file than the published one"):
        fetch()

    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("says_length", [True, False])
@pytest.mark.parametrize("change", [b"", CONTENT + b"!"])
def test_a_file_of_another_length_never_gets_the_name(fetch, tmp_path, server, change, says_length):
    server.files["/model.pth"], server.says_length = change, says_length

    with pytest.raises(DownloadFailed):
        fetch()

    assert not (tmp_path / NAME).exists()


def test_the_length_is_looked_at_before_anything_is_read(fetch, tmp_path, server):
    server.files["/model.pth"] = CONTENT * 2

    with pytest.raises(DownloadFailed, match=r"has 20,480 bytes, the published file has 10,240"):
        fetch()

    assert FILE.part(tmp_path).stat().st_size == 0


def test_a_server_that_stumbles_is_asked_again(fetch, tmp_path, server):
    server.refusals = [503, 429]

    fetch()

    assert (tmp_path / NAME).read_bytes() == CONTENT


@pytest.mark.parametrize(("status", "asked"), [(404, 1), (403, 1), (500, 3)])
def test_a_refusal_is_told_with_its_address_and_number(fetch, server, status, asked):
    server.refusals = [status] * 3

    with pytest.raises(DownloadFailed, match=f"{server.url}/model.pth .*answers {status}"):
        fetch()

    assert len(server.asked) == asked


def test_a_range_beyond_the_end_begins_anew(fetch, tmp_path, server):
    FILE.part(tmp_path).write_bytes(CONTENT[:100])
    server.refusals = [416]

    fetch()

    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert server.ranges == ["bytes=100-", None]


def test_without_a_network_it_is_said_what_cannot_be_reached(tmp_path):
    # Given a port that was just free
    with serving() as gone:
        url = gone.url

    with pytest.raises(DownloadFailed, match=r"cannot be reached: .*refused"):
        Download(url, FILE, tmp_path, lambda held: None).run()


def test_two_processes_never_fetch_the_same_file_at_once(fetch, tmp_path, server):
    with FILE.part(tmp_path).open("a+b") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        with pytest.raises(DownloadFailed, match="by another process"):
            fetch()

    assert not server.asked


def test_a_disk_that_is_full_is_told(fetch, tmp_path):
    FILE.part(tmp_path).symlink_to("/dev/full")

    with pytest.raises(DownloadFailed, match="No space left"):
        fetch()


def test_it_is_told_how_much_has_come(server, tmp_path):
    told: list[int] = []
    server.cuts = [2500]

    Download(f"{server.url}/{NAME}", FILE, tmp_path, told.append).run()

    assert told == sorted(told)
    assert told[-1] == len(CONTENT)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    held=st.integers(0, len(CONTENT)),
    cuts=st.lists(st.integers(1, 6000), max_size=6),
    knows_ranges=st.booleans(),
    says_length=st.booleans(),
)
def test_whatever_is_cut_the_file_is_right_or_not_there(
    server, tmp_path_factory, held, cuts, knows_ranges, says_length
):
    directory = tmp_path_factory.mktemp("models")
    server.cuts, server.knows_ranges = list(cuts), knows_ranges
    server.says_length = says_length
    FILE.part(directory).write_bytes(CONTENT[:held])

    try:
        Download(f"{server.url}/{NAME}", FILE, directory, lambda held: None).run()
    except DownloadFailed:
        # Only a server that begins anew each time can bring nothing as often as is allowed.
        assert not knows_ranges
        assert not (directory / NAME).exists()
    else:
        assert (directory / NAME).read_bytes() == CONTENT
