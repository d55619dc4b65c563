"""coqui-tts in an ordinary Celery worker, as people do it today: one job at a time."""

from __future__ import annotations

from contextlib import nullcontext
from functools import cache
from pathlib import Path
from typing import Any

from celery import Celery

app = Celery("stock_speech", set_as_current=False)
app.conf.update(
    task_ignore_result=True,
    task_acks_late=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
)


@cache
def _model(directory: str, device: str) -> Any:
    from TTS.tts.configs.xtts_config import XttsConfig
    from TTS.tts.models.xtts import Xtts

    from tests.unit.worker.engine.xtts.tiny_checkpoint import slim

    config = XttsConfig()
    config.load_json(str(Path(directory) / "config.json"))
    # The small checkpoint has sizes that stand in no file.
    with slim() if device == "cpu" else nullcontext():
        model = Xtts.init_from_config(config)
        model.load_checkpoint(config, checkpoint_dir=directory, eval=True)
    return model.to(device)


@app.task  # type: ignore[untyped-decorator]
def speak(text: str, number: int, directory: str, device: str, target: str) -> None:
    """Speak a text with one of the checkpoint's voices into the WAV file `target`."""
    import soundfile
    import torch

    model = _model(directory, device)
    voices = model.speaker_manager.speakers
    voice = voices[sorted(voices)[number % len(voices)]]
    with torch.inference_mode():
        found = model.inference(
            text,
            "en",
            voice["gpt_cond_latent"],
            voice["speaker_embedding"],
            temperature=0.75,
            repetition_penalty=5.0,
            top_k=50,
            top_p=0.85,
        )
    part = Path(target).with_suffix(".part")
    with part.open("wb") as file:
        soundfile.write(file, found["wav"], 24000, "PCM_16", format="WAV")
    part.rename(target)
