"""Files that are not opened: damaged, tampered with, too new, of another kind."""

from __future__ import annotations

import gzip
import pickle
import random
import re
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from keras import layers

import skltransfer.persistence as persistence
from forged_files import changed, put_together, taken_apart
from skltransfer import FineTunedClassifier, PretrainedFeatureExtractor, load
from skltransfer.backbones.registry import registered
from skltransfer.backbones.spec import BackboneSpec
from skltransfer.inputs.images.kind import ImageInput
from tampered_files import exchanged_values, tampered_files


@pytest.fixture(scope="module")
def originals(tiny, cats_and_dogs, tmp_path_factory):
    """Save files by name: fitted on images and on rows, and not fitted."""
    X, y = cats_and_dogs
    rows = np.random.default_rng(0).normal(size=(9, 3))
    estimators = {
        "classifier": FineTunedClassifier(tiny, epochs=1, head_units=(4,), random_state=0).fit(
            X, y.astype(object)
        ),
        "extractor": PretrainedFeatureExtractor("tiny", input_size=(16, 16)).fit(rows),
        "unfitted": FineTunedClassifier(
            class_weight={0: 1.0, 1: np.float32(2)},
            random_state=np.random.RandomState(0),
            augment=layers.RandomFlip(),
        ),
    }
    folder = tmp_path_factory.mktemp("originals")
    for name, estimator in estimators.items():
        estimator.save(folder / name)
    return {name: (folder / name).read_bytes() for name in estimators}


DATA = Path(__file__).parent / "data"
OF_PROTOCOL_1 = [
    DATA / "protocol_1" / "classifier.skltransfer",
    DATA / "protocol_1_more" / "extractor_of_numbers.skltransfer",
    DATA / "protocol_1_more" / "extractor_of_a_name.skltransfer",
    DATA / "protocol_1_more" / "unfitted_classifier.skltransfer",
]


@pytest.fixture(scope="module")
def older():
    """Files of protocol 1 by name."""
    return {path.stem: path.read_bytes() for path in OF_PROTOCOL_1}


@pytest.fixture
def refused(tmp_path):
    """Load a file of the bytes given; the reason why it cannot be loaded."""

    def why(data):
        (tmp_path / "model").write_bytes(data)
        with pytest.raises(ValueError) as caught:
            load(tmp_path / "model")
        message = str(caught.value)
        assert message.startswith(f"{str(tmp_path / 'model')!r} cannot be loaded: ")
        return message.partition(" cannot be loaded: ")[2]

    return why


# Another kind of file, or another version ------------------------------------------------------


def test_a_missing_file_and_a_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        load(tmp_path / "absent")
    with pytest.raises(ValueError, match="cannot be loaded: it is not a regular file"):
        load(tmp_path)


def test_pickles_are_told_by_what_they_are(refused, tmp_path):
    extractor = PretrainedFeatureExtractor()
    for compress in (0, "zlib", "gzip", "bz2", "xz"):
        joblib.dump(extractor, tmp_path / "pickle", compress=compress)
        reason = refused((tmp_path / "pickle").read_bytes())
        assert re.match(r"it is (a pickle|\w+-compressed), .*which can run code", reason)
        assert "open it with joblib.load. Call save() on what you get" in reason
        assert reason.endswith("or keep to joblib for a pipeline, which has no save().")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty. Take another copy"),
        (b"text", "it is not a file that an estimator's save.path. wrote"),
        (b"PK\x03\x04", "it is a zip file, as .keras and .skops files are"),
        (
            b"\x89HDF\r\n\x1a\n",
            "it is an HDF5 file. If it holds only weights, pass it as weights=",
        ),
        (gzip.compress(b"", mtime=0), "it is gzip-compressed"),
        (pickle.dumps(0, protocol=2), "it is a pickle"),
    ],
)
def test_other_files_are_told_by_what_they_are(data, reason, refused):
    assert re.match(reason, refused(data))


def test_a_newer_version_of_the_same_protocol_is_opened(originals, tmp_path):
    newer = changed(originals["extractor"], lambda m: m.update(skltransfer="7.0.0"))
    (tmp_path / "model").write_bytes(newer)
    assert load(tmp_path / "model").backbone == "tiny"


def test_a_newer_protocol_is_refused_with_the_version_that_wrote_it(originals, refused):
    def newer(manifest):
        manifest.update(protocol=3, skltransfer="7.0.0", more={"of": "another kind"})

    assert refused(changed(originals["extractor"], newer)) == (
        "it was written by skltransfer 7.0.0 with protocol 3, but this is skltransfer "
        f"{sys.modules['skltransfer'].__version__}, which reads protocols up to 2. Install "
        "skltransfer 7.0.0 or a newer version."
    )


def test_a_damaged_file_says_so(originals, refused):
    data = originals["extractor"]
    for damaged in (data[:-1], data[:30], data + b"\n", data.replace(b"avg", b"max", 1)):
        assert "it was cut off or changed after it was written. Take another" in refused(damaged)


# Contents that a checksum would not show ---------------------------------------------------------


def set_in(record, field, value):
    """A change of one field of a fitted classifier's record."""

    def change(manifest):
        for node in manifest["state"].values():
            of_members = node.get("tuple", []) if isinstance(node, dict) else []
            for part in (node, *of_members):
                if isinstance(part, dict) and record in part:
                    part[record][field] = value

    return change


def set_state(**values):
    return lambda manifest: manifest["state"].update(values)


FORGED = {
    "class": (lambda m: m.update(estimator="Popen"), "asks for the class 'Popen'; allowed are"),
    "kind": (set_state(head_units={"eval": "1"}), "asks for 'eval', which is not among the all"),
    "activation": (set_in("head", "activation", "os.system"), "head has activation='os.system'"),
    "width": (set_in("head", "units", {"tuple": [2**60]}), r"head has units=\(1152921504606846976"),
    "classes": (set_in("head", "n_outputs", 3), "sizes that do not fit together"),
    "steps": (set_in("training_state", "n_steps", -1), "training_state has n_steps=-1"),
    "size": (
        set_in(
            "image_encoding",
            "preprocessing",
            {"image_preprocessing": {"size": 3, "resize": "pad", "pixel_range": None}},
        ),
        "its image_preprocessing has size=3, which is not allowed",
    ),
    "engine": (set_state(engine_="mine"), "has engine_='mine', which is not allowed"),
    "missing": (lambda m: m["state"].pop("_freeze_points"), "Classifier lacks _freeze_points"),
    "labels": (set_in("classification", "label_smoothing", "much"), "has label_smoothing='much'"),
    "totals": (set_in("classification", "totals", None), "sizes that do not fit together"),
    "task": (set_state(_task={"head": {}}), "its head does not consist of n_features"),
    "no task": (set_state(_task=3), "has _task=3, which is not allowed"),
    "encoding": (set_state(_encoding=None), "has _encoding=None, which is not allowed"),
    "older name": (set_state(_head={"Head": {}}), "asks for 'Head', which is not among"),
    "input": (
        lambda m: m["backbones"][0].update(input={"image_input": {"size": [16, 16]}}),
        r"its image_input has size=\[16, 16\], which is not allowed",
    ),
    "no input": (lambda m: m["backbones"][0].update(input=16), "reads 16, which is not a kind"),
    "older protocol": (lambda m: m.update(protocol=1), "_task, .*, which protocol 1 does not know"),
    "more": (set_state(fit=0), "cannot have fit. save.. writes no such file"),
    "requests": (
        set_state(_requested_metadata={"dict": [["__init__", {"dict": []}]]}),
        "has _requested_metadata=",
    ),
    "layer": (set_state(backbone={"layer": {"dict": []}}), "asks for 'layer', which is not"),
}


@pytest.mark.parametrize(("change", "reason"), FORGED.values(), ids=FORGED)
def test_forged_contents_are_refused_with_the_reason(change, reason, originals, refused):
    assert re.search(reason, refused(changed(originals["classifier"], change)))


def deep(levels):
    node = 0
    for _ in range(levels):
        node = [node]
    return node


FORGED_OLDER = {
    "later attribute": (set_state(_task=None), "it holds _task, which protocol 1 does not know"),
    "later parameter": (set_state(layer=None), "it holds layer, which protocol 1 does not know"),
    "later input": (
        lambda m: m["backbones"][0].update(input=0),
        "it holds input, which protocol 1 does not know",
    ),
    "later record": (set_state(_reading={"image_encoding": {}}), "image_encoding does not consist"),
    "later field": (set_in("Head", "n_outputs", 3), "asks for 'Head', which is not among"),
    "record": (set_state(_reading={"Reading": 3}), "asks for 'Reading', which is not among"),
    "rule": (set_in("Reading", "rule", {"PixelRule": {}}), "asks for 'PixelRule', which is not"),
    "no rule": (set_in("Reading", "rule", {"image_preprocessing": 3}), "a record without fields"),
    "missing": (lambda m: m["state"].pop("classes_"), "FineTunedClassifier lacks _layer, _pool"),
    "origin": (set_state(_origin={"dict": 3}), "not written as a list, as its kind"),
    "nested": (set_state(head_units=deep(400)), "nests values more than 64 levels deep"),
}


@pytest.mark.parametrize(("change", "reason"), FORGED_OLDER.values(), ids=FORGED_OLDER)
def test_forged_contents_of_the_first_protocol_are_refused(change, reason, older, refused):
    assert re.search(reason, refused(changed(older["classifier"], change)))


def test_what_the_first_protocol_lacks_of_an_extractor_is_not_made_up(older, refused):
    change = changed(older["extractor_of_a_name"], lambda m: m["state"].pop("pooling"))
    assert "lacks" in refused(change)


@pytest.mark.parametrize(("field", "value"), [("resize", "pad"), ("pixel_range", [0, 1])])
def test_rows_of_numbers_have_no_other_rule_in_the_first_protocol(field, value, older, refused):
    def change(manifest):
        manifest["state"]["_reading"]["Reading"]["rule"]["PixelRule"][field] = value

    reason = refused(changed(older["extractor_of_numbers"], change))
    assert "asks for 'Reading', which is not among" in reason


@pytest.mark.parametrize("name", ["ResNet50", "efficientnet-lite0", "tiny.keras"])
def test_a_file_takes_no_name_away(name, originals, refused):
    """The network that a name stands for in this process is not exchanged."""

    def renamed(manifest):
        manifest["state"]["backbone"] = name
        for network in manifest["backbones"]:
            network["name"] = name

    assert re.match(
        f"name='{name}' (already means|looks)", refused(changed(originals["extractor"], renamed))
    )
    assert registered(name) is None


def test_a_file_brings_no_network_that_is_not_used(originals, refused):
    changed_file = changed(originals["extractor"], set_state(backbone="other"))
    assert "under a name that its estimator does not use" in refused(changed_file)


def test_another_bundled_network_is_asked_for(originals, refused):
    def unknown(manifest):
        manifest["backbones"] = [{"name": "efficientnet_lite0", "fingerprint": "0" * 64}]

    reason = refused(changed(originals["unfitted"], unknown))
    assert "asks for the bundled network 'efficientnet_lite0' with the fingerprint 000" in reason
    assert "Open it with the version that it was saved with." in reason


def test_weights_that_are_not_those_of_the_fingerprint(originals, refused):
    manifest, payload = taken_apart(originals["extractor"])
    sizes = [np.dtype(a["dtype"]).itemsize * np.prod(a["shape"]) for a in manifest["arrays"]]
    start = int(sum(sizes[: manifest["backbones"][0]["weights"][0]]))
    payload = payload[:start] + bytes(8) + payload[start + 8 :]
    assert "backbone 'tiny' is not the one that was saved" in refused(
        put_together(manifest, payload)
    )


def test_bytes_that_are_no_characters_or_bools(originals, refused):
    for dtype, data in (("<U1", b"\xff\xff\xff\xff"), ("|b1", b"\x02")):

        def change(manifest, dtype=dtype):
            manifest["arrays"].append({"dtype": dtype, "shape": [1]})

        manifest, payload = taken_apart(originals["extractor"])
        change(manifest)
        assert "not a value of its dtype" in refused(put_together(manifest, payload + data))


# Configurations of Keras -----------------------------------------------------------------------


def configured(name, module="keras.layers", config=None, **more):
    return {"module": module, "class_name": name, "config": config or {}, **more}


CODE = {
    "Lambda": configured("Lambda"),
    "lambda": {"class_name": "__lambda__", "config": {"value": "4wEA"}},
    "saved model": configured("TFSMLayer", config={"filepath": "model"}),
    "torch": configured("TorchModuleWrapper"),
    "a file": configured("StringLookup", config={"vocabulary": "/etc/passwd"}),
    "another library": configured("Popen", "subprocess"),
    "a function": configured("load_model", "keras.models"),
    "a function of Keras": configured("function", "keras.saving", "load_model"),
    "a private module": configured("Lambda", "keras.src.layers.core.lambda_layer"),
    "the old way": {"class_name": "Lambda", "config": {}},
    "no module": configured("Conv2D", None),
    "not registered": configured("Own", None, registered_name="mine>Own"),
    "two names": configured("Dense", registered_name="Lambda"),
    "inside": configured("Sequential", "keras", {"layers": [configured("Lambda")]}),
    "in an argument": configured("Dense", config={"activation": configured("eval", "builtins")}),
}


def as_value(config):
    if isinstance(config, dict):
        return {"dict": [[key, as_value(value)] for key, value in config.items()]}
    return [as_value(item) for item in config] if isinstance(config, list) else config


@pytest.mark.parametrize("config", CODE.values(), ids=CODE)
def test_a_layer_that_could_run_code_or_read_files(config, originals, refused):
    layer = {"layer": as_value(config)}
    reason = refused(changed(originals["unfitted"], set_state(augment=layer)))
    assert reason.startswith("its Keras configuration asks for")


@pytest.mark.parametrize("config", CODE.values(), ids=CODE)
def test_a_network_that_could_run_code_or_read_files(config, originals, refused):
    """The fingerprint is forged too."""

    def change(manifest):
        (network,) = manifest["backbones"]
        architecture = {"kind": "model", "config": config}
        preprocessing = {"kind": "mode", "mode": "tf", "channels": 3}
        forged = BackboneSpec("tiny", architecture, preprocessing, ImageInput((16, 16)), ())
        network.update(architecture=as_value(architecture), fingerprint=forged.fingerprint)
        network["weights"] = []

    reason = refused(changed(originals["extractor"], change))
    assert reason.startswith("its Keras configuration asks for")


def test_a_layer_that_keras_cannot_build(originals, refused):
    layer = {"layer": as_value(configured("RandomRotation", config={"factor": "far"}))}
    reason = refused(changed(originals["unfitted"], set_state(augment=layer)))
    assert reason.startswith("this version of Keras cannot build its augment")
    layer = {"layer": as_value(configured("HeNormal", "keras.initializers"))}
    reason = refused(changed(originals["unfitted"], set_state(augment=layer)))
    assert reason.startswith("its augment is not a layer")


# Many files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("files", ["originals", "older"])
def test_no_tampered_file_is_opened(files, refused, monkeypatch, request):
    originals = request.getfixturevalue(files)

    def built(*arguments):
        raise AssertionError("something was built")

    monkeypatch.setattr(persistence, "layer_from", built)
    for kind in (FineTunedClassifier, PretrainedFeatureExtractor):
        monkeypatch.setattr(kind, "__setstate__", built)
    count = 0
    for what, data in tampered_files(originals.values()):
        assert len(refused(data)) > 10, what
        count += 1
    assert count > 1000


@pytest.mark.parametrize("files", ["originals", "older"])
def test_exchanged_values_are_refused_or_opened(files, tmp_path, request):
    """Whatever else a file says in place of something, there is no other error."""
    originals = request.getfixturevalue(files)
    rng, path = random.Random(0), tmp_path / "model"
    opened = 0
    for data in originals.values():
        for exchanged in exchanged_values(data, rng, 200):
            path.write_bytes(exchanged)
            try:
                opened += load(path) is not None
            except ValueError as error:
                assert "cannot be loaded" in str(error)
    assert opened > 50


RUNS_NOTHING = """
import encodings.utf_8_sig  # which json.loads imports for bytes that begin like it
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from skltransfer import load
from tampered_files import exchanged_values, tampered_files
originals = [Path(path).read_bytes() for path in sys.argv[3:]]
target = Path(sys.argv[2])
files = list(tampered_files(originals, seed=1))
refused, watching, seen = 0, False, set()

def watch(event, arguments):
    if watching:
        seen.add(event)

sys.addaudithook(watch)
for turn in range(2):  # the first one imports what is imported late
    refused = 0
    for what, data in files if turn else files[::10]:
        target.write_bytes(data)
        watching = turn == 1
        try:
            load(target)
        except ValueError:
            refused += 1
        watching = False
assert refused == len(files)
assert not {"keras", "tensorflow"} & set(sys.modules)
print(refused, *sorted(seen))
"""


def test_a_tampered_file_does_nothing_but_be_read(originals, in_fresh_process, tmp_path):
    """Python tells of every import, execution, process, connection and unpickling."""
    for name, data in originals.items():
        (tmp_path / name).write_bytes(data)
    files = [tmp_path / name for name in originals]
    output, _ = in_fresh_process(RUNS_NOTHING, Path(__file__).parent, tmp_path / "model", *files)
    count, *events = output.split()
    assert int(count) > 1000
    assert set(events) <= {"open", "builtins.id", "object.__getattr__"}
