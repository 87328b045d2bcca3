"""From labelled files to a model that was chosen fairly.

    params.py       what a task is, and how every task is fine-tuned
    formats.py      CSV, TSV, JSONL, Parquet → rows with their place
    data.py         rows → checked, deduplicated splits in Parquet
    kinds/          one class for each kind of task: reading, targets, gold values, baseline
    trainer.py      one run: HF Trainer as the loop, the best epoch kept by the task's metric
    losses.py       what a model learns from in place of its own loss
    pool.py         runs side by side, one thread each
    lora.py         adapters in place of the encoder's weights
    tune.py         search for good values, on validation alone
    run.py          seeds × {pretrained, control}; the best seed by validation is saved
    baselines.py    what needs no encoder: majority, TF-IDF + linear model
    predictions.py  every prediction of every model, in Parquet

Models are scored through `bertops.inference`, so a score in the report is the score of the code
that serves. The price is that `inference` lies one floor below.
"""
