"""Grid searches beside other ways to do them, and beside the time that they take at least.

Usage: ``python benchmarks/grid_search.py DATA [--tasks head number tuning growth] [--arms ours
...]``, where DATA holds a folder of JPEG files for each class. Forty minutes on two cores;
``--images 40 --quick`` tries everything in a few. Arms are described in ``grid_search_arms.py``;
each runs in a process of its own. The short ones among them take turns three times; the median
counts, and the range is told. Tables are printed as Markdown.

The bound is N decoding + N prefix + the sum over fits of [epochs x n_train x training at the freeze
point + n_scored x forward from the freeze point + head] + bytes read / bandwidth, the final fit
included, every unit time being the fastest measured among skltransfer, plain Keras and OpenVINO in
the same run.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ARMS = {
    "head": ["ours", "ours_two_workers", "ours_uncached", "keras_loop", "keras_wrapper", "by_hand"],
    "number": ["ours", "keras_loop"],
    "tuning": ["ours", "ours_uncached", "keras_loop", "keras_wrapper"],
    "growth": ["ours", "ours_uncached"],
}
SHORT = {"head": ["ours", "ours_two_workers", "by_hand"]}
TURNS = 3
TITLES = {
    "ours": "skltransfer",
    "ours_two_workers": "skltransfer, n_jobs=2, one thread each",
    "ours_uncached": "skltransfer, cache=None",
    "keras_loop": "plain Keras loop",
    "keras_wrapper": "keras.wrappers in GridSearchCV",
    "by_hand": "features extracted once, scikit-learn's MLP",
}
ONE_THREAD = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="folder of class folders")
    parser.add_argument("--tasks", nargs="+", choices=ARMS, default=list(ARMS))
    parser.add_argument("--arms", nargs="+", choices=TITLES, default=list(TITLES))
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="fewer candidates, to try it out")
    parser.add_argument("--results", type=Path, help="also written to this file, as JSON")
    options = parser.parse_args()
    sys.stdout.reconfigure(line_buffering=True)
    found = {}
    for name in options.tasks:
        arms = [arm for arm in ARMS[name] if arm in options.arms]
        if name == "growth":
            found[name] = report_growth(tuning(options), arms)
        else:
            found[name] = report(name, DESCRIPTIONS[name](options), arms)
        if options.results:
            options.results.write_text(json.dumps(found, indent=1))


def head(options):
    """Head only: 3 head sizes and 4 learning rates."""
    rates = [1e-3] if options.quick else [1e-4, 3e-4, 1e-3, 3e-3]
    return task(options, ["all"], [[], [64], [128]], rates)


def number(options):
    """The same heads with the number of the class as the target of a regression."""
    return {**head(options), "numbers": True}


def tuning(options):
    """Fine-tuning: 4 freeze depths, 2 head sizes and 3 learning rates."""
    heads = [[]] if options.quick else [[], [64]]
    rates = [3e-4] if options.quick else [1e-4, 3e-4, 1e-3]
    return task(options, ["all", -1, -2, -3], heads, rates)


def task(options, depths, heads, rates):
    return {
        "data": options.data,
        "images": options.images,
        "epochs": options.epochs,
        "folds": options.folds,
        "depths": depths,
        "heads": heads,
        "rates": rates,
        "numbers": False,
    }


DESCRIPTIONS = {"head": head, "number": number, "tuning": tuning}


def report(name, described, arms):
    """One table of all arms, and the bound."""
    turns = [run_all(arms, described)]
    short = [arm for arm in SHORT.get(name, []) if arm in arms]
    turns += [run_all(short, described) for _ in range(TURNS - 1) if short]
    results = {arm: median_of([turn[arm] for turn in turns if arm in turn]) for arm in arms}
    units = run("units", described)
    n_candidates = len(described["depths"]) * len(described["heads"]) * len(described["rates"])
    print(
        f"\n### {name}: {n_candidates} candidates, {described['folds']} folds, "
        f"{described['images']} images, {described['epochs']} epochs\n"
    )
    limit = units["bound"]["total"]
    reference = results.get("ours", next(iter(results.values())))["seconds"]
    print("| way | seconds | of skltransfer's | of the bound | best score | peak MB |")
    print("|---|---|---|---|---|---|")
    for arm, result in results.items():
        title = TITLES[arm] + (f" (from {result['measured']})" if "measured" in result else "")
        seconds = result["seconds"]
        print(
            f"| {title} | {seconds:.1f}{told_range(result)} | {seconds / reference:.2f} "
            f"| {seconds / limit:.2f} | {result['score']:.3f} | {result['peak MB']:.0f} |"
        )
    print_bound(units)
    print_ours(results)
    print_beside_hand(turns)
    return {"arms": results, **units}


def run_all(arms, described):
    return {arm: run(arm, described) for arm in arms}


def median_of(results):
    """The result with the median of the times, and their range."""
    ordered = sorted(results, key=lambda result: result["seconds"])
    range_ = ordered[0]["seconds"], ordered[-1]["seconds"]
    return {**ordered[len(ordered) // 2], "range": range_}


def told_range(result):
    low, high = result["range"]
    return f" ({low:.1f} to {high:.1f})" if low < high else ""


def print_bound(units):
    parts = ", ".join(f"{part} {seconds:.1f}" for part, seconds in units["bound"].items())
    print(f"\nThe bound in seconds: {parts}. Its unit times in microseconds:\n")
    print("| what | fastest | all ways |\n|---|---|---|")
    for what, ways in units["units"].items():
        scale = 1e12 if what == "bytes" else 1e6
        label = "a megabyte read" if what == "bytes" else what
        listed = ", ".join(f"{way} {scale * seconds:.0f}" for way, seconds in ways.items())
        print(f"| {label} | {scale * min(ways.values()):.0f} | {listed} |")


def print_ours(results):
    """What the cache did, and how long a second search takes beside its heads alone."""
    for arm, result in results.items():
        if "again" not in result:
            continue
        epochs = f"with epochs={result['again epochs']}"
        line = f"\n{TITLES[arm]}: the same search again {epochs} {result['again']:.1f} s"
        if result["bookkeeping"] is not None:
            alone = result["again"] - result["bookkeeping"]
            line += (
                f", of which {result['bookkeeping']:.1f} s are digests, look-ups and reading: "
                f"{result['again'] / alone:.2f} times the training alone, and "
                f"{result['bookkeeping'] / result['seconds']:.1%} of the first search"
            )
        rows = ", ".join(map(str, result["rows through each stretch"]))
        print(f"{line}. Rows through each stretch: {rows}; {result['MB kept']:.0f} MB are kept.")


def print_beside_hand(turns):
    """What extracting once by hand takes, and skltransfer beside it in the same turns."""
    both = [(turn["ours"], turn["by_hand"]) for turn in turns if {"ours", "by_hand"} <= turn.keys()]
    if both:
        ratios = sorted(ours["seconds"] / hand["seconds"] for ours, hand in both)
        extracting = median_of([hand for _, hand in both])["extracting"]
        print(
            f"\nExtracting once by hand takes {extracting:.1f} s of its time. skltransfer's search "
            f"takes {ratios[len(ratios) // 2]:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) times as "
            "long as the whole."
        )


def report_growth(described, arms):
    """How the time grows, on a grid over freeze depth alone, half the images and one epoch."""
    smaller = {"heads": [[]], "rates": [3e-4], "epochs": 1, "images": described["images"] // 2}
    base = {**described, **smaller}
    cases = {
        "as it is": base,
        "one more fold": {**base, "folds": base["folds"] + 1},
        "one more candidate (-4)": {**base, "depths": [*base["depths"], -4]},
        "twice the images": {**base, "images": 2 * base["images"]},
    }
    results = {case: {arm: run(arm, given) for arm in arms} for case, given in cases.items()}
    print(f"\n### growth: freeze depths {base['depths']}, {base['images']} images\n")
    print(f"| search | {' | '.join(TITLES[arm] for arm in arms)} |\n|---|{'---|' * len(arms)}")
    for case, found in results.items():
        cells = []
        for arm in arms:
            seconds = found[arm]["seconds"]
            cells.append(f"{seconds:.1f} s ({seconds / results['as it is'][arm]['seconds']:.2f})")
        print(f"| {case} | {' | '.join(cells)} |")
    return results


def run(arm, described):
    """Run an arm in a process of its own; its errors end the benchmark."""
    print(f"running {arm} ...", file=sys.stderr, flush=True)
    script = Path(__file__).with_name("grid_search_arms.py")
    environment = {**os.environ, **(ONE_THREAD if arm == "ours_two_workers" else {})}
    finished = subprocess.run(
        [sys.executable, str(script), arm, json.dumps(described)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(finished.stdout.splitlines()[-1])


if __name__ == "__main__":
    main()
