"""Tracking: what a run was made of and how it went, kept in MLflow.

    store.py           the address of the store; a local SQLite one is made once, under a lock
    sender.py          a thread that delivers what it is given, so that training never waits
    mlflow_tracker.py  the `Tracker` of bertops.tracker, on MLflow
    mlflow_run.py      one open run, and what can be written to it
    lineage.py         git commit, dvc.lock, packages and data hashes: what a result came from

The store is a SQLite file inside the project unless `MLFLOW_TRACKING_URI` names a server. What is
recorded arrives some seconds late and, when the store is gone for good, not at all: a training
run is worth more than its curve, so nothing here may stop it.
"""
