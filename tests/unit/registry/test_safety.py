"""What an attacker could put into a version does nothing but be refused."""

import io
import json
import os
import pickle
import zipfile

import pytest

from bertops.inference.load import ModelRefused
from bertops.registry import serving
from bertops.registry.safety import check_model, check_package, check_source
from bertops.registry.signing import SignatureRefused, sign
from tests.unit.registry.test_signing import key_pair


class Bomb:
    """A pickle that leaves a trace when it is read."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


def climbing_zip():
    """A zip archive with an entry that would be unpacked two folders up."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../climbed.txt", "x")
    return buffer.getvalue()


def safetensors(header, tail=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + tail


@pytest.fixture
def model(tmp_path):
    directory = tmp_path / "package/data/model"
    directory.mkdir(parents=True)
    (directory / "config.json").write_text('{"model_type": "bert"}')
    (directory / "model.safetensors").write_bytes(safetensors({}))
    check_model(directory)
    return directory


@pytest.fixture
def package(model):
    directory = model.parents[1]
    write_flavors(directory)
    check_package(directory, "data/model", "bertops.registry.serving")
    return directory


def test_what_is_served_is_verified_where_a_key_is_named(package, tmp_path, monkeypatch):
    monkeypatch.setattr(serving, "load", lambda directory, masked_lm: directory)
    secret, public = key_pair(tmp_path, "owner")
    model = package / "data/model"
    serving._load_pyfunc(str(model))  # no key named: not signed, and served
    monkeypatch.setenv("BERTOPS_PUBLIC_KEY", str(public))
    with pytest.raises(SignatureRefused, match=r"no model\.sig"):
        serving._load_pyfunc(str(model))
    sign(package, secret)
    (package / "registered_model_meta").write_text("model_name: m")  # as MLflow leaves it
    serving._load_pyfunc(str(model))
    (model / "config.json").write_text('{"model_type": "other"}')
    with pytest.raises(SignatureRefused, match=r"config\.json"):
        serving._load_pyfunc(str(model))


def write_flavors(directory, extra="", **changes):
    served = {"loader_module": "bertops.registry.serving", "data": "data/model"} | changes
    text = json.dumps({"flavors": {"python_function": served}})  # JSON is YAML
    (directory / "MLmodel").write_text(text.removesuffix("}}") + extra + "}}")


@pytest.mark.parametrize(
    "name",
    ["pytorch_model.bin", "weights.pt", "x.pkl", "model.safetensors", "config.json", "x.txt"],
)
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_crafted_pickle_is_refused_under_any_name_and_never_read(model, name, protocol):
    trace = model / "trace"
    (model / name).write_bytes(pickle.dumps(Bomb(trace), protocol))
    with pytest.raises(ModelRefused):
        check_model(model)
    assert not trace.exists()


@pytest.mark.parametrize("name", ["model.zip", "model.json", "tokenizer.model", "x.npz"])
def test_a_zip_with_climbing_entries_is_refused_and_never_unpacked(model, name):
    (model / name).write_bytes(climbing_zip())
    with pytest.raises(ModelRefused):
        check_model(model)
    assert not list(model.parents[3].rglob("climbed.txt"))


@pytest.mark.parametrize(
    "config",
    [
        {"auto_map": {"AutoModel": "modeling.Evil"}},
        {"trust_remote_code": True},
        {"text_config": {"encoder": {"auto_map": {"AutoConfig": "x.y"}}}},
        {"backbones": [{"kind": "a"}, {"deep": [{"trust_remote_code": True}]}]},
    ],
)
@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json", "nested/config.json"])
def test_remote_code_is_refused_however_nested(model, config, file):
    (model / file).parent.mkdir(exist_ok=True)
    (model / file).write_text(json.dumps(config))
    with pytest.raises(ModelRefused, match="remote code"):
        check_model(model)


def test_python_files_and_programs_are_refused(model):
    (model / "modeling_evil.py").write_text("print('x')")
    with pytest.raises(ModelRefused, match=r"modeling_evil\.py"):
        check_model(model)


def test_links_are_refused_wherever_they_lead(model):
    (model / "tokenizer.json").symlink_to("/etc/hostname")
    with pytest.raises(ModelRefused, match="link"):
        check_model(model)


def test_a_safetensors_header_that_begins_like_a_pickle_is_no_pickle(model):
    header = b'{"__metadata__": {"x": "' + b" " * (0x0280 - 27) + b'"}}'
    assert safetensors(header)[:2] == b"\x80\x02"
    (model / "model.safetensors").write_bytes(safetensors(header))
    check_model(model)


@pytest.mark.parametrize(
    "changes",
    [
        {"loader_module": "os"},
        {"loader_module": "mlflow.sklearn"},
        {"data": "../../../../etc"},
        {"data": "/etc"},
        {"code": "code"},
        {"python_model": "python_model.pkl", "loader_module": "mlflow.pyfunc.model"},
    ],
)
def test_an_mlmodel_file_that_loads_something_else_is_refused(package, changes):
    write_flavors(package, **changes)
    with pytest.raises(ModelRefused, match="MLmodel"):
        check_package(package, "data/model", "bertops.registry.serving")


@pytest.mark.parametrize(
    "text", ["", "[]", "flavors: 3", "flavors: {sklearn: {}}", "\x00", "a: !!"]
)
def test_a_broken_mlmodel_file_is_refused(package, text):
    (package / "MLmodel").write_text(text)
    with pytest.raises(ModelRefused, match="MLmodel"):
        check_package(package, "data/model", "bertops.registry.serving")


def test_yaml_that_would_run_code_is_not_run(package, tmp_path):
    trace = tmp_path / "trace"
    (package / "MLmodel").write_text(f"!!python/object/apply:os.mkdir ['{trace}']")
    with pytest.raises(ModelRefused):
        check_package(package, "data/model", "bertops.registry.serving")
    assert not trace.exists()


@pytest.mark.parametrize("name", ["code/evil.py", "data/other", "python_model.pkl", "x"])
def test_a_file_that_no_package_has_is_refused(package, name):
    (package / name).parent.mkdir(exist_ok=True)
    (package / name).write_text("x")
    with pytest.raises(ModelRefused, match="no package of ours"):
        check_package(package, "data/model", "bertops.registry.serving")


@pytest.mark.parametrize(
    "source",
    [
        "/store/../etc",
        "mlflow-artifacts:/1/../../etc",
        "file:///store/%2e%2e/etc",
        "s3://bucket/%252e%252e/x",
        "C:\\store\\..\\x",
    ],
)
def test_an_address_that_climbs_is_refused_also_encoded(source):
    with pytest.raises(ModelRefused, match=r"\.\."):
        check_source(source)


def test_ordinary_addresses_pass():
    for source in ("/store/1/models/m-1/artifacts", "mlflow-artifacts:/1/models/a..b/artifacts"):
        check_source(source)
