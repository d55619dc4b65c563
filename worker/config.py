"""The worker's settings: one frozen object a process, read once from `VOICEFARM_*`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from producer.config import ProducerSettings


class WorkerSettings(ProducerSettings):
    """What one worker process needs to know, beside what a client knows."""

    engine: Literal["auto", "xtts", "espeak", "fake"] = Field(
        default="auto",
        description="The engine that speaks: `xtts` (XTTS-v2, with its files in `models/xtts`), "
        "`espeak` (real speech, no model files), `fake` (deterministic tones, for tests and "
        "measurements), or `auto`: `xtts` where its files are, else `espeak`.",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where `xtts` and RVC run; `auto` is a GPU if there is one."
    )
    gpu: str = Field(
        default="",
        description="UUID of the GPU of this worker, which is all that its engine's process sees. "
        "`voicefarm up` sets it.",
    )
    precision: Literal["auto", "fp32", "fp16", "bf16"] = Field(
        default="auto",
        description="How exactly `xtts` computes. `auto`: `fp32` on a processor, on a GPU `bf16`, "
        "or `fp16` where that is not to be had. RVC takes `fp16` on a GPU unless this is `fp32`.",
    )
    mode: Literal["invariant", "latency"] = Field(
        default="invariant",
        description="How `xtts` batches. `invariant`: a take has the same samples whatever is "
        "spoken beside it. `latency`: few rows are faster.",
    )
    guard: bool = Field(
        default=True,
        description="Whether `xtts` takes a chunk again, twice at most, when its length does not "
        "fit its text.",
    )
    rvc: bool = Field(
        default=True,
        description="Whether voices are converted with RVC, where `models/rvc` is.",
    )
    rvc_voices_mb: int | None = Field(
        default=None,
        ge=1,
        description="Memory that loaded RVC voices may take on the device, in MB. Unset: a fifth "
        "of what is free when the worker starts, at most 16,000.",
    )
    engine_process: Literal["auto", "own", "inline"] = Field(
        default="auto",
        description="Where the engine runs: in a process of its `own`, `inline` in the Celery "
        "process, or as the engine needs it (`auto`).",
    )
    pinned: bool = Field(
        default=True,
        description="Whether the Celery process keeps to one processor, which no other worker of "
        "the farm on this machine has: its threads take turns anyhow, and there a job costs a "
        "quarter to a third less. Engine, presses and encoders use all.",
    )
    slots: int | None = Field(
        default=None, ge=1, le=4096, description="Rows of the batch. Unset: the engine's choice."
    )
    interactive_share: float = Field(
        default=0.1, ge=0, lt=1, description="Share of the slots that batch work never takes."
    )
    awaited_share: float = Field(
        default=0.125,
        gt=0,
        le=1,
        description="Share of the slots to which batch work keeps while somebody waits for speech: "
        "fewer rows are spoken faster. 1 is no limit.",
    )
    threads: int = Field(
        # More than the slots of any GPU: what limits a worker is its engine.
        default=1024,
        ge=1,
        le=4096,
        description="Jobs in hand at most, if neither `--concurrency` nor `--autoscale` says "
        "so. A thread only waits for the engine, and is started when it is needed.",
    )
    idle_thread_s: float = Field(
        default=30.0, gt=0, description="Seconds without work after which `--autoscale` shrinks."
    )
    drain_s: float = Field(
        default=60.0, ge=0, description="Seconds that running jobs get to finish at a warm stop."
    )
    time_limit_s: float | None = Field(
        default=None,
        gt=0,
        description="Seconds that one job may run; then it fails as `time_limit`. Unset: as long "
        "as it likes. Celery's `--time-limit` and `time_limit` of a message count too.",
    )
    lease_s: float = Field(
        default=90.0,
        ge=3,
        description="Seconds after which the jobs of a lost worker run again; the same on every "
        "worker. A job may take as long as it likes.",
    )
    hang_s: float = Field(
        default=120.0,
        gt=0,
        description="Seconds without a step, while work waits, after which an engine process "
        "is replaced.",
    )
    remote_control: Literal["all", "inspect"] = Field(
        default="all",
        description="What a worker does for whoever speaks on Celery's control channel: `all`, or "
        "only answer questions and cancel jobs (`inspect`).",
    )
    books: int = Field(
        default=1,
        ge=0,
        le=64,
        description="Books that this worker puts together at the same time, on its processor; 0 "
        "leaves that to others.",
    )
    http_port: int | None = Field(
        default=None,
        ge=0,
        le=65535,
        description="Port for `/livez`, `/readyz` and `/metrics`; 0 is any that is free, unset is "
        "none.",
    )
    http_host: Literal["127.0.0.1", "0.0.0.0"] = Field(  # noqa: S104
        default="127.0.0.1",
        description="Who reaches that port: this machine (`127.0.0.1`), or every network of it "
        "(`0.0.0.0`), as a container needs for probes and Prometheus. It has no password.",
    )
    gc_s: float = Field(
        default=3600.0,
        ge=0,
        description="Seconds between two housekeepings of the farm, by any one of its workers; 0 "
        "is never, but by `voicefarm gc`.",
    )
    processed_budget_bytes: int | None = Field(
        default=None,
        ge=0,
        description="Bytes that `processed` is kept below: the least recently used files go "
        "first. Unset: nothing goes.",
    )
    processed_spare_h: float = Field(
        default=24.0,
        ge=1,
        description="Hours that a file of `processed` stays after a job has used it, whatever the "
        "budget.",
    )
    takes_budget_bytes: int = Field(
        default=20_000_000_000,
        ge=0,
        description="Bytes of takes of long jobs that are kept, so that an edited text or a job "
        "whose worker died is not spoken again as a whole; an hour of audio at 24 kHz has 346 MB. "
        "The least recently used go first. 0 keeps none.",
    )
    uploads_keep_days: float = Field(
        default=30.0,
        ge=1,
        description="Days that an upload stays after it was brought last, if no job waits for it.",
    )
    log_max_bytes: int = Field(
        default=50_000_000, ge=1_000, description="Bytes from which on a log is turned."
    )
    logs_kept: int = Field(default=5, ge=0, description="Turned logs that are kept of each.")
    store: Literal["volume", "off"] = Field(
        default="volume",
        description="`off` throws all audio away: for measuring what the store costs.",
    )
    presses: int | None = Field(
        default=None,
        ge=0,
        le=64,
        description="Processes that make the files of short jobs while many end at once; 0: the "
        "Celery process makes them all. Unset: one for two processors, 2 to 8. They are started "
        "when they are needed.",
    )
    scale_horizon_s: float = Field(
        default=60.0,
        gt=0,
        description="`up --min`: more workers are started while those that run would need longer "
        "for all that waits.",
    )
    # Above the minute of work that the dispatcher lets wait in the queue.
    scale_age_s: float = Field(
        default=90.0,
        gt=0,
        description="`up --min`: one more worker is started while a job has waited longer.",
    )
    scale_idle_s: float = Field(
        default=300.0,
        gt=0,
        description="`up --min`: seconds of too little work before workers are drained.",
    )
    fake_gpus: Path | None = Field(
        default=None,
        description="File that describes the GPUs of this machine, in place of the driver, for "
        "tests and demonstrations.",
    )
    fake_speed: float = Field(
        default=0.0, ge=0, description="Fake engine: times real time of one row; 0 is at once."
    )
    fake_load_s: float = Field(default=0.0, ge=0, description="Fake engine: seconds to load.")
    fake_load_error: str = Field(default="", description="Fake engine: why it cannot be loaded.")
    fake_silent: bool = Field(
        default=False, description="Fake engine: no audio at all, the engine doing nothing."
    )
    fake_memory_bytes: int | None = Field(
        default=None, gt=0, description="Fake engine: memory it pretends to have; unset: endless."
    )
    fake_fail_on: str = Field(default="", description="Fake engine: text that fails its chunk.")
    fake_abort_on: str = Field(default="", description="Fake engine: text that kills its process.")
    fake_ramble_on: str = Field(default="", description="Fake engine: text that is rambled.")
    fake_hang_on: str = Field(default="", description="Fake engine: text that hangs its process.")
    fake_fault_on: str = Field(default="", description="Fake engine: text that ends its device.")
    fake_journal: str = Field(
        default="", description="Fake engine: file with a line for each chunk begun and ended."
    )
