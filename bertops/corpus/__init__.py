"""Raw text of any kind → documents worth training on, and an account of all others.

The order of the parts:

- `fetch`, `sources` (with `opening`, `encoding`, `readers`) and `ingest`: files → raw documents in
  Parquet, and a quarantine for what could not be read.
- `normalize`, `langid`, `rules/`, `pii`, `presidio`: what is done to a batch of documents, each of
  them alone; `judge` puts them together.
- `shingles`, `minhash`, `similar`, `dedup`, `decontaminate`: what is found by comparing all
  documents; `verdicts` puts them together.
- `shard`, `clean`: the passes over the shards; `report`: what they wrote, counted; `card` tells it
  to people, with `near_misses` and `meanings`.

The trade-off: batches of 1,000 documents in Polars and a pass over the disk between the steps
that need all documents. That bounds the memory whatever the size of the corpus, at the price of
writing the repaired texts twice.
"""
