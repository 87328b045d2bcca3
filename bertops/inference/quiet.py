"""transformers, without its bars and its notes about new heads, which are meant to be new."""


def quiet_transformers() -> None:
    """Errors only, and no progress bars: ours are the ones that tell."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
