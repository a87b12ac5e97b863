"""Text networks from files: folders of Hugging Face's files, the companion, and what is refused."""

from __future__ import annotations

import json
import pickle
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from skltransfer import (
    FineTunedClassifier,
    PretrainedFeatureExtractor,
    freeze_points,
    list_backbones,
    load,
    register_backbone,
)
from skltransfer.backbones import companions
from skltransfer.backbones import texts as text_networks
from skltransfer.backbones.building import build_model
from skltransfer.backbones.hugging_face import folder_spec
from skltransfer.backbones.registry import resolve
from skltransfer.backbones.safetensors import open_tensors
from skltransfer.backbones.transformer import TransformerConfig
from skltransfer.inputs.texts.tokenizing import tokenizer_of

DATA = Path(__file__).parent / "data"
FOLDERS = DATA / "tiny_transformers"
COMPANION = Path(__file__).parents[1] / "companions" / "minilm"
FAMILIES = ("bert", "distilbert", "roberta", "gpt2")
LAYERS = ("embeddings", "block1", "block2")


def expected(path):
    golden = np.load(path, allow_pickle=False)
    return json.loads(str(golden["texts"])), json.loads(str(golden["token_ids"])), golden


def ids_of(spec, texts, max_tokens):
    return [tokenizer_of(spec.input.tokenizer, max_tokens).ids(text).tolist() for text in texts]


def assert_close(found, wanted, tolerance):
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * np.abs(wanted).max())


@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_are_those_that_transformers_computes(family):
    texts, ids, golden = expected(FOLDERS / family / "expected.npz")
    spec = folder_spec(FOLDERS / family)
    assert ids_of(spec, texts, 64) == ids
    last = "final_norm" if family == "gpt2" else "block3"
    extractor = PretrainedFeatureExtractor(
        FOLDERS / family, layer=[*LAYERS, last], engine="tensorflow"
    )
    found = extractor.fit_transform(texts).reshape(golden["block_means"].shape)
    assert_close(found, golden["block_means"], 1e-5)
    names = [variable.path for variable in build_model(spec, ()).weights]
    assert names == list(TransformerConfig.of(spec.architecture).shapes())


@pytest.fixture
def companion(monkeypatch):
    """The companion's folder on the path, as if it were installed."""
    monkeypatch.syspath_prepend(COMPANION)


def test_the_companion_computes_what_sentence_transformers_does(companion, tmp_path):
    texts, ids, golden = expected(DATA / "golden_minilm_l6.npz")
    layers = ["embeddings", *(f"block{number}" for number in range(1, 7))]
    extractor = PretrainedFeatureExtractor("minilm_l6", layer=layers, engine="tensorflow")
    with pytest.warns(UserWarning, match="1 of 30 texts have more than max_tokens=256 tokens"):
        found = extractor.fit(texts).transform(texts)
    found = found.reshape(30, 7, 384)
    assert_close(found, golden["block_means"], 1e-4)
    assert_close(found[:, -1], golden["features"], 1e-4)
    assert ids_of(extractor.backbone_, texts, 256) == ids
    (row,) = (row for row in list_backbones() if row.name == "minilm_l6")
    assert (row.source, row.parameters) == ("companion", extractor.backbone_.n_parameters)
    # Its weights are named in files and pickles, which do not hold them.
    extractor.save(tmp_path / "extractor")
    assert (tmp_path / "extractor").stat().st_size < 10_000
    assert len(pickle.dumps(extractor)) < 10_000
    assert_array_equal(load(tmp_path / "extractor").transform(texts[:3]), found[:3].reshape(3, -1))


def test_without_the_companion_the_way_to_it_is_told(monkeypatch):
    monkeypatch.setattr(companions, "find_spec", lambda name: None)
    text_networks.companion_spec.cache_clear()
    with pytest.raises(ImportError, match="pip install './companions/minilm'"):
        text_networks.companion_spec()


# Folders ---------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    """A folder of BERT's files, to be changed."""
    copied = tmp_path / "bert"
    shutil.copytree(FOLDERS / "bert", copied)
    for path in copied.iterdir():
        path.chmod(0o644)
    return copied


def refused(folder, match):
    with pytest.raises(ValueError, match=match) as caught:
        PretrainedFeatureExtractor(folder).fit(["a fox"])
    assert str(folder) in str(caught.value)


def changed(path, **settings):
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def rewritten(path, change):
    """Let `change` work on the header of a safetensors file."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    text = change(header)
    text = text if isinstance(text, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data[8 + length :])


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "tokenizer.json"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    if name == "config.json":
        with pytest.raises(ValueError, match="there is no config.json"):
            folder_spec(folder)
    else:
        refused(folder, f"there is no {name}")


def test_pickles_are_not_read(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(folder, "its weights are in a pickle, which can run code")


@pytest.mark.parametrize("family", ["t5", "llama", None, ["bert"]])
def test_other_families_are_refused_by_name(folder, family):
    changed(folder / "config.json", model_type=family)
    with pytest.raises(ValueError, match="but only bert, roberta, distilbert, gpt2 are supported"):
        folder_spec(folder)


@pytest.mark.parametrize(
    "settings, match",
    [
        ({"hidden_act": "quick_gelu"}, "asks for the activation 'quick_gelu'"),
        ({"position_embedding_type": "relative_key"}, "position_embedding_type='relative_key'"),
        ({"is_decoder": True}, "is_decoder=True"),
        ({"num_attention_heads": 5}, "do not describe a transformer"),
        ({"num_hidden_layers": 10**9}, "do not describe a transformer"),
        ({"hidden_size": "32"}, "do not describe a transformer"),
        ({"num_hidden_layers": 4}, "lack the tensor 'encoder.layer.3.attention.self.query.weight'"),
        ({"intermediate_size": 64}, "'block1_inner/kernel' have the shape .32, 48."),
        ({"vocab_size": 100}, "tokenizer.json has 160 tokens"),
    ],
)
def test_configurations_that_do_not_fit_are_refused(folder, settings, match):
    changed(folder / "config.json", **settings)
    refused(folder, match)


@pytest.mark.parametrize(
    "change, match",
    [
        (lambda h: h.clear(), "bytes after its last tensor"),
        (lambda h: h["pooler.dense.bias"].pop("shape"), "by dtype, shape and offsets"),
        (lambda h: h["pooler.dense.bias"].update(dtype="F64"), "not have the number of bytes that"),
        (lambda h: h["pooler.dense.bias"].update(dtype="pickle"), "which is not supported"),
        (
            lambda h: h["pooler.dense.bias"].update(shape=[-32]),
            "an invalid shape or invalid offsets",
        ),
        (lambda h: h["pooler.dense.bias"].update(data_offsets=[0, 128]), "does not begin where"),
        (lambda h: b"{]", "its header is not JSON"),
        (lambda h: b"[]", "its header is not a table"),
        (lambda h: b'{"a": 1, "a": 2}', "has a name twice"),
        (lambda h: b"\xff{}", "its header is not JSON"),
    ],
)
def test_damaged_headers_are_refused(folder, change, match):
    rewritten(folder / "model.safetensors", change)
    with pytest.raises(ValueError, match=match):
        folder_spec(folder)


def test_no_cut_and_no_flipped_byte_of_the_header_goes_unseen(folder):
    path = folder / "model.safetensors"
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    tensors = {name: array.tobytes() for name, array in open_tensors(path).items()}
    (length,) = struct.unpack("<Q", whole[:8])
    for end in rng.integers(0, len(whole), 60):
        path.write_bytes(whole[:end])
        with pytest.raises(ValueError, match="cut off"):
            open_tensors(path)
    for place in rng.integers(0, 8 + length, 200):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            found = open_tensors(path)
        except ValueError:
            continue
        # What is opened all the same has another name, or another dtype of the same size.
        assert (
            set(found) != set(tensors)
            or any(found.entries[name]["dtype"] != "F32" for name in found)
            or {n: a.tobytes() for n, a in found.items()} == tensors
        )


def test_other_dtypes_and_old_names_are_read(folder):
    path = folder / "model.safetensors"
    before = folder_spec(folder).weights
    tensors = {name: array for name, array in open_tensors(path).items()}
    half = {
        f"bert.{name}".replace("LayerNorm.weight", "LayerNorm.gamma"): array.astype(np.float16)
        for name, array in tensors.items()
    }
    write_tensors(path, half, "F16")
    for found, wanted in zip(folder_spec(folder).weights, before, strict=True):
        assert_close(found, wanted, 2e-3)
    rounded = {n: (a.view(np.uint32) >> 16).astype(np.uint16) for n, a in tensors.items()}
    write_tensors(path, rounded, "BF16")
    for found, wanted in zip(folder_spec(folder).weights, before, strict=True):
        assert_close(found, wanted, 2e-2)


def write_tensors(path, arrays, dtype):
    header, place = {}, 0
    for name, array in arrays.items():
        offsets = [place, place + array.nbytes]
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": offsets}
        place = offsets[1]
    text = json.dumps(header).encode()
    content = b"".join(array.tobytes() for array in arrays.values())
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)


def test_a_folder_that_changes_is_another_backbone(folder):
    path = folder / "model.safetensors"
    first, data = resolve(folder), path.read_bytes()
    assert resolve(folder) is first
    start = len(data) - sum(array.nbytes for array in open_tensors(path).values())
    half = struct.pack("<f", 0.5)
    path.write_bytes(data[:-4] + half)
    assert resolve(folder) == first  # the pooler, which comes last, is not read
    path.write_bytes(data[:start] + half + data[start + 4 :])
    assert resolve(folder) != first


def test_a_folder_under_a_name_and_a_model_with_a_tokenizer():
    import keras

    handle = register_backbone("tiny_bert", FOLDERS / "bert")
    assert handle == folder_spec(FOLDERS / "bert")
    found = PretrainedFeatureExtractor("tiny_bert", engine="tensorflow").fit_transform(["a fox"])
    ids = keras.Input((None,), dtype="int32")
    model = keras.Model(ids, keras.layers.Embedding(160, 4)(ids))
    own = register_backbone("words", model, tokenizer=FOLDERS / "bert" / "tokenizer.json")
    words = PretrainedFeatureExtractor(own, pooling="max", engine="tensorflow")
    assert (found.shape, words.fit_transform(["a fox"]).shape) == ((1, 32), (1, 4))
    with pytest.raises(ValueError, match="takes rows of shape .3,. of float32; with a tokenizer"):
        other = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
        register_backbone("no", other, tokenizer=FOLDERS / "bert" / "tokenizer.json")


@pytest.mark.parametrize("family, last", [("bert", "block3"), ("gpt2", "final_norm")])
def test_stages_are_the_embeddings_and_the_blocks(family, last):
    points = freeze_points(FOLDERS / family, measure=False)
    assert [point.layer for point in points] == ["embeddings", "block1", "block2", last]
    assert points[-1].frozen_parameters == folder_spec(FOLDERS / family).n_parameters
    assert points[0].shape == (None, 32)


def test_save_keeps_the_tokenizer(tmp_path):
    texts = ["a fox", "two hours", "the lazy fox", "a good cast"]
    classifier = FineTunedClassifier(FOLDERS / "gpt2", freeze_depth="all", epochs=1)
    classifier.fit(texts, [0, 1, 0, 1]).save(tmp_path / "model")
    again = load(tmp_path / "model")
    assert again.backbone_.input.tokenizer == classifier.backbone_.input.tokenizer
    assert_array_equal(again.predict_proba(texts), classifier.predict_proba(texts))
