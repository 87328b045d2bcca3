"""Documents → vocabulary.

`train.py` learns a WordPiece vocabulary from a corpus, `load.py` opens it and says what its ids
mean, `measure.py` tells how well it fits a text. The result is a directory in Hugging Face form:
`AutoTokenizer` and `BertTokenizer` load it without bertops.

The trade-off: WordPiece as BERT uses it (Devlin et al. 2019), lower case by default. A small
vocabulary (6,000–16,000) suits small models, whose embedding table would otherwise be most of
the model.
"""
