"""From a saved model and texts to predictions.

    card.py        what a fine-tuned directory says about itself (bertops.json)
    load.py        directory, hub id or models:/name@alias → model + tokenizer, checked
    origin.py      what an `init_from` names → directory or hub id
    markup.py      HTML out of texts
    encode.py      texts → token ids: cut, head and tail, or windows
    forward.py     token ids → outputs, in batches of similar length
    reader.py      what a kind of task must be able to do with examples and outputs
    readers.py     one for each kind; `ask` and `predict` use them
    predict.py     classification and regression
    tag.py, answer.py, summarize.py, translate.py, retrieve.py     the other kinds
    stream.py      files in, files out, in bounded memory
    export.py, onnx_model.py       ONNX and int8, with a parity gate
    explain.py     what each token gave to a decision
    faq.py         stored answers and the nearest of them
    fill_mask.py   the words a masked-LM puts in place of [MASK]
    embed.py       last hidden states and text vectors

Fine-tuning scores its models through these same functions.
"""
