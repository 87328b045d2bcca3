"""Signing: who made these files, and that nothing was altered, taken away or added since.

Signatures are those of sigstore's model-signing with an elliptic-curve key: they need no network,
and its own command line verifies them as well:

    model_signing verify key DIR --signature DIR/model.sig --public_key public.pem
"""

import os
from pathlib import Path
from typing import Any

from bertops.errors import BertopsError

SIGNATURE = "model.sig"
DOWNLOAD_NOTE = "registered_model_meta"
"""MLflow writes there which version it downloaded, after the signature was made."""
SIGNING_KEY = "BERTOPS_SIGNING_KEY"
"""Environment variable: PEM file of the private key that new versions are signed with."""

PUBLIC_KEY = "BERTOPS_PUBLIC_KEY"
"""Environment variable: PEM file of the public key, where a version is served without a project."""


class SignatureRefused(BertopsError):
    """A directory is not what the owner of the public key signed."""

    def __init__(self, directory: Path, public_key: Path, problem: str) -> None:
        self.directory, self.public_key, self.problem = directory, public_key, problem
        super().__init__(
            f"{directory} is not what the owner of {public_key} signed: {problem}. Do not use it; "
            "register the model again with the right key, or restore the artifact store."
        )


class KeyUnusable(BertopsError):
    """A key file cannot be read or is of another kind."""

    def __init__(self, key: Path, cause: BaseException) -> None:
        self.key, self.cause = key, cause
        super().__init__(
            f"the key {key} cannot be used: {cause}. Expected a PEM file with an elliptic-curve "
            "key (P-256, P-384 or P-521); docs/howto/promote.md shows how to make one."
        )


def signing_key() -> Path | None:
    """The private key that `BERTOPS_SIGNING_KEY` names; None where nothing is to be signed."""
    named = os.environ.get(SIGNING_KEY)
    return Path(named) if named else None


def public_key() -> Path | None:
    """The public key that `BERTOPS_PUBLIC_KEY` names; None where signatures are not asked for."""
    named = os.environ.get(PUBLIC_KEY)
    return Path(named) if named else None


def sign(directory: Path, private_key: Path) -> None:
    """Sign every file of a directory; the signature is laid inside as model.sig.

    Raises:
        KeyUnusable: the key cannot be read or is of another kind.
    """
    from model_signing import signing

    try:
        config = signing.Config().use_elliptic_key_signer(private_key=private_key)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise KeyUnusable(private_key, error) from error
    signature = directory / SIGNATURE
    config.set_hashing_config(_hashing(signature)).sign(directory, signature)


def verify(directory: Path, public_key: Path) -> None:
    """Make sure that a directory holds what was signed: every file, unaltered, and no other.

    Raises:
        SignatureRefused: there is no signature, it is another key's, or the files differ.
        KeyUnusable: the key cannot be read or is of another kind.
    """
    from model_signing import verifying

    signature = directory / SIGNATURE
    try:
        config = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise KeyUnusable(public_key, error) from error
    if not signature.is_file():
        raise SignatureRefused(directory, public_key, f"it has no {SIGNATURE}")
    try:
        config.set_hashing_config(_hashing(signature)).verify(directory, signature)
    except Exception as error:  # the library raises many kinds; whichever it is, the answer is no
        problem = str(error) or "the signature is not of this key"
        raise SignatureRefused(directory, public_key, problem) from error


def _hashing(signature: Path) -> Any:
    """All but the signature and MLflow's note: git's own files too, and no symbolic links."""
    from model_signing import hashing

    ignored = [signature, signature.parent / DOWNLOAD_NOTE]
    return hashing.Config().set_ignored_paths(paths=ignored, ignore_git_paths=False)
