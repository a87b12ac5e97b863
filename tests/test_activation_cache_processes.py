"""Many processes share the cache, and any of them may die at any moment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from activation_cache_helpers import TESTS
from skltransfer.cache import holding, open_cache
from skltransfer.cache import session as _session

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork to test")
needs_proc = pytest.mark.skipif(
    not os.path.isdir("/proc/self"), reason="only /proc tells when a process started"
)

KILLED = """
import os, random, signal, sys, time, traceback, warnings
from activation_cache_helpers import NAMESPACE, another_process, gathered, keys_of, rows_of
from skltransfer.cache import open_cache

warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)

n_kills, location = int(sys.argv[2]), sys.argv[1]
cache, keys = open_cache(location, budget=1 << 22), keys_of(200)

main = os.getpid()

def work():
    '''Locks, computes and stores blocks of rows, until it is killed.'''
    while os.getppid() == main:
        i = random.randrange(190)
        some = keys[i : i + random.randrange(1, 10)]
        with cache.lock(NAMESPACE, some) as lock:
            mine = [key for key, free in zip(some, lock.mine) if free]
            cache.put(NAMESPACE, mine, rows_of(mine))
            cache.count_work("segment", len(mine))
        gathered(cache, some)
        if random.random() < 0.02:
            cache.clear()

n_found = 0
for kill in range(n_kills):
    pids = []
    for child in range(2):
        pid = os.fork()
        if pid == 0:
            random.seed(2 * kill + child)
            try:
                work()
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        pids.append(pid)
    random.seed(kill)
    time.sleep(random.random() * 0.06)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL, "a child failed before it was killed"
    n_found += gathered(another_process(cache), keys).sum()
    gathered(cache, keys)
    with cache.lock(NAMESPACE, keys) as lock:
        assert (lock.mine | cache.contains(NAMESPACE, keys)).all(), "a dead process holds locks"
    cache.info()
assert n_found > 0
cache.put(NAMESPACE, keys, rows_of(keys))
assert gathered(another_process(cache), keys).all()
"""


@needs_fork
def test_killed_processes_leave_nothing_damaged_and_nothing_locked(tmp_path, in_fresh_process):
    """Set SKLTRANSFER_TEST_KILLS to a larger number for a longer test."""
    n_kills = os.environ.get("SKLTRANSFER_TEST_KILLS", "20")
    in_fresh_process(KILLED, tmp_path, n_kills, PYTHONPATH=TESTS)


FORKED = """
import os, sys, threading, warnings
from activation_cache_helpers import NAMESPACE, gathered, keys_of, rows_of
from skltransfer.cache import open_cache

warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)

cache, keys = open_cache(sys.argv[1]), keys_of(4)
cache.put(NAMESPACE, keys[:1], rows_of(keys[:1]))
cache.count_work("segment", 1)
gathered(cache, keys)
lock = cache.lock(NAMESPACE, keys[:2])
cache._work._lock.acquire(), cache._rows._lock.acquire(), cache._counting.acquire()
pid = os.fork()
if pid == 0:
    assert open_cache(sys.argv[1]) is cache
    assert cache.info().hits == 0
    assert gathered(cache, keys).sum() == 1
    with cache.lock(NAMESPACE, keys) as others:
        assert others.mine.tolist() == [False, False, True, True]
    lock.release()
    with cache.lock(NAMESPACE, keys) as others:
        assert others.mine.tolist() == [False, False, True, True], "it was not the child's"
    cache.put(NAMESPACE, keys[2:], rows_of(keys[2:]))
    cache.count_work("segment", 2)
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
cache._work._lock.release(), cache._rows._lock.release(), cache._counting.release()
assert gathered(cache, keys).sum() == 3
assert cache.info().rows_computed == {"segment": 3}
"""


@needs_fork
def test_a_forked_child_has_the_rows_of_its_parent_but_not_its_locks(tmp_path, in_fresh_process):
    in_fresh_process(FORKED, tmp_path, PYTHONPATH=TESTS)


# ---------------------------------------------------------------- "memory"

WORKERS = """
import os
import joblib
from joblib.externals import loky
from activation_cache_helpers import NAMESPACE, gathered, keys_of, rows_of
from skltransfer.cache import open_cache
from skltransfer.cache.session import session

keys = keys_of(6)

def put(i):
    cache = open_cache("memory")
    cache.put(NAMESPACE, keys[i : i + 1], rows_of(keys[i : i + 1]))
    cache.count_work("segment", 1)

def look(_):
    return gathered(open_cache("memory"), keys).all()

def nested():
    with loky.ProcessPoolExecutor(1) as pool:
        return pool.submit(session).result()

parallel = joblib.Parallel(n_jobs=2)
parallel(joblib.delayed(put)(i) for i in range(5))   # the workers need it first
cache = open_cache("memory")
assert gathered(cache, keys)[:5].all(), "the parent does not see what its workers have put"
cache.put(NAMESPACE, keys[5:], rows_of(keys[5:]))
assert all(parallel(joblib.delayed(look)(i) for i in range(4)))
assert cache.info().rows_computed == {"segment": 5}
assert parallel([joblib.delayed(nested)()]) == [session()]
print(cache.info().location)
"""


@needs_proc
def test_workers_share_memory_with_their_parent_until_it_ends(in_fresh_process):
    pytest.importorskip("joblib")
    folder = in_fresh_process(WORKERS, PYTHONPATH=TESTS)[0].strip()
    assert os.path.basename(folder).startswith("skltransfer-")
    assert not os.path.exists(folder)


STARTED = """
import multiprocessing, sys, warnings
from concurrent.futures import ProcessPoolExecutor
from skltransfer.cache.session import session

warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)

with ProcessPoolExecutor(1, multiprocessing.get_context(sys.argv[1])) as pool:
    assert pool.submit(session).result() == session()
"""


@needs_proc
@pytest.mark.parametrize("method", ["spawn", "forkserver", "fork"])
def test_workers_find_their_parent_however_they_were_started(method, in_fresh_process):
    in_fresh_process(STARTED, method)


ONLY_THE_WORKER = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from skltransfer.cache import session as _session

with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
    print(pool.submit(_session.session).result()[0])
"""


@needs_proc
def test_a_session_that_only_workers_used_ends_with_the_parent(in_fresh_process):
    folder, _ = in_fresh_process(ONLY_THE_WORKER)
    assert not os.path.exists(folder.strip())


@pytest.fixture
def one_base(tmp_path, monkeypatch):
    monkeypatch.setattr(_session, "_bases", lambda: [str(tmp_path)])
    return tmp_path


def test_a_session_is_private_and_sticks_to_its_budget(one_base, monkeypatch):
    folder, budget = _session.session()
    assert os.path.dirname(folder) == str(one_base)
    assert os.stat(folder).st_mode & 0o777 == 0o700 or sys.platform == "win32"
    monkeypatch.setattr(_session, "memory_budget", lambda: budget // 2)
    assert _session.session() == (folder, budget)


@needs_proc
def test_what_killed_processes_left_is_removed(one_base):
    ours = os.path.basename(_session.session()[0])
    prefix = ours.rpartition("-")[0]
    reused = f"{prefix}-12345"  # our number, but another start
    gone = f"{prefix.rpartition('-')[0]}-{2**22 + 1}-99"
    foreign = "skltransfer-notes"
    for name in (reused, gone, foreign):
        (one_base / name).mkdir()
    (one_base / ours / "budget").unlink()
    (one_base / ours).rmdir()
    _session.session()
    assert sorted(path.name for path in one_base.iterdir()) == sorted([ours, foreign])


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="there are no such modes")
@pytest.mark.parametrize("trap", ["link", "writable"])
def test_a_folder_that_others_can_write_to_is_not_used(one_base, trap):
    folder, _ = _session.session()
    os.rename(folder, folder + "-moved")
    if trap == "link":
        os.symlink(folder + "-moved", folder)
    else:
        os.mkdir(folder)
        os.chmod(folder, 0o777)
    with pytest.warns(UserWarning, match="cache='memory' keeps nothing: no private folder"):
        assert not open_cache("memory").keeps_rows


HELD = """
import os, sys, time
from skltransfer.cache.session import session

print(session()[0], os.getpid(), flush=True)
time.sleep(60)
"""


def first_line(process):
    return process.stdout.readline().strip()


def wait_until(condition):
    give_up = time.monotonic() + 60
    while not condition() and time.monotonic() < give_up:
        time.sleep(0.01)
    assert condition()


@pytest.fixture
def held():
    """Start processes that hold their session until they are killed."""
    processes = []

    def start(name):
        command = [sys.executable, "-W", "error", "-c", HELD]
        environment = {**os.environ, "SKLTRANSFER_SESSION": name}
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@needs_proc
def test_processes_with_one_name_share_a_session_until_the_last_is_killed(held):
    first, second = (held("job 7") for _ in range(2))
    folder, _ = first_line(first).split()
    assert folder == first_line(second).split()[0]
    assert folder != first_line(held("job 8")).split()[0]
    first.kill()
    first.wait()
    assert os.path.isdir(folder)
    second.kill()
    wait_until(lambda: not os.path.exists(folder))


@needs_proc
@pytest.mark.parametrize("mark", ["pyspark.daemon", "ray::work"])
def test_workers_of_an_engine_share_a_session_until_the_last_is_killed(mark, monkeypatch):
    """An engine's own process, here a shell, neither knows the folder nor removes it."""
    monkeypatch.setenv("MARK", mark)  # only the workers' command lines have it
    script = '"$0" -c "$1" "$MARK" & "$0" -c "$1" "$MARK" & wait'
    command = ["sh", "-c", script, sys.executable, HELD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as engine:
        folders, workers = zip(*[first_line(engine).split() for _ in range(2)], strict=True)
        is_there = os.path.isdir(folders[0])
        for worker in workers:
            os.kill(int(worker), signal.SIGKILL)
    assert is_there
    assert folders[0] == folders[1]
    wait_until(lambda: not os.path.exists(folders[0]))


@needs_proc
def test_a_named_session_that_nobody_holds_is_removed(one_base, monkeypatch):
    monkeypatch.setenv("SKLTRANSFER_SESSION", "mine")
    monkeypatch.setattr(holding, "_WAIT_AND_REMOVE", "true")  # as if it had been killed
    monkeypatch.setattr(holding, "_held", {})
    folder, _ = _session.session()
    monkeypatch.setenv("SKLTRANSFER_SESSION", "another")
    _session.session()
    assert os.path.isdir(folder)
    for pipe in holding._held.values():
        os.close(pipe)
    holding._held.clear()
    monkeypatch.setenv("SKLTRANSFER_SESSION", "a third")
    other, _ = _session.session()
    assert [path.name for path in one_base.iterdir()] == [os.path.basename(other)]
