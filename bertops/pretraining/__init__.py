"""Documents → batches.

    tokenize.py    text → token store: one flat run of ids, document boundaries, a manifest
    store.py       opens a token store, memory-mapped
    packing.py     documents → rows: cut to size, remainders fitted together
    pairs.py       documents → rows of two segments, for next-sentence prediction
    rows.py        rows as arrays, everything still visible
    order.py       which rows make up a step: a permutation per epoch
    masking.py     which tokens are hidden, and behind what
    counter.py     random numbers that are a function of their place
    batches.py     step number → the arrays of that step
    collate.py     arrays → tensors

Every batch is a pure function of (seed, step). Nothing is drawn from a generator that remembers,
so ranks, worker threads and restarts change nothing and resuming replays nothing. The price: the
composition of the rows is fixed once for a corpus; an epoch reorders rows and hides other tokens.
"""
