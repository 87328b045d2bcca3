"""From a saved model and texts to predictions.

    card.py        what a fine-tuned directory says about itself (bertops.json)
    load.py        directory, hub id or models:/name@alias → model + tokenizer, checked
    markup.py      HTML out of texts
    encode.py      texts → token ids: cut, head and tail, or windows
    forward.py     token ids → outputs, in batches of similar length
    predict.py     classification and regression
    fill_mask.py   the words a masked-LM puts in place of [MASK]
    embed.py       last hidden states and text vectors

Fine-tuning scores its models through these same functions.
"""
