"""One worker per GPU: pool, boot, readiness, admission, store, and the engine's process."""
