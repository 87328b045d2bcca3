"""Parameters → a stock Hugging Face model.

`build.py` makes `BertForMaskedLM` or `ModernBertForMaskedLM` and nothing of our own, so that
`save_pretrained` is the exporter and any transformers installation loads the result.
`attention.py` keeps the documents of a packed row apart, `size.py` counts parameters and FLOPs.
"""
