import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from bertops.registry.signing import KeyUnusable, SignatureRefused, sign, verify


def key_pair(folder, name):
    """Private and public key files, as `openssl ecparam -name prime256v1 -genkey` makes them."""
    private = ec.generate_private_key(ec.SECP256R1())
    return write_keys(folder, name, private)


def write_keys(folder, name, private):
    secret, public = folder / f"{name}.pem", folder / f"{name}.pub"
    secret.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    public.write_bytes(
        private.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    return secret, public


@pytest.fixture
def signed(tmp_path):
    """A signed directory and the public key."""
    secret, public = key_pair(tmp_path, "owner")
    directory = tmp_path / "package"
    (directory / "data").mkdir(parents=True)
    (directory / "data/weights").write_text("weights")
    (directory / "README.md").write_text("card")
    sign(directory, secret)
    return directory, public


def test_what_was_signed_verifies(signed):
    verify(*signed)


def test_the_note_that_mlflow_leaves_in_a_download_is_no_added_file(signed):
    (signed[0] / "registered_model_meta").write_text("model_name: m")
    verify(*signed)


def test_an_altered_file_is_refused(signed):
    (signed[0] / "data/weights").write_text("Weights")
    with pytest.raises(SignatureRefused, match="weights"):
        verify(*signed)


def test_a_missing_file_is_refused(signed):
    (signed[0] / "README.md").unlink()
    with pytest.raises(SignatureRefused, match=r"README\.md"):
        verify(*signed)


@pytest.mark.parametrize("name", ["data/more", ".gitignore", ".git/hook", ".hidden"])
def test_an_added_file_is_refused_also_a_hidden_one(signed, name):
    added = signed[0] / name
    added.parent.mkdir(exist_ok=True)
    added.write_text("x")
    with pytest.raises(SignatureRefused, match=name.rsplit("/")[-1]):
        verify(*signed)


def test_a_renamed_file_is_refused(signed):
    (signed[0] / "README.md").rename(signed[0] / "README.txt")
    with pytest.raises(SignatureRefused):
        verify(*signed)


def test_a_link_is_refused(signed):
    (signed[0] / "link").symlink_to("/etc/hostname")
    with pytest.raises(SignatureRefused):
        verify(*signed)


def test_another_key_is_refused(signed, tmp_path):
    _, other = key_pair(tmp_path, "other")
    with pytest.raises(SignatureRefused):
        verify(signed[0], other)


def test_a_signature_of_another_key_laid_in_its_place_is_refused(signed, tmp_path):
    secret, _ = key_pair(tmp_path, "other")
    sign(signed[0], secret)
    with pytest.raises(SignatureRefused):
        verify(*signed)


@pytest.mark.parametrize("content", [None, "", "{}", "not json", '{"dsseEnvelope": 3}'])
def test_a_missing_or_broken_signature_is_refused(signed, content):
    signature = signed[0] / "model.sig"
    signature.unlink()
    if content is not None:
        signature.write_text(content)
    with pytest.raises(SignatureRefused):
        verify(*signed)


def test_a_key_that_is_none_says_what_is_expected(signed, tmp_path):
    broken = tmp_path / "broken.pem"
    broken.write_text("no key")
    _, rsa_public = write_keys(tmp_path, "rsa", rsa.generate_private_key(65537, 2048))
    for public in (broken, tmp_path / "missing.pem", rsa_public):
        with pytest.raises(KeyUnusable, match="elliptic-curve"):
            verify(signed[0], public)
    with pytest.raises(KeyUnusable, match="elliptic-curve"):
        sign(signed[0], broken)
