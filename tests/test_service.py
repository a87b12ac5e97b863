"""The service of the documentation: right answers, and bad uploads as 4xx with the reason."""

from __future__ import annotations

import importlib.util
import io
import re
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bad_uploads import bad_uploads

pytest.importorskip("fastapi")
testclient = pytest.importorskip("fastapi.testclient")

SCRIPT = Path(__file__).parents[1] / "docs" / "examples" / "service.py"


def encoded(image, form="PNG"):
    file = io.BytesIO()
    Image.fromarray(image).save(file, form)
    return file.getvalue()


@pytest.fixture(scope="module")
def service():
    spec = importlib.util.spec_from_file_location("service", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def classifier(tiny, cats_and_dogs):
    from skltransfer import FineTunedClassifier

    return FineTunedClassifier(tiny, epochs=1, random_state=0, on_error="nan").fit(*cats_and_dogs)


@pytest.fixture(scope="module")
def client(service, classifier, tmp_path_factory):
    path = tmp_path_factory.mktemp("service") / "model.skltransfer"
    classifier.save(path)
    with testclient.TestClient(service.create_app(path)) as found:
        yield found


def test_it_is_ready_and_names_the_classes(client):
    assert client.get("/ready").json() == {"classes": ["cat", "dog"]}


def test_answers_are_those_of_the_classifier_whoever_asks_at_the_same_time(
    client, classifier, images
):
    files = [encoded(image) for image in images]
    expected = classifier.predict_proba(files)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda data: client.post("/predict", content=data), files * 4))
    for row, answer in enumerate(answers):
        found = answer.json()
        assert answer.status_code == 200
        assert list(found["probabilities"].values()) == expected[row % 8].tolist()
        assert found["class"] == classifier.classes_[expected[row % 8].argmax()]


def header_of_a_bomb():
    """A PNG that announces 3.6 billion pixels."""
    whole = bytearray(encoded(np.zeros((1, 1, 3), np.uint8)))
    whole[16:24] = (60_000).to_bytes(4, "big") * 2
    whole[29:33] = zlib.crc32(whole[12:29]).to_bytes(4, "big")
    return bytes(whole)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "it is empty"),
        (b"%PDF-1.7", "it is a PDF"),
        (b"<html>", "left by a failed download"),
        (b"PK\x03\x04", "it is a ZIP archive"),
        (b"no image at all", "it is text of no known image format"),
        (bytes(range(256)), "it is data of no known image format"),
        (header_of_a_bomb(), "its header announces 60,000x60,000 pixels"),
    ],
)
def test_bad_uploads_are_refused_with_the_reason(client, content, told):
    answer = client.post("/predict", content=content)
    assert answer.status_code == 422
    assert told in answer.json()["detail"]


def test_clients_read_what_is_wrong_and_no_advice_to_a_python_user(client):
    whole = encoded(np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8))
    truncated = whole[: len(whole) // 2]
    for content, told in [
        (b"", "it is empty."),
        (b"%PDF-1.7", "it is a PDF."),
        (b'{"image": ""}', "it is JSON."),
        (b"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4", "it is a file in base64."),
    ]:
        assert client.post("/predict", content=content).json()["detail"] == told
    told = client.post("/predict", content=truncated).json()["detail"]
    assert told.startswith("it is damaged or truncated (") and told.endswith(").")


def test_without_a_model_it_says_what_to_set(service, monkeypatch):
    monkeypatch.delenv("MODEL", raising=False)
    with pytest.raises(SystemExit, match=r"Set MODEL to the path of a file that save\(\) wrote"):
        service.create_app()


def test_truncated_images_are_refused_wherever_they_were_cut(client):
    noise = np.random.default_rng(0).integers(0, 256, (24, 24, 3), np.uint8)
    for form in ("PNG", "JPEG"):
        whole = encoded(noise, form)
        for end in np.linspace(1, 0.9 * len(whole), 100, dtype=int):
            answer = client.post("/predict", content=whole[:end])
            assert (answer.status_code, bool(answer.json()["detail"])) == (422, True)


def test_two_hundred_kinds_of_bad_uploads_are_refused_with_a_reason(client):
    kinds = bad_uploads()
    assert len(set(kinds.values())) >= 200
    for kind, content in kinds.items():
        answer = client.post("/predict", content=content)
        told = answer.json()["detail"]
        assert (kind, answer.status_code, bool(told)) == (kind, 422, True)
        assert not re.search(r"Pass |[Ll]eave |Replace |pip install|Say |Give |Convert ", told), (
            told
        )


def test_uploads_that_are_too_long_are_refused(client, service, monkeypatch):
    monkeypatch.setattr(service, "MAX_BYTES", 100)
    answer = client.post("/predict", content=bytes(101))
    assert (answer.status_code, answer.json()["detail"]) == (413, "At most 100 bytes are read.")


def test_more_requests_than_can_wait_are_turned_away(client, service, monkeypatch):
    monkeypatch.setattr(service, "MOST_WAITING", 0)
    answer = client.post("/predict", content=b"")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "1"
