"""Write the data sources and the workbook for Tableau: on a server, or on extracts."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from xml.etree import ElementTree as ET

from ingestion import postgres, warehouse
from ingestion.settings import Settings
from ingestion.tableau import extracts
from ingestion.tableau.datasource import Extracts, Server, Source, document
from ingestion.tableau.fields import Report, reports
from ingestion.tableau.sheets import DASHBOARDS, SHEETS
from ingestion.tableau.workbook import workbook

WORKBOOK = "clickmart"
EXTRACTS_IN_WORKBOOK = "Data"


@dataclass(frozen=True)
class Exported:
    """The workbook to open, and the files beside it, one of each report."""

    workbook: Path
    files: list[Path]
    rows: int = 0


def default_folder(settings: Settings) -> Path:
    """Return where the files go when no place is named."""
    return settings.home / "tableau"


def documents(settings: Settings, folder: Path) -> Exported:
    """Write a `.tds` file of each report and a `.twb` workbook, which log in to the server.

    Raises BuildError when dbt cannot read the project.
    """
    described, server = reports(warehouse.manifest(settings)), _server(settings)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for report in described:
        files.append(folder / f"{report.name}.tds")
        files[-1].write_bytes(_as_bytes(document(report, server)))
    path = folder / f"{WORKBOOK}.twb"
    path.write_bytes(_workbook(described, server))
    return Exported(path, files)


def hyper(settings: Settings, folder: Path, on_report: Callable[[str], None]) -> Exported:
    """Write a `.hyper` extract of each report, and a `.twbx` workbook that holds them all.

    Raises UsageError when the Hyper API is not installed, DatabaseError when a report is missing.
    """
    extracts.check_installed()
    described = reports(warehouse.manifest(settings))
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder) as fresh:
        rows = extracts.write(settings, described, Path(fresh), on_report)
        files = sorted(Path(fresh).glob("*.hyper"))
        packed = _packed(described, files, Path(fresh) / f"{WORKBOOK}.twbx")
        done = [path.replace(folder / path.name) for path in (packed, *files)]
    return Exported(done[0], done[1:], rows)


def _packed(described: list[Report], files: list[Path], path: Path) -> Path:
    inside = Extracts(EXTRACTS_IN_WORKBOOK)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{WORKBOOK}.twb", _workbook(described, inside))
        for file in files:
            archive.write(file, f"{EXTRACTS_IN_WORKBOOK}/{file.name}")
    return path


def _server(settings: Settings) -> Server:
    parameters = postgres.connection_parameters(settings)
    return Server(
        host=str(parameters.get("host", "127.0.0.1")),
        port=str(parameters.get("port", "5432")),
        database=str(parameters.get("dbname", postgres.DATABASE)),
        user=postgres.BI_ROLE,
    )


def _workbook(described: list[Report], source: Source) -> bytes:
    return _as_bytes(workbook(described, SHEETS, DASHBOARDS, source))


def _as_bytes(root: ET.Element) -> bytes:
    ET.indent(root)
    text = ET.tostring(root, encoding="unicode")
    return f"<?xml version='1.0' encoding='utf-8'?>\n{text}\n".encode()
