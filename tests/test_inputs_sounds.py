"""Sounds read as samples and as log-mel maps: every kind of X, lengths, rates and damaged files."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import BaseEstimator

from kinds_of_sounds import ACCEPTED, EXACT, INT16, RATE, REFUSED, UNREADABLE, WAV, encoded
from skltransfer import ReadError, SoundInput, UnreadableRowsWarning, sounds_from_folder
from skltransfer.inputs._input import empty_rows
from skltransfer.inputs.sounds.decoding import decode
from skltransfer.inputs.sounds.front_end import mel_weights
from skltransfer.inputs.sounds.waveforms import one_channel, resampled

GOLDEN = Path(__file__).parent / "data" / "golden_speech_embedding.npz"
INPUT = SoundInput(n_fft=512, n_mels=32, high_hz=3800.0, min_seconds=1.24)


class Reader(BaseEstimator):
    """An estimator that only reads, so that no network is needed."""

    def __init__(self, sample_rate=None, max_seconds=None, on_error="raise"):
        self.sample_rate = sample_rate
        self.max_seconds = max_seconds
        self.on_error = on_error


def opened(X, **settings):
    """X as `transform` reads it after `fit`."""
    reader = Reader(**settings)
    encoding, _ = INPUT.fit(reader, X, None, lambda size: True)
    return encoding.source(reader, X)


def maps(X, **settings):
    source = opened(X, **settings)
    out = empty_rows(INPUT.row_spec(()), len(source))
    source.load(range(len(source)), out)
    return list(out[0])


@pytest.fixture
def given(tmp_path, monkeypatch):
    """Make the X of a kind; its files lie in the home."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    return lambda X: X(tmp_path) if callable(X) else X


# The table -------------------------------------------------------------------------------------


def test_the_table_is_as_long_as_promised():
    assert len({**ACCEPTED, **UNREADABLE, **REFUSED}) >= 120


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted_with_the_right_samples(name, given):
    kind = ACCEPTED[name]
    source = opened(given(kind.X), **kind.settings)
    assert len(source) == len(kind.samples)
    for row, expected in enumerate(kind.samples):
        found = source.sound(row)
        assert found.rate == kind.rate
        samples = one_channel(found.samples)
        assert samples.dtype == np.float32
        np.testing.assert_allclose(samples, expected, atol=kind.atol, rtol=0)


@pytest.mark.parametrize("name", UNREADABLE)
def test_the_row_that_cannot_be_read_is_named_with_a_way_out(name, given):
    kind = UNREADABLE[name]
    X = [WAV, given(kind.X)]
    with pytest.raises(ReadError, match=kind.message) as caught:
        maps(X)
    assert caught.value.row == 1
    message = str(caught.value)
    assert message.startswith("row 1 (") and "cannot be read as a sound" in message
    assert message.endswith(".") and len(message) < 400
    source = opened(X, on_error="nan")
    out = empty_rows(INPUT.row_spec(()), 1)
    source.load([0], out)
    with pytest.raises(ReadError, match=kind.message):
        source.load([1], out)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_before_anything_is_read(name, given):
    kind = REFUSED[name]
    with pytest.raises(kind.error, match=kind.message) as caught:
        maps(given(kind.X), **kind.settings, on_error="nan")
    assert not isinstance(caught.value, ReadError)


# Maps ------------------------------------------------------------------------------------------


def test_maps_equal_the_golden_ones():
    with np.load(GOLDEN, allow_pickle=False) as golden:
        found, expected = maps(golden["waveforms"], sample_rate=RATE), golden["log_mel"]
    np.testing.assert_allclose(np.stack(found), expected, atol=1e-5)


def test_container_and_company_change_no_bit(tmp_path):
    (tmp_path / "a.flac").write_bytes(encoded(format="FLAC"))
    X = [WAV, str(tmp_path / "a.flac"), encoded(format="AIFF"), (RATE, INT16), (RATE, EXACT)]
    expected, *others = maps(X)
    for found in [*others, *maps(INT16[None], sample_rate=RATE), *maps([(RATE, INT16)] * 2)]:
        assert_array_equal(found, expected)


@pytest.mark.parametrize("n_samples", [1, 399, 400, 12_400, 19_839, 19_840, 19_841, 40_000])
def test_short_sounds_lie_in_the_middle_of_silence(n_samples):
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, n_samples)
    (found,) = maps(sound[None], sample_rate=RATE)
    missing = max(0, 19_840 - n_samples)
    padded = np.pad(sound, (missing // 2, missing - missing // 2))
    assert found.shape == ((len(padded) - 400) // 160 + 1, 32)
    assert_array_equal(found, maps(padded[None], sample_rate=RATE)[0])


def test_silence_is_the_floor():
    (found,) = maps(np.zeros((1, 100)), sample_rate=RATE)
    assert_array_equal(found, np.full_like(found, np.log(1e-3)))


def test_a_tone_is_found_in_its_band_at_every_rate():
    bands = set()
    for rate in (8000, 11_025, 16_000, 22_050, 44_100, 48_000):
        tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(2 * rate) / rate)
        (found,) = maps([(rate, tone)])
        assert abs(len(found) - 198) <= 1
        bands.add(int(found[50:150].mean(axis=0).argmax()))
    assert len(bands) == 1


def test_resampling_leaves_out_what_the_lower_rate_cannot_hold():
    time = np.arange(48_000) / 48_000
    high = np.sin(2 * np.pi * 12_000 * time).astype(np.float32)
    low = np.sin(2 * np.pi * 1000 * time).astype(np.float32)
    found = resampled(low + high, 48_000, 16_000)
    inside = slice(100, -100)
    np.testing.assert_allclose(found[inside], low[::3][inside], atol=2e-2)


def test_bands_are_triangles_that_meet():
    weights = mel_weights(INPUT.front_end)
    assert weights.shape == (32, 257) and weights.min() == 0 and weights.max() <= 1
    assert ((weights > 0).sum(axis=0) <= 2).all()


def test_the_power_of_two_that_holds_a_window():
    assert SoundInput(window=400).front_end.n_fft == 512
    assert SoundInput(window=512).front_end.n_fft == 512


@pytest.mark.parametrize(
    "settings",
    [
        {"sample_rate": 100},
        {"window": 1},
        {"hop": 500},
        {"n_mels": 300},
        {"n_fft": 256},
        {"low_hz": -1.0},
        {"high_hz": 9000.0},
        {"high_hz": 50.0},
        {"power": 3},
        {"floor": 0.0},
        {"min_seconds": -1.0},
    ],
)
def test_a_front_end_that_cannot_be_is_refused(settings):
    (name,) = settings
    with pytest.raises(ValueError, match=f"{name}=.* is not allowed: give a number from"):
        SoundInput(**settings)


# Arrays after a fit on files -------------------------------------------------------------------


@pytest.mark.parametrize(("X", "what"), [(EXACT[None], "X"), ([EXACT], "row 0 of X")])
def test_after_a_fit_on_files_arrays_need_pairs_or_another_fit(X, what):
    """The advice of fit, to set sample_rate, would change nothing on a fitted estimator."""
    reader = Reader()
    encoding, _ = INPUT.fit(reader, [WAV], None, lambda size: True)
    reader.sample_rate = RATE
    told = r"was fitted with sample_rate=None\. Pass pairs .* or fit again with sample_rate="
    with pytest.raises(ValueError, match=f"^{what} holds samples .*{told}"):
        encoding.source(reader, X)
    assert len(encoding.source(reader, [(RATE, EXACT)])) == 1


# Long sounds -----------------------------------------------------------------------------------


def test_long_sounds_are_cut_with_one_warning_that_counts_them():
    long = np.tile(EXACT, 60)  # 3 seconds
    X = [(RATE, long), encoded(long), encoded(long, "MP3"), (RATE, EXACT)]
    with pytest.warns(UserWarning, match=r"3 of 4 sounds are longer than max_seconds=2,") as caught:
        source = opened(X, max_seconds=2)
    assert len(caught) == 2  # of fit and of transform
    assert [len(source.sound(row).samples) for row in range(4)] == [32_000] * 3 + [800]


def test_files_too_small_to_be_long_are_not_opened_for_it(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("it was opened")

    monkeypatch.setattr("skltransfer.inputs.sounds.sources.is_longer", refuse)
    opened([WAV])


# Damage ----------------------------------------------------------------------------------------


def test_mutated_files_neither_crash_nor_write_on_standard_error():
    program = [sys.executable, str(Path(__file__).with_name("fuzz_sounds.py")), "120"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=300, check=True)
    assert done.stderr == ""
    assert "0 unexpected" in done.stdout


def test_the_process_that_decodes_mp3_is_replaced_when_it_ends():
    from skltransfer.inputs.sounds.mpeg import _decoders

    content = encoded(format="MP3")
    expected = decode(io.BytesIO(content), 60.0).samples
    (decoder,) = _decoders._idle
    decoder._process.kill()
    decoder._process.wait()
    with pytest.raises(ReadError, match="the decoder gave up on it"):
        maps([content])
    assert_array_equal(decode(io.BytesIO(content), 60.0).samples, expected)


def test_without_soundfile_the_command_that_installs_it_is_told(monkeypatch):
    from skltransfer.inputs.sounds import decoding

    monkeypatch.setitem(sys.modules, "soundfile", None)
    decoding.soundfile.cache_clear()
    with pytest.raises(ImportError, match=r"pip install 'skltransfer\[sound\]'"):
        decoding.soundfile()
    monkeypatch.undo()
    decoding.soundfile.cache_clear()


# Folders ---------------------------------------------------------------------------------------


def test_sounds_of_class_folders(tmp_path):
    for name in ("yes/1.wav", "yes/2.FLAC", "no/1.mp3"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(WAV)
    found = sounds_from_folder(tmp_path)
    assert found.target_names == ["no", "yes"]
    assert found.target.tolist() == [0, 1, 1]
    assert [Path(path).name for path in found.data] == ["1.mp3", "1.wav", "2.FLAC"]


def test_a_check_of_sounds_leaves_out_what_cannot_be_read(tmp_path):
    (tmp_path / "yes").mkdir()
    (tmp_path / "yes" / "1.wav").write_bytes(WAV)
    (tmp_path / "yes" / "2.wav").write_bytes(WAV[: len(WAV) // 2])
    told = r"leaves out 1 of 2 sounds as unreadable; .*2\.wav': its header"
    with pytest.warns(UnreadableRowsWarning, match=told):
        found = sounds_from_folder(tmp_path, check=True, labels="names")
    assert [Path(path).name for path in found.data] == ["1.wav"]
    assert found.target.tolist() == ["yes"]
    assert repr(found).startswith("1 sound in 1 class\n")


def test_folders_without_sounds_are_refused(tmp_path):
    (tmp_path / "yes").mkdir()
    (tmp_path / "yes" / "1.jpg").write_bytes(b"")
    with pytest.raises(
        ValueError, match=r"hold no sounds\. Only files that end in one of these count: \.aif"
    ):
        sounds_from_folder(tmp_path)
