"""What an `init_from` names."""

import sys

import pytest

from bertops.errors import UsageError
from bertops.inference.load import ModelRefused
from bertops.inference.origin import locate
from tests.unit.encoders import save_encoder


def test_a_directory_and_a_hub_id_are_themselves(tmp_path):
    folder = save_encoder(tmp_path / "encoder")
    assert locate(str(folder)) == str(folder)
    assert locate("google-bert/bert-base-chinese") == "google-bert/bert-base-chinese"


def test_a_folder_of_an_installed_package_is_found_without_importing_it(tmp_path, monkeypatch):
    package = tmp_path / "somebody_elses"
    save_encoder(package / "weights")
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    assert locate("package:somebody_elses/weights") == str(package / "weights")
    assert "somebody_elses" not in sys.modules
    with pytest.raises(UsageError, match="'other' in it is no model directory"):
        locate("package:somebody_elses/other")
    with pytest.raises(UsageError, match="'nobody_has_this' is not installed"):
        locate("package:nobody_has_this/weights")


def test_an_address_of_the_registry_is_resolved_and_checked(tmp_path):
    folder = save_encoder(tmp_path / "encoder")
    asked = []

    def resolve(address):
        asked.append(address)
        return folder

    assert locate("models:/encoder/3", resolve) == str(folder)
    assert asked == ["models:/encoder/3"]
    (folder / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(ModelRefused):
        locate("models:/encoder/3", resolve)
    with pytest.raises(UsageError, match="needs the registry"):
        locate("models:/encoder/3")
