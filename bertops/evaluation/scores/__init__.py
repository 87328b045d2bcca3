"""Scores as functions of sums over documents.

Each score says what a document contributes (a row of numbers) and what follows from the sum of
the rows. Then one matrix product resamples any of them thousands of times, and a paired
bootstrap of macro F1 or BLEU costs as little as one of accuracy. The values are those of
`bertops.metrics`; tests compare.

    base.py            Score, and means
    classification.py  one label of several
    numbers.py         regression
    spans.py           label sets, tags
    texts.py           answers, summaries, translations, searches
    table.py           which scores a kind of task has
"""
