"""The channel: messages arrive whole and in order, however the socket cuts them."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.engine.channel import Channel, Message

MESSAGES = st.lists(
    st.dictionaries(st.text(max_size=5), st.text(max_size=30) | st.integers(), max_size=3),
    max_size=10,
)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def everything(channel: Channel) -> list[Message]:
    messages = []
    try:
        while True:
            messages += channel.receive()
    except EOFError:
        return messages


@given(messages=MESSAGES)
def test_what_is_received_is_what_was_sent(messages):
    ours, theirs = socket.socketpair()
    sender, receiver = Channel(ours), Channel(theirs)

    for message in messages:
        sender.send(message)
    sender.close()

    assert everything(receiver) == messages
    receiver.close()


@given(messages=MESSAGES, piece=st.integers(1, 20))
def test_it_does_not_matter_where_the_stream_is_cut(messages, piece):
    stream = b"".join(
        struct.pack("!I", len(encoded)) + encoded
        for encoded in (json.dumps(message).encode() for message in messages)
    )
    ours, theirs = socket.socketpair()
    receiver = Channel(theirs)

    received = []
    for start in range(0, len(stream), piece):
        ours.sendall(stream[start : start + piece])
        received += receiver.receive()
    ours.close()

    assert received == messages
    receiver.close()


def test_a_full_socket_keeps_the_rest_for_later(ends):
    ours, theirs = ends
    ours.setblocking(False)
    sender, receiver = Channel(ours), Channel(theirs)
    messages = [{"text": "x" * 10_000, "number": number} for number in range(100)]

    for message in messages:
        sender.send(message)
    assert sender.has_unsent
    received = []
    while len(received) < len(messages):
        received += receiver.receive()
        sender.flush()

    assert received == messages
    assert not sender.has_unsent


def test_nothing_to_read_is_told_by_a_socket_that_does_not_block(ends):
    ends[0].setblocking(False)

    with pytest.raises(BlockingIOError):
        Channel(ends[0]).receive()


def test_an_end_that_is_gone_is_told_to_the_reader_and_not_to_the_writer(ends):
    ours, theirs = ends
    channel = Channel(ours)
    theirs.close()

    channel.send({"lost": True})
    channel.send({"lost": True})

    with pytest.raises(EOFError):
        channel.receive()
