"""bertops: pretrain, fine-tune, evaluate and operate BERT-class encoders."""

__version__ = "0.1.0"
