"""Progress is shown wherever Python runs: in terminals, notebooks, logs and workers."""

from __future__ import annotations

import io
import re
import sys
import threading
from types import SimpleNamespace

import pytest

from skltransfer.progress import amount, bars, places, progress_bar, tell


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless it is set."""
    now = SimpleNamespace(seconds=0.0)
    fake = SimpleNamespace(monotonic=lambda: now.seconds)
    monkeypatch.setattr(amount, "time", fake)
    monkeypatch.setattr(bars, "time", fake)
    return now


@pytest.fixture
def notebook(monkeypatch):
    """All states of a bar in a kernel of IPython, which need not be installed."""
    states = []

    def show(content, raw, display_id):
        states.append(content["text/plain"])
        return SimpleNamespace(update=lambda new, raw: states.append(new["text/plain"]))

    shell = SimpleNamespace(kernel=object())
    fake = SimpleNamespace(get_ipython=lambda: shell, display=SimpleNamespace(display=show))
    monkeypatch.setitem(sys.modules, "IPython", fake)
    return states


def count_to(total, verbose=1, steps=10, each=lambda: None):
    with progress_bar("rows", total, verbose) as bar:
        for _ in range(steps):
            each()
            bar(total / steps)


def test_without_verbose_nothing_is_shown(capfd):
    count_to(10, verbose=0)
    assert capfd.readouterr() == ("", "")


def test_a_pipe_gets_one_line_of_a_short_task(capfd):
    count_to(1200)
    assert capfd.readouterr() == ("", "skltransfer: rows: 1,200/1,200, 0:00\n")


def test_a_log_gets_lines_now_and_then_of_a_long_task(capfd, clock):
    def pass_time():
        clock.seconds += 4

    count_to(1000, each=pass_time)
    lines = capfd.readouterr().err.splitlines()
    assert lines == [
        "skltransfer: rows: 200/1,000, 0:08, 0:32 left",
        "skltransfer: rows: 400/1,000, 0:16, 0:24 left",
        "skltransfer: rows: 600/1,000, 0:24, 0:16 left",
        "skltransfer: rows: 800/1,000, 0:32, 0:08 left",
        "skltransfer: rows: 1,000/1,000, 0:40",
    ]


def test_a_very_long_task_tells_of_itself_every_minute(capfd, clock):
    with progress_bar("rows", 100, 1, counted=False) as bar:
        bar.tell("epoch 1/9")
        for clock.seconds in (30, 70, 3600):
            bar(1)
    first, second, last = capfd.readouterr().err.splitlines()
    assert first == "skltransfer: rows: 2%, 1:10, 57:10 left  epoch 1/9"
    assert second.startswith("skltransfer: rows: 3%, 1:00:00, 32:20:00 left")
    assert last == second


def test_a_terminal_gets_a_bar(monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with progress_bar("fine-tuning", 10, 1, counted=False) as bar:
        bar(5)
        bar.tell("epoch 1/2")
        bar.finish()
    plain = re.sub(r"\x1b\[[0-9;?]*\w", "", sys.stderr.getvalue())
    assert re.search("fine-tuning ━+ 100% .*epoch 1/2", plain)


def test_a_notebook_gets_a_bar_without_widgets(notebook, clock, capfd):
    def pass_time():
        clock.seconds += 1

    count_to(4, steps=4, each=pass_time)
    assert notebook[0] == "rows " + "░" * 24 + " 0/4 0:00"
    assert notebook[2] == "rows " + "█" * 12 + "░" * 12 + " 2/4 0:02, 0:02 left"
    assert notebook[-1] == "rows " + "█" * 24 + " 4/4 0:04"
    assert capfd.readouterr() == ("", "")


def test_a_notebook_is_not_sent_every_row(notebook, clock):
    count_to(1000, steps=1000)
    assert len(notebook) == 2


def test_the_last_state_stays_after_an_error(notebook):
    with pytest.raises(RuntimeError, match="stop"), progress_bar("rows", 4, 1) as bar:
        bar(1)
        raise RuntimeError("stop")
    assert " 1/4 " in notebook[-1]


def test_threads_and_workers_write_lines_even_to_a_terminal(monkeypatch):
    monkeypatch.setattr(sys, "stderr", Terminal())
    thread = threading.Thread(target=count_to, args=(10,))
    thread.start()
    thread.join()
    monkeypatch.setattr(places.multiprocessing, "parent_process", object)
    count_to(20)
    of_thread, of_worker = sys.stderr.getvalue().splitlines()
    assert of_thread == "skltransfer: rows: 10/10, 0:00"
    assert re.fullmatch(r"skltransfer \(process \d+\): rows: 20/20, 0:00", of_worker)


def test_a_process_without_standard_error_shows_nothing(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    count_to(10)
    tell("nobody hears this")
