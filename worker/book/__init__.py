"""Finished books: the items of a batch joined, levelled and encoded, with chapters and cues.

binding.py      from a job to its entry, found or made
gathering.py    which files, in which order; which are missing              (pure)
assembly.py     they are heard once to measure them, and again to encode them
narration.py    their samples, with the pauses between them, at one rate
timeline.py     where everything is, in samples                             (pure)
subtitles.py    cues as SRT and WebVTT                                      (pure)
loudness.py     how loud a book is, by ffmpeg's ebur128
levelling.py    by how much it is made louder or softer                     (pure)
leveller.py     that, block by block, and what it has become
limiter.py      what holds its peaks back                                   (pure)
wave.py         how high the wave is between its samples                    (pure)
book_files.py   one file with chapter marks, or a file a chapter; cues
encoder.py      one file, by ffmpeg's encoders
book_facts.py   what the manifest says of it
"""
