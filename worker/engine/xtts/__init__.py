"""XTTS-v2 on one device: checkpoint, tokens, conditioning, decoder, sampling, vocoder."""
