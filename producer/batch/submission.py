"""A batch on its way in: looked through first, then written, and only then open to the farm."""

from __future__ import annotations

import getpass
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from ..assemble_job import AssembleJob
from ..errors import InvalidItem, InvalidJob
from ..job import SpeechJob
from .account import job_id_of, new_batch_id
from .book import book_job, words_of
from .cached import Cache
from .handle import Batch, batch_ledger
from .ledger import PIECE
from .reading import Item, items_of, open_source
from .record import Found, Record, Source
from .schedule import Schedule
from .survey import Survey, survey

if TYPE_CHECKING:
    from ..client import VoiceFarm

#: Longest name of a batch or of a client; longer ones are cut.
MAX_NAME_CHARS: Final = 64

#: What may be submitted: a path, or items as `submit_many` takes them, with `custom_id` if wanted.
Items = str | Path | Sequence[str | Mapping[str, Any]]


class Submission:
    """One batch before it is one. `survey` looks it through, `submit` queues it."""

    def __init__(
        self,
        farm: VoiceFarm,
        items: Items,
        *,
        fields: Mapping[str, Any],
        schedule: Schedule = Schedule(),  # noqa: B008  it is frozen
        skip_invalid: bool = False,
        client: str = "",
        name: str = "",
        assemble: Mapping[str, Any] | None = None,
    ) -> None:
        """`fields` hold for every item that does not say otherwise.

        `assemble` has the fields of the book that is made of the batch; None is no book.
        """
        self._assemble = assemble
        self._farm = farm
        path = Path(items) if isinstance(items, (str, Path)) else None
        self._source = open_source(path) if path else _in_memory(cast(Sequence[Any], items))
        self._fields = fields
        self.schedule = schedule
        self._skip_invalid = skip_invalid
        self._client = _shown(client or f"{getpass.getuser()}@{socket.gethostname()}")
        fallback = path.name if path else "batch"
        self._name = _shown(name or self._source.title or fallback)

    def survey(self) -> Survey:
        """Read all items once. Queues nothing; what is wrong is told in the answer."""
        self.schedule.check(time.time())
        return survey(self._items(), Cache(self._farm.voices(), self._farm.volumes))

    def submit(self) -> Batch:
        """Queue it, or raise `InvalidItem` for the first that is wrong: then nothing is queued.

        With `skip_invalid` a wrong item is kept as `failed`, so that every one has its answer.
        """
        self.schedule.check(time.time())
        if not self._skip_invalid:
            for item in self._items():
                if isinstance(item, InvalidItem):
                    raise item
        batch_id = new_batch_id()
        ledger = batch_ledger(self._farm)
        said = words_of(self._source, self._farm.volumes)
        book = self._book(batch_id, said)
        with self._farm.broker.reachable():
            ledger.open(batch_id, self._name, self._client, self.schedule, time.time(), said)
            try:
                written = self._write(batch_id)
                if book is not None:
                    ledger.ask_for_book(batch_id, book, time.time())
            except BaseException:
                ledger.discard(batch_id)
                raise
            ledger.complete(batch_id)
            self._farm.broker.confirm([job_id_of(batch_id, written - 1)])
        return Batch(self._farm, batch_id)

    def _book(self, batch_id: str, said: Mapping[str, str]) -> AssembleJob | None:
        if self._assemble is None:
            return None
        return book_job(batch_id, self._name, said, self._assemble)

    def _write(self, batch_id: str) -> int:
        items, first = self._items(), 0
        while piece := list(islice(items, PIECE)):
            # The file may have changed since it was looked through.
            wrong = next((item for item in piece if isinstance(item, InvalidItem)), None)
            if wrong is not None and not self._skip_invalid:
                raise wrong
            batch_ledger(self._farm).write(batch_id, first, piece, time.time())
            first += len(piece)
        if not first:
            raise InvalidJob("items", "there is none")
        return first

    def _items(self) -> Iterator[Item | InvalidItem]:
        return items_of(self._source, self._fields, self._check)

    def _check(self, job: SpeechJob) -> None:
        self._farm.check(job)


def submission(farm: VoiceFarm, items: Items, how: Mapping[str, Any]) -> Submission:
    """Return the submission of a call: what is no word about the batch is one about its items."""
    words = ("schedule", "skip_invalid", "client", "name", "assemble")
    said = {word: how[word] for word in words if word in how}
    fields = {name: value for name, value in how.items() if name not in words}
    return Submission(farm, items, fields=fields, **said)


def _in_memory(items: Iterable[str | Mapping[str, Any]]) -> Source:
    """Return items of a program as a source; they are called by their places from 1 on."""
    held = list(items)

    def records() -> Iterator[Found]:
        for number, item in enumerate(held, start=1):
            fields = {"text": item} if isinstance(item, str) else dict(item)
            custom_id = str(fields.pop("custom_id", f"item-{number}"))
            yield Record(f"item {number}", custom_id, fields)

    return Source(records)


def _shown(name: str) -> str:
    """Return a name that may be shown anywhere: one line, not long."""
    return " ".join("".join(char for char in name if char.isprintable()).split())[:MAX_NAME_CHARS]
