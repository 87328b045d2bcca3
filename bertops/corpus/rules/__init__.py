"""Published quality rules as measures over batches of documents.

A module for each family computes its measures, one row a document, vectorised over the batch;
`judge.py` compares them with the thresholds of params.yaml and names every rule that failed.
Words are split once for all families (`flat.py`), which is where most of the speed is from.
"""
