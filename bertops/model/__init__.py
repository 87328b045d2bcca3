"""Parameters → a stock Hugging Face model.

`build.py` makes `BertForMaskedLM` or `ModernBertForMaskedLM` and nothing of our own, so that
`save_pretrained` is the exporter and any transformers installation loads the result.
`initial.py` loads weights to carry on from and refuses those that do not fit.

Training calls the modules of the stock classes in an order of its own: `encoder.py` and `head.py`
are the forward pass, `attention.py` keeps the documents of a packed row apart in one of three ways.
The price is a second description of each architecture; a test holds it to the stock one, logits and
gradients. `quick.py` puts it into a stock model for a while, for fine-tuning and inference on CPUs.
`size.py` counts parameters and FLOPs.
"""
