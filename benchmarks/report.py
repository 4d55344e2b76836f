"""Write docs/benchmarks.md and its pictures from the newest results: every run does so at its end.

`python -m benchmarks.report` writes them without measuring. No figure on the page is typed by hand.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.measuring import PROJECT

RESULTS = PROJECT / "benchmarks" / "results"
PAGE = PROJECT / "docs" / "benchmarks.md"
IMAGES = PROJECT / "docs" / "images"
MACHINE = ("date", "commit", "cores", "memory_gb", "system", "python", "engine", "runs")
# Okabe and Ito's colours, told apart by the colour-blind too, and a marker for each.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8a939c")
MARKERS = "osD^vP*X"
WRITTEN = (
    "<!-- Written by benchmarks/report.py from benchmarks/results: change those, not this. -->"
)
HEAD = """# Benchmarks

What the commands cost, and what the same work costs by other means. Each table is one run on one
machine: compare within a table, not between tables. Events are those of the generator, bad rows
and duplicates among them. Seconds are medians over the runs; memory is that of the command, its
children and PostgreSQL together, at its highest. The files are in
[benchmarks/results](../benchmarks/results).
"""


@dataclass(frozen=True)
class Section:
    """A suite on the page: what it says, which column names a row, and which are drawn."""

    title: str
    text: str
    names: tuple[str, ...]
    drawn: dict[str, str]


COST = {"seconds": "seconds", "peak_memory_mb": "memory, MB"}
SECTIONS = {
    "commands": Section(
        "Whole commands",
        "As a user types them, the tests of `clickmart build` included.",
        ("command",),
        COST,
    ),
    "generate": Section(
        "The generator",
        "Events a second by format, the start of the engine left out.",
        ("command",),
        COST,
    ),
    "ingest": Section(
        "Loading, by format",
        "`clickmart ingest` beside a plain binary COPY of the same rows, which validates nothing. "
        "The ratios are times of the plain COPY in one process into tables without and with "
        "primary keys.",
        ("what",),
        COST,
    ),
    "ingest-parquet": Section(
        "Loading Parquet", "The same for Parquet alone.", ("what",), {"seconds": "seconds"}
    ),
    "alternatives": Section(
        "Loading, by other means",
        "The same Parquet files into the same PostgreSQL by what one would otherwise use, start of "
        "the program included. The ratio is in times of `clickmart ingest`, which validates each "
        "row, finds duplicates, keeps keys, commits once, and writes the lake and Spark's "
        "aggregates. The last column says what of this the others leave to their user.",
        ("what",),
        COST,
    ),
    "build": Section(
        "dbt's models",
        "All models without their tests: from nothing, behind a load of new events, and behind "
        "none. PostgreSQL has done its upkeep of the first before the others begin. The ratio is "
        "in times of the build from nothing.",
        ("what",),
        COST,
    ),
    "engines": Section(
        "Other engines",
        "Apache Spark instead of Sail for the load; DuckDB over the lake's Parquet files instead "
        "of PostgreSQL for the SQL of three models, with as many threads, each writing a table; "
        "one table of all events instead of partitions by month. A run ends with an error where "
        "DuckDB's results differ. The ratio is in times of what Clickmart uses.",
        ("what", "engine"),
        {"seconds": "seconds"},
    ),
    "reports": Section(
        "Reports",
        "What a dashboard waits for: one aggregate of the busiest month, and all rows of the view, "
        "fetched. Medians of nine queries.",
        ("report",),
        {"month_ms": "a month, ms", "all_rows_ms": "all rows, ms"},
    ),
    "storage": Section(
        "Room",
        "The same events in each place where they lie. Files and lake hold their items; in "
        "PostgreSQL these have a table of their own.",
        ("what",),
        {"bytes_per_event": "bytes per event"},
    ),
}


@dataclass(frozen=True)
class Run:
    """One file of results."""

    suite: str
    about: dict[str, Any]
    rows: list[dict[str, Any]]

    @classmethod
    def read(cls, path: Path) -> Run:
        """Read a file of results; its name says the suite. Raises KeyError for another file."""
        about = json.loads(path.read_text())
        rows = about.pop("results")
        common = f"{about['date']}-{about['cores']}-cores-{about['engine']}"
        return cls(path.stem.removeprefix(common).lstrip("-") or "commands", about, rows)

    @property
    def name(self) -> str:
        """The run's name among the newest ones."""
        return f"{self.suite}-{self.about['engine']}"

    @cached_property
    def sizes(self) -> list[int]:
        """The sizes it measured, in events."""
        return sorted({row["events"] for row in self.rows})

    @property
    def command(self) -> str:
        """The command that repeats it."""
        words = [] if self.suite == "commands" else ["--suite", self.suite]
        sessions = sorted({str(row["sessions"]) for row in self.rows}, key=int)
        words += ["--cores", str(self.about["cores"]), "--sessions", *sessions]
        words += ["--runs", str(self.about["runs"])] if "runs" in self.about else []
        engine = self.about["engine"]
        asked = "" if engine == "default" else f"CLICKMART_SPARK={engine} "
        return f'{asked}make bench ARGS="{" ".join(words)}"'


def newest(folder: Path) -> list[Run]:
    """Return the newest run of each suite and engine, in the order of the page."""
    runs = sorted(map(Run.read, folder.glob("*.json")), key=lambda run: run.about["date"])
    found = {run.name: run for run in runs if run.suite in SECTIONS}
    return sorted(found.values(), key=lambda run: (list(SECTIONS).index(run.suite), run.name))


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return the lines of a table of results, numbers to the right."""
    titles = [title.replace("_", " ") for title in rows[0]]
    sides = ["---" if isinstance(value, str) else "--:" for value in rows[0].values()]
    cells = [[_cell(value) for value in row.values()] for row in rows]
    return [f"| {' | '.join(titles)} |", f"|{'|'.join(sides)}|"] + [
        f"| {' | '.join(row)} |" for row in cells
    ]


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else f"{value:,}"


def page(runs: Iterable[Run]) -> str:
    """Return the page of the runs, as Markdown."""
    return "\n".join([WRITTEN, "", HEAD, *(line for run in runs for line in _section(run))])


def _section(run: Run) -> list[str]:
    section, about = SECTIONS[run.suite], run.about
    versions = ", ".join(f"{k} {v}" for k, v in about.items() if k not in MACHINE)
    engine = "" if about["engine"] == "default" else f", CLICKMART_SPARK={about['engine']}"
    title = section.title + ("" if not engine else f" ({about['engine']})")
    machine = f"{about['cores']} cores, {about['memory_gb']} GB, {about['system']}"
    return [
        f"## {title}",
        "",
        section.text,
        "",
        *table(run.rows),
        "",
        f"![{title}: {' and '.join(section.drawn.values())}](images/{_image(run)})",
        "",
        f"{about['date']}, commit {about['commit']}, {machine}, Python {about['python']}{engine}; "
        f"{versions}. Repeat it:",
        "",
        "```sh",
        run.command,
        "```",
        "",
    ]


def _image(run: Run) -> str:
    return f"benchmark-{run.name}.svg"


def draw(run: Run, folder: Path) -> None:
    """Draw a run's picture: lines over the events where it has several sizes, else bars."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": run.name, "font.size": 9})
    import matplotlib.pyplot as plt

    drawn = {
        column: title
        for column, title in SECTIONS[run.suite].drawn.items()
        if any(row[column] is not None for row in run.rows)
    }
    has_sizes = len(run.sizes) > 1
    height = 4.0 if has_sizes else 1.0 + 0.3 * len(_lines(run))
    figure, all_axes = plt.subplots(
        1,
        len(drawn),
        figsize=(5 * len(drawn) + 1, height),
        squeeze=False,
        sharey=not has_sizes,
        layout="constrained",
    )
    for axes, (column, title) in zip(all_axes[0], drawn.items(), strict=True):
        (_draw_lines if has_sizes else _draw_bars)(axes, run, column)
        (axes.set_ylabel if has_sizes else axes.set_xlabel)(title)
        axes.spines[["top", "right"]].set_visible(False)
    if has_sizes:
        figure.legend(*all_axes[0][0].get_legend_handles_labels(), loc="outside lower center",
                      ncols=2, frameon=False)  # fmt: skip
    figure.savefig(folder / _image(run), facecolor="white", metadata={"Date": None})
    plt.close(figure)


def _lines(run: Run) -> dict[str, list[dict[str, Any]]]:
    """Return the rows by what they are named by: one line, or one bar, each."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in run.rows:
        name = ", ".join(row[column] for column in SECTIONS[run.suite].names)
        found.setdefault(name, []).append(row)
    return found


def _draw_lines(axes: Any, run: Run, column: str) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    for number, (name, rows) in enumerate(_lines(run).items()):
        points = [(row["events"], row[column]) for row in rows if row[column] is not None]
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        style = "--" if number >= len(COLOURS) else "-"
        events, values = zip(*points, strict=True) if points else ((), ())
        axes.plot(events, values, style, color=colour, marker=marker, label=name)
    axes.set(xscale="log", yscale="log", xlabel="events")
    axes.set_xticks(run.sizes, [_cell(size) for size in run.sizes], minor=False)
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(color="#e5e5e5")


def _draw_bars(axes: Any, run: Run, column: str) -> None:
    lines = _lines(run)
    values = [rows[0][column] or 0 for rows in lines.values()]
    bars = axes.barh(list(lines), values, color=COLOURS[0])
    labels = [_cell(rows[0][column]) or "not measured" for rows in lines.values()]
    axes.bar_label(bars, labels, padding=3)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.margins(x=0.15)


def main() -> None:
    """Write the page and the pictures; pictures of no run are removed."""
    runs = newest(RESULTS)
    for image in IMAGES.glob("benchmark-*.svg"):
        image.unlink()
    for run in runs:
        draw(run, IMAGES)
    PAGE.write_text(page(runs))


if __name__ == "__main__":
    main()
