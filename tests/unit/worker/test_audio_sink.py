"""What an encoder writes, seeks and tells: the sink is the file, written seldom."""

from __future__ import annotations

import hashlib
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.audio_sink import AudioSink

#: Where to write, counted from the end so far if it is None, and what.
writes = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(0, 60)), st.binary(max_size=40)), max_size=20
)


@settings(deadline=None)
@given(writes=writes, piece_bytes=st.sampled_from([0, 7, 100]), together=st.integers(1, 120))
def test_a_sink_is_the_file_that_was_written(
    writes: list[tuple[int | None, bytes]], piece_bytes: int, together: int
) -> None:
    plain = io.BytesIO()

    with tempfile.TemporaryDirectory() as home, pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker.audio_sink._PIECE_BYTES", piece_bytes)
        patch.setattr("worker.audio_sink.TOGETHER_BYTES", together)
        sink = AudioSink(Path(home, "file"))
        for place, data in writes:
            for file in (plain, sink):
                file.seek(*((0, 2) if place is None else (min(place, sink.size_bytes), 0)))
                file.write(data)
            assert sink.tell() == plain.tell()
        sha256 = sink.seal()
        sink.close()
        sink.check()

        assert sink.size_bytes == len(plain.getvalue())
        assert sha256 == hashlib.sha256(plain.getvalue()).hexdigest()
        if plain.getvalue():
            assert Path(home, "file").read_bytes() == plain.getvalue()


def test_what_was_given_in_long_pieces_is_not_changed_by_what_is_put_within(tmp_path):
    sink, given = AudioSink(tmp_path / "file"), memoryview(bytes(100_000))

    sink.write(given)
    sink.seek(4)
    sink.write(b"size")
    sink.close()

    assert bytes(given) == bytes(100_000)
    assert (tmp_path / "file").read_bytes()[:10] == b"\0\0\0\0size\0\0"


def test_a_full_disk_is_told_when_asked_and_nothing_more_is_tried(tmp_path):
    sink = AudioSink(Path("/dev/full"))

    assert sink.write(bytes(5 << 20)) == 5 << 20
    assert sink.write(b"more") == 4

    with pytest.raises(OSError, match="No space left"):
        sink.check()
