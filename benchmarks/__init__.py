"""Measurements of bertops against what people use instead.

`python -m benchmarks.NAME` measures, prints a table and writes `benchmarks/results/NAME.json`.
With `--json` the last line of its output is one JSON object:

    {"ratios": {name: number}, "bars": {name: {"value", "at_least" or "at_most", "holds"}},
     "machine": {...}, "commit": "..."}

Both sides run in one process, in turns, so that a busy machine slows both. Ratios therefore say
more than absolute numbers; the latter are in the results beside them.
"""
