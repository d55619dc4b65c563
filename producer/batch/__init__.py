"""Batches: many items of one file, book or folder, asked for together."""
