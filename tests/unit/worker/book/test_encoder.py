"""A file of a book on its way."""

from __future__ import annotations

import numpy as np

from worker.book.encoder import BookEncoder


def test_a_wav_can_become_rf64_when_it_grows_beyond_4_gb(tmp_path):
    # given: a short one, as four gigabytes are too much to ask of a test
    path = tmp_path / "audio.wav"
    encoder = BookEncoder(path, "wav", 24_000, {})

    # when
    encoder.write(np.zeros(2_400, np.float32))
    encoder.close()

    # then: it keeps the room in which the 64-bit sizes are written (EBU Tech 3306)
    head = path.read_bytes()[:20]
    assert (head[:4], head[8:16]) == (b"RIFF", b"WAVEJUNK")
    assert int.from_bytes(head[16:20], "little") >= 28
