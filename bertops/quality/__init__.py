"""Gates on data: raw documents, the cleaned corpus, the tables of tasks.

`suites.py` says what must hold, in terms of `Check`; `gate.py` runs checks through Great
Expectations and is the only module that knows it; `validate.py` measures the data, calls the gate
and raises when it says no. What is validated are columns and statistics, never texts: nothing of
a document but its place appears in Data Docs.
"""
