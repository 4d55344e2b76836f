"""Arguments and wiring, no logic: each command calls one function and shows what it returns."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import traceback
from contextlib import ExitStack
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from ingestion import embedded, ledger, postgres, warehouse
from ingestion.console import err, escaped, examples, out, print_json, show_rows, show_steps
from ingestion.dates import DateRange
from ingestion.dbt_process import ready
from ingestion.errors import ClickmartError, UsageError
from ingestion.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="An open e-commerce clickstream warehouse: raw events in, a tested star schema out.",
    epilog="Start with: [bold]clickmart up[/bold]. What is wrong? [bold]clickmart doctor[/bold]",
)
db_app = typer.Typer(no_args_is_help=True, help="The database: embedded, or the given one.")
quarantine_app = typer.Typer(no_args_is_help=True, help="Rows that were set aside, and why.")
app.add_typer(db_app, name="db")
app.add_typer(quarantine_app, name="quarantine")
mapping_app = typer.Typer(no_args_is_help=True, help="Mappings of your own columns.")
app.add_typer(mapping_app, name="mapping")
export_app = typer.Typer(no_args_is_help=True, help="The reports, for Tableau.")
app.add_typer(export_app, name="export")

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Force = Annotated[
    bool, typer.Option("--force", help="Read files again that an earlier load has taken.")
]
MaxQuarantined = Annotated[
    float, typer.Option(min=0, max=100, help="Load nothing if more percent of the rows are bad.")
]
People = Annotated[int, typer.Option("--users", help="Known users (others stay anonymous).")]
Sessions = Annotated[int, typer.Option(help="Sessions of people; bots come on top.")]
Days = Annotated[int, typer.Option(help="Length of the period.")]
Products = Annotated[int, typer.Option(help="Products in the catalogue, in 8 categories.")]
Seed = Annotated[int, typer.Option(help="Equal seeds give equal bytes.")]


def _sources(incomplete: str) -> list[str]:
    from ingestion.adapters import ADAPTERS

    return [name for name in sorted(ADAPTERS) if name.startswith(incomplete)]


ExportFolder = Annotated[
    Path | None,
    typer.Option("--out", file_okay=False, help="A folder; by default tableau in CLICKMART_HOME."),
]


# -- the main job --------------------------------------------------------------------------------


@app.command(epilog=examples("clickmart up", "clickmart up --sessions 50000 --days 180"))
def up(
    users: People = 1_000,
    sessions: Sessions = 10_000,
    days: Days = 90,
    products: Products = 500,
    seed: Seed = 1,
) -> None:
    """From nothing to a browsable warehouse: database, events, dbt build and tests, docs, site."""
    settings = Settings.load()
    with ready(settings) as dbt:  # which gets ready while this process does
        from ingestion import demo
        from ingestion.generate import GenerateOptions

        options = GenerateOptions(
            people=users, sessions=sessions, days=days, products=products, seed=seed
        )
        with show_steps() as steps:
            result = demo.up(settings, options, dbt, steps)
    _show_up(settings, result)


@app.command(
    epilog=examples(
        "clickmart generate --out shop --sessions 2000",
        "clickmart generate --out bad --format csv --malformed-rate 0.05",
    )
)
def generate(
    out_dir: Annotated[Path, typer.Option("--out", help="A new or empty folder.")],
    format_: Annotated[str, typer.Option("--format", help="csv, jsonl or parquet.")] = "parquet",
    users: People = 1_000,
    sessions: Sessions = 10_000,
    days: Days = 90,
    products: Products = 500,
    seed: Seed = 1,
    start: Annotated[str, typer.Option(help="First day, YYYY-MM-DD.")] = "2026-01-01",
    partitions: Annotated[int | None, typer.Option(help="Tasks at once.")] = None,
    duplicate_rate: Annotated[float | None, typer.Option(help="Share of events twice.")] = None,
    late_rate: Annotated[float | None, typer.Option(help="Share of events late.")] = None,
    malformed_rate: Annotated[float | None, typer.Option(help="Broken rows per event.")] = None,
    bot_rate: Annotated[float | None, typer.Option(help="Share of visitors.")] = None,
    clock_skew_rate: Annotated[float | None, typer.Option(help="Share of visitors.")] = None,
    experiment: Annotated[bool, typer.Option(help="Plant an A/B test.")] = True,
    outage: Annotated[bool, typer.Option(help="Plant hours without events.")] = True,
    spike: Annotated[bool, typer.Option(help="Plant a day of thrice the sessions.")] = True,
    as_json: JsonFlag = False,
) -> None:
    """Write raw event files, and a truth file that says what is in them."""
    from ingestion.generate import GenerateOptions
    from ingestion.generate import generate as run
    from ingestion.spark import parallelism, session

    rates = {
        "duplicate_rate": duplicate_rate,
        "late_rate": late_rate,
        "malformed_rate": malformed_rate,
        "bot_rate": bot_rate,
        "clock_skew_rate": clock_skew_rate,
    }
    options = GenerateOptions(
        people=users,
        products=products,
        sessions=sessions,
        days=days,
        start_date=_date(start),
        seed=seed,
        format=format_,  # type: ignore[arg-type]  # checked by the options themselves
        partitions=partitions,
        experiment=experiment,
        outage=outage,
        spike=spike,
        **{name: rate for name, rate in rates.items() if rate is not None},
    )
    with show_steps() as steps:
        steps.start("Starting the engine")
        settings = Settings.load()
        with session(settings) as spark:
            steps.start("Generating events")
            tasks = partitions or parallelism(spark, settings)
            summary = run(spark, replace(options, partitions=tasks), out_dir, steps.progress)
    if as_json:
        print_json(asdict(summary))
        return
    out.print(
        f"{summary.rows:,} rows in {summary.files:,} files, "
        f"{summary.bytes / 1e6:,.1f} MB: {out_dir / 'events'}"
    )
    out.print(f"What is in them: {out_dir / 'truth' / 'summary.json'}")
    out.print(f"Load them: clickmart ingest {out_dir / 'events'} --source native")


@app.command(
    epilog=examples(
        "clickmart ingest exports/2026-03/ --source ga4 --dry-run",
        "clickmart ingest 'shop-*.csv.gz' --source my-shop.yml",
        "clickmart ingest week.jsonl --source native --replace 2026-03-01:2026-03-07",
    )
)
def ingest(
    paths: Annotated[list[str], typer.Argument(help="Files, folders or globs.")],
    source: Annotated[
        str,
        typer.Option(
            help="What wrote the files: native, ga4, posthog, rees46, retailrocket, segment, "
            "snowplow; or a mapping of your own, such as my-shop.yml.",
            autocompletion=_sources,
        ),
    ],
    force: Force = False,
    replace: Annotated[
        str | None,
        typer.Option(
            metavar="FROM:TO",
            help="Take out the source's earlier events of these dates (UTC) in the same load, "
            "as 2026-03-01:2026-03-07.",
        ),
    ] = None,
    max_quarantined: MaxQuarantined = 20.0,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Judge every row, show what it becomes; write nothing."),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Load event files: every row is loaded, counted as a duplicate, or quarantined."""
    from ingestion import batch

    if dry_run:
        _dry_run(paths, source, as_json)
        return
    dates = None if replace is None else DateRange.parse(replace)
    with show_steps() as steps:
        result = batch.ingest(
            Settings.load(),
            paths,
            source,
            force=force,
            dates=dates,
            max_quarantined=max_quarantined,
            report=steps.start,
        )
    if as_json:
        print_json(result.as_dict())
        return
    for path, load_id in result.skipped_files.items():
        out.print(f"Already loaded, by load {load_id}: {path} (--force reads it again)")
    if result.load_id is None:
        out.print("Nothing to load.")
        return
    if dates is not None:
        out.print(f"  taken out of earlier loads, to be replaced: {result.replaced:,}")
    _show_load(result)


@app.command(
    epilog=examples(
        "clickmart load --from-lake", "clickmart load --from-lake --from 2026-03-01 --to 2026-03-07"
    )
)
def load(
    from_lake: Annotated[
        bool, typer.Option("--from-lake", help="Read the lake: it has the ledger too.")
    ] = False,
    from_date: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="Of these dates (UTC) alone ...")
    ] = None,
    to_date: Annotated[
        str | None, typer.Option("--to", metavar="DATE", help="... the last one included.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Rebuild the database from the lake: raw, ledger and pre-aggregates, row by row.

    All of it, as on a new server, or the events of some days alone.
    """
    from ingestion import rebuild

    if not from_lake:
        raise UsageError("Say --from-lake. Event files are loaded by: clickmart ingest PATH")
    dates = None
    if from_date is not None or to_date is not None:
        dates = DateRange.between(from_date, to_date)
    with show_steps() as steps:
        result = rebuild.rebuild(Settings.load(), dates, report=steps.start)
    if as_json:
        print_json(result.as_dict())
        return
    counts = f"{result.events:,} events"
    if dates is None:
        counts += (
            f", {result.quarantined:,} quarantined rows and {result.duplicates:,} duplicates "
            f"of {result.loads:,} loads"
        )
    out.print(f"Rebuilt from the lake: {counts} in {result.seconds:.1f} s")
    out.print("The marts follow with: clickmart build")


@app.command(epilog=examples("clickmart forget --user u7", "clickmart forget --visitor v1 --json"))
def forget(
    user: Annotated[str | None, typer.Option(metavar="ID", help="A user's id.")] = None,
    visitor: Annotated[str | None, typer.Option(metavar="ID", help="A visitor's id.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Erase a person for good: lake with its older versions, raw, quarantine and marts.

    The files you loaded are yours and stay as they are.
    """
    from ingestion import forget as forget_

    if (user is None) == (visitor is None):
        raise UsageError("Say either --user ID or --visitor ID.")
    person = forget_.Person("user", user) if user is not None else None
    person = person or forget_.Person("visitor", visitor or "")
    settings = Settings.load()
    with show_steps() as steps:
        erased = forget_.forget(settings, person, report=steps.start)
        with warehouse.exclusive(settings, steps.start):
            steps.start("Clearing the marts")
            forget_.rebuild_marts(settings, steps.progress)
    if as_json:
        print_json(erased.as_dict())
    elif not any(erased.as_dict().values()):
        out.print(f"Nothing was found of {person.kind} {escaped(repr(person.id))}.")
    else:
        out.print(
            f"Erased: {erased.events:,} events with {erased.items:,} items, "
            f"{erased.quarantined:,} quarantined rows, {erased.duplicates:,} duplicates; "
            f"{erased.lake_rows:,} rows of the lake"
        )


def _show_load(result: Any) -> None:
    for repair, count in result.repairs.items():
        out.print(f"  repaired, {repair}: {count:,}")
    for reason, count in result.reasons.items():
        out.print(f"  quarantined, {reason}: {count:,}")
    out.print(
        f"Load {result.load_id}: read {result.read:,} = loaded {result.loaded:,} "
        f"+ duplicate {result.duplicate:,} + quarantined {result.quarantined:,} "
        f"in {result.seconds:.1f} s"
    )


def _dry_run(paths: list[str], source: str, as_json: bool) -> None:
    from ingestion import dry_run
    from ingestion.dry_run_page import page

    with show_steps() as steps:
        result = dry_run.examine(Settings.load(), paths, source, report=steps.start)
    if as_json:
        print_json(result.as_dict())
        return
    for line in page(result):
        out.print(escaped(line))


@mapping_app.command("init", epilog=examples("clickmart mapping init shop.jsonl --out my-shop.yml"))
def mapping_init(
    file: Annotated[Path, typer.Argument(help="A file of your events.")],
    out_file: Annotated[
        Path | None, typer.Option("--out", help="The mapping, by default beside you: NAME.yml.")
    ] = None,
) -> None:
    """Propose a mapping of a file's columns and event names to Clickmart's."""
    from ingestion import propose

    known: list[str] = []
    path = propose.write(file, out_file, known.append)
    out.print(f"Wrote {path}. Lines with # ? are yours to decide.")
    for source in known:
        out.print(f"You may not need it: --source {source} knows such files.")
    out.print("Try it; nothing is written:")
    out.print(f"  clickmart ingest {file} --source {path} --dry-run")


# -- what is there -------------------------------------------------------------------------------


@app.command(epilog=examples("clickmart loads --limit 5", "clickmart loads --json"))
def loads(
    limit: Annotated[int, typer.Option(help="How many, the latest first.")] = 20,
    as_json: JsonFlag = False,
) -> None:
    """The ledger: what every load read, and what became of it."""
    rows = ledger.loads(Settings.load(), limit)
    show_rows(
        rows,
        as_json,
        empty="No loads yet. Load a file: clickmart ingest PATH --source NAME",
        optional=("seconds", "lake_version", "removed", "replaced"),
    )


@quarantine_app.command(
    "show",
    epilog=examples(
        "clickmart quarantine show --reason invalid_event_ts",
        "clickmart quarantine show --load 1 --limit 100 --json",
    ),
)
def quarantine_show(
    load: Annotated[int | None, typer.Option(help="Of this load alone.")] = None,
    reason: Annotated[str | None, typer.Option(help="With this reason code alone.")] = None,
    limit: Annotated[int, typer.Option(help="How many rows.")] = 20,
    as_json: JsonFlag = False,
) -> None:
    """Quarantined rows, with file, row, reasons and what was read."""
    rows = ledger.quarantined(Settings.load(), load, reason, limit)
    show_rows(rows, as_json, empty=_nothing_quarantined(load, reason))


@quarantine_app.command(
    "replay",
    epilog=examples(
        "clickmart quarantine replay --source my-shop.yml",
        "clickmart quarantine replay --load 1 --reason invalid_event_ts",
    ),
)
def quarantine_replay(
    source: Annotated[
        str | None, typer.Option(help="Of this source alone; for a mapping, its file.")
    ] = None,
    load: Annotated[int | None, typer.Option(help="Of this load alone.")] = None,
    reason: Annotated[str | None, typer.Option(help="With this reason code alone.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Read quarantined rows again, after a mapping or a rule was mended."""
    from ingestion import replay

    with show_steps() as steps:
        results = replay.replay(
            Settings.load(), source=source, load_id=load, reason=reason, report=steps.start
        )
    if as_json:
        print_json([result.as_dict() for result in results])
        return
    for result in results:
        _show_load(result)
    if not results:
        out.print(_nothing_quarantined(source, load, reason))


def _nothing_quarantined(*chosen: Any) -> str:
    is_all = all(choice is None for choice in chosen)
    return "Nothing is quarantined." if is_all else "Nothing that fits is quarantined."


@app.command(epilog=examples("clickmart doctor", "clickmart doctor --json"))
def doctor(as_json: JsonFlag = False) -> None:
    """What this machine has and lacks, and the command that mends it."""
    from ingestion import doctor as doctor_

    findings = doctor_.examine(Settings.load())
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mark = "[green]ok [/green]" if finding.is_well else "[red]bad[/red]"
            remedy = f"  -> {finding.remedy}" if finding.remedy else ""
            out.print(f"{mark} {finding.name:<16} {finding.text}{remedy}")
    if not all(finding.is_well for finding in findings):
        raise typer.Exit(1)


# -- dbt -----------------------------------------------------------------------------------------


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog=examples(
        "clickmart build", "clickmart build --changed", "clickmart build -s +rpt_daily_kpis"
    ),
)
def build(
    context: typer.Context,
    changed: Annotated[
        bool, typer.Option("--changed", help="Only what was edited, and what depends on it.")
    ] = False,
) -> None:
    """Run `dbt build` (seeds, models, tests of the data); further words go to dbt.

    First brings Spark's pre-aggregates up to date, if a definition changed or a load was killed.
    Two builds at once take turns.
    """
    from ingestion import batch

    settings = Settings.load()
    with ExitStack() as turn:
        with show_steps() as steps:
            batch.bring_up_to_date(settings, steps.start)
            turn.enter_context(warehouse.exclusive(settings, steps.start))
        code = warehouse.build_shown(settings, context.args, only_changed=changed)
    raise typer.Exit(code)


@app.command(epilog=examples("clickmart docs"))
def docs() -> None:
    """Write the dbt documentation, with the lineage, as one HTML file."""
    settings = Settings.load()
    with show_steps() as steps:
        steps.start("Writing the documentation")
        with ready(settings) as dbt:
            path = warehouse.docs(dbt)
    out.print(f"{path}")


@app.command(epilog=examples("clickmart site", "clickmart site --png"))
def site(
    png: Annotated[
        bool, typer.Option("--png", help="Also write pictures for slides, as PNG files.")
    ] = False,
) -> None:
    """Write the site: what the marts say, as pages to open from disk."""
    from ingestion.site.write import write

    settings = Settings.load()
    with show_steps() as steps:
        steps.start("Writing the site")
        paths = [write(settings)]
        if png:
            from ingestion.site.slides import write_slides

            steps.start("Writing the slides")
            paths += write_slides(settings)
    for path in paths:
        out.print(f"{path}")


# -- Tableau -------------------------------------------------------------------------------------


@export_app.command(
    "tableau",
    epilog=examples("clickmart export tableau", "clickmart export tableau --out my-tableau"),
)
def export_tableau(out_dir: ExportFolder = None) -> None:
    """Write a workbook, and a data source of each report, that log in to the database."""
    from ingestion.tableau import export

    settings = Settings.load()
    with show_steps() as steps:
        steps.start("Describing the reports")
        exported = export.documents(settings, out_dir or export.default_folder(settings))
    out.print(f"Workbook      {exported.workbook}")
    out.print(f"Data sources  {len(exported.files)} .tds files beside it")
    out.print("Tableau asks for the password of clickmart_bi: clickmart db url --bi")


@export_app.command("hyper", epilog=examples("clickmart export hyper"))
def export_hyper(out_dir: ExportFolder = None) -> None:
    """Write extracts, and a workbook that holds them: for Tableau Public, or to pass on."""
    from ingestion.tableau import export

    settings = Settings.load()
    with show_steps() as steps:
        exported = export.hyper(settings, out_dir or export.default_folder(settings), steps.start)
    out.print(f"Workbook  {exported.workbook}")
    out.print(f"Extracts  {len(exported.files)} .hyper files beside it, {exported.rows:,} rows")


# -- the database --------------------------------------------------------------------------------


@db_app.command("start", epilog=examples("clickmart db start"))
def db_start() -> None:
    """Start the embedded PostgreSQL and leave it running; make the schemas and roles."""
    _show_status(embedded.start(Settings.load()))


@db_app.command("stop", epilog=examples("clickmart db stop"))
def db_stop() -> None:
    """Stop the embedded PostgreSQL."""
    out.print("Stopped." if embedded.stop(Settings.load()) else "It was not running.")


@db_app.command("status", epilog=examples("clickmart db status", "clickmart db status --json"))
def db_status(as_json: JsonFlag = False) -> None:
    """Where the database is, and whether it answers (exit code 1 if not)."""
    status = embedded.status(Settings.load())
    if as_json:
        print_json(asdict(status))
    else:
        _show_status(status)
    if not status.is_running:
        raise typer.Exit(1)


@db_app.command("url", epilog=examples("clickmart db url --bi"))
def db_url(
    bi: Annotated[bool, typer.Option("--bi", help="The read-only login for BI tools.")] = False,
) -> None:
    """The database's address, with the password of the embedded server."""
    out.print(postgres.url(Settings.load(), for_bi=bi))


@db_app.command(
    "psql",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    epilog=examples("clickmart db psql", "clickmart db psql -c 'table ops.loads' --csv"),
)
def db_psql(context: typer.Context) -> None:
    """Open psql on the database; further words go to psql."""
    with postgres.connect(Settings.load()):
        pass
    command = [str(postgres.psql()), *context.args]
    raise typer.Exit(subprocess.run(command, check=False).returncode)


# -- how things are shown ------------------------------------------------------------------------


def _show_status(status: embedded.ServerStatus) -> None:
    kind = "embedded" if status.is_embedded else "given by PG variables"
    if status.is_running:
        place = f"{status.host}:{status.port}/{status.database}"
        out.print(f"PostgreSQL {status.version} runs at {place} ({kind})")
    else:
        out.print(f"PostgreSQL does not run ({kind}).")


def _show_up(settings: Settings, result: Any) -> None:
    database = embedded.status(settings)
    place = f"{database.host}:{database.port}/{database.database}"
    lines = [
        "",
        f"[bold]Your warehouse is ready[/bold] ({result.seconds:.0f} s).",
        *(f"  {count:>12,}  {name}" for name, count in result.row_counts.items()),
        "",
        f"Site, for your browser  {result.site}",
        f"Documentation, lineage  {result.docs}",
        f"Database                {place} (clickmart db psql, clickmart db url)",
        "Tableau                 clickmart export tableau (a workbook and data sources)",
        "Other BI tools          clickmart db url --bi (sees the schema reports alone)",
        "",
        "What next:",
        "  source .venv/bin/activate   then dbt run, dbt test and dbt build work as they are",
        "  clickmart loads             what was read, and what became of it",
        "  docs/your-own-events.md     events of your own, in a warehouse of their own",
    ]
    for line in lines:
        out.print(line)


def _date(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--start is {text!r}; it must be a date such as 2026-01-01.") from None


def main() -> None:
    """Run the command line: one clear line and exit code 1 or 2 where something is wrong."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    try:
        app()
    except SystemExit as end:
        _leave(int(end.code or 0))
    except ClickmartError as error:
        err.print(f"[red]error:[/red] {escaped(str(error))}")
        _leave(error.exit_code)
    except KeyboardInterrupt:
        err.print("Stopped. Nothing is half-written; give the command again to go on.")
        _leave(130)
    except Exception as error:
        log = Settings.load().home / "logs" / "error.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(traceback.format_exc())
        first = next((line for line in str(error).splitlines() if line.strip()), "")
        said = escaped(f"{type(error).__name__}: {first}")
        err.print(f"[red]error:[/red] {said} (details: {log})")
        _leave(1)


def _leave(code: int) -> NoReturn:
    """End the process where it stands.

    Tasks of the engine may still run Python in threads of this process, and an interpreter that
    is taken down under them aborts. And one that is done gains nothing by it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
