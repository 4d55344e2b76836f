"""A report as a data source of Tableau: the XML that `.tds` files and workbooks share."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from xml.etree import ElementTree as ET

from ingestion.tableau.fields import Field, Report, tableau_type

# What Tableau 2020.4 and later write, and what every version since then opens.
VERSION = "18.1"
FORMAT_FEATURES = (
    "SetMembershipControl",
    "SheetIdentifierTracking",
    "SortTagCleanup",
    "WindowsPersistSimpleIdentifiers",
)


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server as Tableau logs in to it; Tableau asks for the password itself."""

    host: str
    port: str
    database: str
    user: str

    def connection(self, _: Report) -> dict[str, str]:
        """Return the attributes of Tableau's connection."""
        return {
            "class": "postgres",
            "authentication": "username-password",
            "server": self.host,
            "port": self.port,
            "dbname": self.database,
            "username": self.user,
            "sslmode": "",
        }

    def table(self, report: Report) -> str:
        """Return the name by which the connection knows the report."""
        return f"[{report.schema}].[{report.name}]"


@dataclass(frozen=True)
class Extracts:
    """A folder with an extract of each report, as seen from the workbook."""

    folder: str

    def connection(self, report: Report) -> dict[str, str]:
        """Return the attributes of Tableau's connection."""
        return {
            "class": "hyper",
            "authentication": "auth-none",
            "dbname": f"{self.folder}/{report.name}.hyper",
            "schema": "Extract",
            "tablename": "Extract",
            "username": "",
            "sslmode": "",
        }

    def table(self, _: Report) -> str:
        """Return the name by which the connection knows the report."""
        return "[Extract].[Extract]"


Source = Server | Extracts


def datasource_name(report: Report) -> str:
    """Return the name by which a workbook's sheets refer to a report."""
    return f"federated.{report.name}"


def document(report: Report, source: Source) -> ET.Element:
    """Return a whole `.tds` file."""
    root = datasource(report, source)
    root.set("formatted-name", root.attrib.pop("name"))
    root.set("source-platform", "win")
    root.insert(0, manifest())
    return root


def manifest() -> ET.Element:
    """Return the list of what the document uses of Tableau's format."""
    element = ET.Element("document-format-change-manifest")
    for feature in FORMAT_FEATURES:
        ET.SubElement(element, feature)
    return element


def datasource(report: Report, source: Source) -> ET.Element:
    """Return a report with its connection, fields, hierarchies and folders."""
    root = ET.Element(
        "datasource",
        caption=report.caption,
        inline="true",
        name=datasource_name(report),
        version=VERSION,
    )
    root.append(_connection(report, source))
    ET.SubElement(root, "aliases", enabled="yes")
    root.extend(element for field in report.fields for element in columns(field))
    root.extend(_drill_paths(report))
    root.append(_folders(report))
    layout = {"dim-ordering": "ordinal", "measure-ordering": "ordinal", "show-structure": "false"}
    ET.SubElement(root, "layout", layout)
    return root


def _connection(report: Report, source: Source) -> ET.Element:
    connection = ET.Element("connection", {"class": "federated"})
    attributes = source.connection(report)
    name = f"{attributes['class']}.{report.name}"
    named = ET.SubElement(connection, "named-connections")
    shown = attributes.get("server") or report.caption
    ET.SubElement(
        ET.SubElement(named, "named-connection", caption=shown, name=name), "connection", attributes
    )
    ET.SubElement(
        connection,
        "relation",
        connection=name,
        name=report.name,
        table=source.table(report),
        type="table",
    )
    records = ET.SubElement(connection, "metadata-records")
    for ordinal, field in enumerate(report.fields, start=1):
        records.append(_metadata(report, field, ordinal))
    return connection


def _metadata(report: Report, field: Field, ordinal: int) -> ET.Element:
    datatype, number = tableau_type(field.column_type)
    record = ET.Element("metadata-record", {"class": "column"})
    texts = {
        "remote-name": field.column,
        "remote-type": str(number),
        "local-name": f"[{field.column}]",
        "parent-name": f"[{report.name}]",
        "remote-alias": field.column,
        "ordinal": str(ordinal),
        "local-type": datatype,
        "aggregation": {"date": "Year", "string": "Count", "boolean": "Count"}.get(datatype, "Sum"),
    }
    sizes = re.findall(r"\d+", field.column_type)
    if datatype == "string":
        texts["width"] = sizes[0]
    elif datatype == "real":
        texts |= {"precision": sizes[0], "scale": sizes[1]}
    texts["contains-null"] = "true"
    for tag, text in texts.items():
        ET.SubElement(record, tag).text = text
    return record


def columns(field: Field) -> list[ET.Element]:
    """Return a field's elements: itself, and where it stands in for a column, that one, hidden."""
    shown = ET.Element("column", _attributes(field))
    if field.formula:
        ET.SubElement(shown, "calculation", {"class": "tableau", "formula": field.formula})
    text = ET.SubElement(ET.SubElement(shown, "desc"), "formatted-text")
    ET.SubElement(text, "run").text = field.description
    if not field.formula:
        return [shown]
    raw = {
        "datatype": field.datatype,
        "hidden": "true",
        "name": f"[{field.column}]",
        "role": "measure",
        "type": "quantitative",
    }
    return [ET.Element("column", raw), shown]


def _attributes(field: Field) -> dict[str, str]:
    attributes = {"caption": field.caption, "datatype": field.datatype}
    if field.formula:
        attributes["datatype"] = "real"
    elif field.is_measure:
        attributes["aggregation"] = field.aggregation
    if field.format:
        attributes["default-format"] = field.format
    role = "measure" if field.is_measure else "dimension"
    return attributes | {"name": f"[{field.name}]", "role": role, "type": field.kind}


def _drill_paths(report: Report) -> list[ET.Element]:
    """Return the hierarchies: dates from month to day, products from category to product."""
    hierarchies = {
        "Calendar": ["month_start_date", "metric_date"],
        "Products": ["category", "brand", "product_name"],
    }
    there = {field.column for field in report.fields}
    complete = {name: path for name, path in hierarchies.items() if there.issuperset(path)}
    if not complete:
        return []
    paths = ET.Element("drill-paths")
    for name, path in complete.items():
        drill_path = ET.SubElement(paths, "drill-path", name=name)
        for column in path:
            ET.SubElement(drill_path, "field").text = f"[{column}]"
    return [paths]


def _folders(report: Report) -> ET.Element:
    folders = ET.Element("folders-common")
    by_folder = sorted(report.fields, key=lambda field: field.folder)
    for name, fields in groupby(by_folder, key=lambda field: field.folder):
        folder = ET.SubElement(folders, "folder", name=name)
        for field in fields:
            ET.SubElement(folder, "folder-item", name=f"[{field.name}]", type="field")
    return folders
