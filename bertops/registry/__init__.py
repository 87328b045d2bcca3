"""Registry: which version of a model is in use, why, and how to go back.

    client.py    the one door to MLflow's registry; versions, aliases, the history's entries
    events.py    what happened to a name, and the state that follows from it; pure
    history.py   append to the history, one writer at a time wins; bring the aliases in line
    package.py   model directory → MLflow model that serves offline: safetensors, no pickle
    sbom.py      what a package is made of, as CycloneDX
    signing.py   who made it, and that nothing was altered, lost or added since
    safety.py    what a version may hold; nothing that runs
    register.py  package + lineage → version, the same thing never twice
    gates.py     evidence + thresholds → passed, or why not and by how much; pure
    decide.py    ask the gates about a candidate, against the champion of the moment
    promote.py   promote, roll back, approve, reconcile
    resolve.py   models:/sentiment@champion → a directory that has been checked
    smoke.py     load a version and ask it something before it is trusted
    export.py    a version as a directory for transformers and for a hub
    serving.py   what `mlflow models serve` loads

**The history is the truth, the alias its shadow.** MLflow sets an alias with no questions asked:
the last writer wins and nothing is kept. But its version numbers come from a unique key in the
database, behind every kind of store (SQLite, PostgreSQL, a server over HTTP), so the versions of a
model named `sentiment.history` are an append-only list with one order that all writers agree on.
Each entry names the digest of the entry it builds on; one that builds on anything but the latest
accepted entry is void, and its writer is told that it lost. That is compare-and-set without locks,
leases or a clock. The alias is written after the entry, and whoever comes next finishes that for a
writer that was killed in between: so it is the old one or the new one, never none. The price: a
second registered model beside each name, and one read of the history for each change.
"""
