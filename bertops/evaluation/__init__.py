"""Evaluation that can be believed: what was measured, how surely, beside what, and what was not.

    answers.py     prediction shards → answers of one model, seed and split
    scores.py      scores as functions of sums over documents
    bootstrap.py   resampling of those sums
    compare.py     two models on the same documents → interval and verdict
    tasks.py       one task: scores, intervals, comparisons with every baseline
    heldout.py     the encoder: masked-LM loss beside a unigram baseline
    run.py         all of it → reports/evaluation/
    report/        the same for people: report.html

Fine-tuning stores every prediction with its probabilities, so tasks are evaluated without a
model: a new question costs seconds. The price is disk space, some 50 bytes a prediction.
"""
