"""Bytes in, image uses out: no I/O, no clock.

* `rules`: the grammar, in one place
* `scanner`: where in a chunk something stands (Hyperscan)
* `window`: the bytes that are held
* `framing`: stream, time, drawing and dress around that place
* `lines`: the lines that matter, put together again
* `reading`: which rule reads such a line, remembered for lines that recur
* `extract`: who speaks, and is it believed
* `runner`: what the runner's lines mean
* `script`: what the tools in a script say
* `failures`: what an error text says
* `fold`: lines into rows
* `sighting`: what was seen, for whoever asks why
* `kept`: the part of a trace from which it can be read again
"""

from logminer.trace.extract import VERSION, Extraction, Extractor
from logminer.trace.kept import KeepingExtractor, read_again
from logminer.trace.scanner import prepare
from logminer.trace.sighting import Sighting, Verdict

__all__ = [
    "VERSION",
    "Extraction",
    "Extractor",
    "KeepingExtractor",
    "Sighting",
    "Verdict",
    "prepare",
    "read_again",
]
