"""Bytes in, image uses out: no I/O, no clock.

    rules      the grammar, in one place
    scanner    where in a chunk something stands (Hyperscan)
    window     the bytes that are held
    framing    stream, time, drawing and dress around that place
    extract    who speaks, and is it believed
    runner     what the runner's lines mean
    script     what the tools in a script say
    failures   what an error text says
    fold       lines into rows
"""

from logminer.trace.extract import VERSION, Extraction, Extractor

__all__ = ["VERSION", "Extraction", "Extractor"]
