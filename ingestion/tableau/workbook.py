"""The workbook: sheets, dashboards and the reports they read, as Tableau's XML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import NAMESPACE_URL, uuid5
from xml.etree import ElementTree as ET

from ingestion.tableau.datasource import (
    VERSION,
    Source,
    columns,
    datasource,
    datasource_name,
    manifest,
)
from ingestion.tableau.fields import Field, Report
from ingestion.tableau.sheets import Dashboard, Sheet

USER = "http://www.tableausoftware.com/xml/user"
ET.register_namespace("user", USER)
AGGREGATION_PREFIXES = {"Sum": "sum", "Avg": "avg", "Median": "med", "Max": "max", "User": "usr"}
DATE_PARTS = {
    "day": ("Day-Trunc", "tdy"),
    "week": ("Week-Trunc", "twk"),
    "month": ("Month-Trunc", "tmn"),
}
# A page is 100,000 wide and high, whatever the screen.
WHOLE, TITLE_HEIGHT, FILTER_WIDTH, FILTER_HEIGHT = 100_000, 8_000, 14_000, 9_000


@dataclass(frozen=True)
class Pill:
    """A field on a shelf, with its aggregation or its part of a date."""

    report: Report
    field: Field
    derivation: str
    prefix: str
    kind: str

    @property
    def name(self) -> str:
        """The name of the field in this use of it."""
        suffix = {"quantitative": "qk", "ordinal": "ok", "nominal": "nk"}[self.kind]
        return f"[{self.prefix}:{self.field.name}:{suffix}]"

    @property
    def reference(self) -> str:
        """The name with that of its data source."""
        return f"[{datasource_name(self.report)}].{self.name}"

    def instance(self) -> ET.Element:
        """Return the element that declares this use of the field."""
        return ET.Element(
            "column-instance",
            column=f"[{self.field.name}]",
            derivation=self.derivation,
            name=self.name,
            pivot="key",
            type=self.kind,
        )


def pill(report: Report, reference: str, *, is_continuous: bool = False) -> Pill:
    """Return a column of a report as a shelf has it; `column@part` is a part of a date."""
    column, _, part = reference.partition("@")
    field = report.field(column)
    if part:
        return Pill(
            report, field, *DATE_PARTS[part], "quantitative" if is_continuous else "ordinal"
        )
    if not field.is_measure:
        return Pill(report, field, "None", "none", field.kind)
    derivation = "User" if field.formula else field.aggregation
    return Pill(report, field, derivation, AGGREGATION_PREFIXES[derivation], "quantitative")


def workbook(
    reports: Sequence[Report],
    sheets: Sequence[Sheet],
    dashboards: Sequence[Dashboard],
    source: Source,
) -> ET.Element:
    """Return the workbook as one element. Raises KeyError where a sheet names an unknown column."""
    by_name = {report.name: report for report in reports}
    drawn = {sheet.name: Worksheet(sheet, by_name[sheet.report]) for sheet in sheets}
    root = ET.Element(
        "workbook",
        {
            "original-version": VERSION,
            "source-build": "0.0.0 (0000.0.0.0)",
            "source-platform": "win",
            "version": VERSION,
        },
    )
    root.append(manifest())
    ET.SubElement(root, "preferences")
    ET.SubElement(root, "datasources").extend(datasource(report, source) for report in reports)
    ET.SubElement(root, "worksheets").extend(sheet.element() for sheet in drawn.values())
    pages = [
        Page(dashboard, [drawn[name] for name in dashboard.sheets]) for dashboard in dashboards
    ]
    ET.SubElement(root, "dashboards").extend(page.element() for page in pages)
    windows = ET.SubElement(root, "windows")
    windows.extend(page.window(is_shown=page is pages[0]) for page in pages)
    windows.extend(sheet.window() for sheet in drawn.values())
    return root


class Worksheet:
    """A sheet on its report."""

    def __init__(self, sheet: Sheet, report: Report) -> None:
        self.sheet, self.report = sheet, report
        self.rows = [self._pill(name) for name in sheet.rows]
        self.cols = [self._pill(name) for name in sheet.cols]
        encoded = {"color": sheet.color, "text": sheet.label, "lod": sheet.detail}
        self.encodings = {kind: self._pill(name) for kind, name in encoded.items() if name}
        self.filters = {
            self._pill(name): value for name, value in {**sheet.only, **sheet.choose}.items()
        }
        self.choices = [self._pill(name) for name in sheet.choose]

    def _pill(self, name: str) -> Pill:
        return pill(self.report, name, is_continuous=self.sheet.mark in ("Line", "Area"))

    def element(self) -> ET.Element:
        """Return the worksheet."""
        root = ET.Element("worksheet", name=self.sheet.name)
        title = ET.SubElement(ET.SubElement(root, "layout-options"), "title")
        title.append(_text(self.sheet.question, bold="true", fontsize="12"))
        table = ET.SubElement(root, "table")
        table.append(self._view())
        ET.SubElement(table, "style")
        ET.SubElement(table, "panes").append(self._pane())
        ET.SubElement(table, "rows").text = _shelf(self.rows)
        ET.SubElement(table, "cols").text = _shelf(self.cols)
        root.append(_simple_id("worksheet", self.sheet.name))
        return root

    def _view(self) -> ET.Element:
        view = ET.Element("view")
        view.extend(data_of([self.report], self.pills()))
        view.extend(self._filter(pill, value) for pill, value in self.filters.items())
        if self.sheet.largest_first:
            largest = self._pill(self.sheet.largest_first)
            ET.SubElement(
                view,
                "computed-sort",
                column=self.rows[0].reference,
                direction="DESC",
                using=largest.reference,
            )
        if self.filters:
            slices = ET.SubElement(view, "slices")
            for used in self.filters:
                ET.SubElement(slices, "column").text = used.reference
        ET.SubElement(view, "aggregation", value="true")
        return view

    def pills(self) -> list[Pill]:
        """Return every use of a field, each once."""
        used = [*self.rows, *self.cols, *self.encodings.values(), *self.filters]
        return list(dict.fromkeys(used))

    def _filter(self, used: Pill, value: str) -> ET.Element:
        element = ET.Element("filter", {"class": "categorical", "column": used.reference})
        if used in self.choices:
            element.set("filter-group", str(_group(used)))
        group = {"function": "level-members", "level": used.name}
        marks = {f"{{{USER}}}ui-enumeration": "all", f"{{{USER}}}ui-marker": "enumerate"}
        if value:
            quoted = value if used.field.datatype == "boolean" else f'"{value}"'
            group |= {"function": "member", "member": quoted}
            marks |= {
                f"{{{USER}}}ui-domain": "database",
                f"{{{USER}}}ui-enumeration": "inclusive",
            }
        ET.SubElement(element, "groupfilter", {**group, **marks})
        return element

    def _pane(self) -> ET.Element:
        pane = ET.Element("pane", {"selection-relaxation-option": "selection-relaxation-allow"})
        ET.SubElement(ET.SubElement(pane, "view"), "breakdown", value="auto")
        ET.SubElement(pane, "mark", {"class": self.sheet.mark})
        if self.encodings:
            encodings = ET.SubElement(pane, "encodings")
            for kind, used in self.encodings.items():
                ET.SubElement(encodings, kind, column=used.reference)
        if self.sheet.label:
            rule = ET.SubElement(ET.SubElement(pane, "style"), "style-rule", element="mark")
            ET.SubElement(rule, "format", attr="mark-labels-show", value="true")
        return pane

    def window(self) -> ET.Element:
        """Return the window in which Tableau shows the sheet."""
        window = ET.Element("window", {"class": "worksheet", "name": self.sheet.name})
        cards = ET.SubElement(window, "cards")
        for edge, shown in {
            "left": [{"type": "pages"}, {"type": "filters"}, {"type": "marks"}],
            "top": [{"type": "columns"}, {"type": "rows"}, {"type": "title"}],
            "right": [{"type": "filter", "param": used.reference} for used in self.choices],
        }.items():
            if shown:
                strip = ET.SubElement(ET.SubElement(cards, "edge", name=edge), "strip", size="160")
                for card in shown:
                    ET.SubElement(strip, "card", card)
        window.append(_simple_id("window", self.sheet.name))
        return window


class Page:
    """A dashboard with its worksheets."""

    def __init__(self, dashboard: Dashboard, sheets: Sequence[Worksheet]) -> None:
        self.dashboard, self.sheets = dashboard, sheets
        # A filter works on all sheets of its report, and is shown once.
        self.choices: dict[Pill, Worksheet] = {}
        for sheet in sheets:
            for used in sheet.choices:
                self.choices.setdefault(used, sheet)
        self._ids = iter(range(1, 1_000))

    def element(self) -> ET.Element:
        """Return the dashboard."""
        root = ET.Element("dashboard", name=self.dashboard.name)
        ET.SubElement(root, "style")
        ET.SubElement(root, "size", {"sizing-mode": "automatic"})
        if self.choices:
            reports = {used.report.name: used.report for used in self.choices}
            root.extend(data_of(list(reports.values()), self.choices))
        page = self._zone((0, 0, WHOLE, WHOLE), {"type-v2": "layout-basic"})
        ET.SubElement(root, "zones").append(page)
        title = f"{self.dashboard.name}: {self.dashboard.question}"
        heading = self._zone((0, 0, WHOLE, TITLE_HEIGHT), {"type-v2": "text"})
        heading.append(_text(title, bold="true", fontsize="16"))
        page.append(heading)
        page.extend(self._pictures())
        page.extend(self._filters())
        root.append(_simple_id("dashboard", self.dashboard.name))
        return root

    def _pictures(self) -> Iterable[ET.Element]:
        width = WHOLE - (FILTER_WIDTH if self.choices else 0)
        height = (WHOLE - TITLE_HEIGHT) // len(self.dashboard.rows)
        for y, row in enumerate(self.dashboard.rows):
            w = width // len(row)
            for x, name in enumerate(row):
                place = (x * w, TITLE_HEIGHT + y * height, w, height)
                yield self._zone(place, {"name": name})

    def _filters(self) -> Iterable[ET.Element]:
        for y, (used, sheet) in enumerate(self.choices.items()):
            top = TITLE_HEIGHT + y * FILTER_HEIGHT
            place = (WHOLE - FILTER_WIDTH, top, FILTER_WIDTH, FILTER_HEIGHT)
            shown = {"type-v2": "filter", "mode": "checkdropdown", "values": "database"}
            yield self._zone(place, {"name": sheet.sheet.name, "param": used.reference, **shown})

    def _zone(self, place: tuple[int, int, int, int], attributes: dict[str, str]) -> ET.Element:
        at = dict(zip("xywh", map(str, place), strict=True))
        return ET.Element("zone", {"id": str(next(self._ids)), **at, **attributes})

    def window(self, *, is_shown: bool) -> ET.Element:
        """Return the window in which Tableau shows the dashboard."""
        window = ET.Element("window", {"class": "dashboard", "name": self.dashboard.name})
        if is_shown:
            window.set("maximized", "true")
        viewpoints = ET.SubElement(window, "viewpoints")
        for sheet in self.sheets:
            ET.SubElement(viewpoints, "viewpoint", name=sheet.sheet.name)
        ET.SubElement(window, "active", id="-1")
        window.append(_simple_id("window", self.dashboard.name))
        return window


def data_of(reports: Sequence[Report], pills: Iterable[Pill]) -> Iterable[ET.Element]:
    """Return the reports that a sheet or dashboard reads, and what it uses of each."""
    pills = list(pills)
    links = ET.Element("datasources")
    for report in reports:
        name = datasource_name(report)
        ET.SubElement(links, "datasource", caption=report.caption, name=name)
    yield links
    for report in reports:
        used = [pill for pill in pills if pill.report == report]
        element = ET.Element("datasource-dependencies", datasource=datasource_name(report))
        for field in _with_their_columns(report, used):
            element.extend(columns(field))
        element.extend(pill.instance() for pill in used)
        yield element


def _with_their_columns(report: Report, pills: Sequence[Pill]) -> list[Field]:
    """Return the fields of the pills, and those that their formulas name."""
    used = {pill.field.column for pill in pills}
    formulas = " ".join(pill.field.formula for pill in pills)
    return [
        field for field in report.fields if field.column in used or f"[{field.column}]" in formulas
    ]


def _group(used: Pill) -> int:
    """Return a number that the filters on a field of a report have in common, and no others."""
    return uuid5(NAMESPACE_URL, used.reference).int % 1_000_000 + 1


def _shelf(pills: Sequence[Pill]) -> str:
    """Return what a shelf holds: dimensions one within the other, then figures side by side."""
    discrete = [pill.reference for pill in pills if pill.kind != "quantitative"]
    figures = [pill.reference for pill in pills if pill.kind == "quantitative"]
    if len(figures) > 1:
        discrete.append(f"({' + '.join(figures)})")
    else:
        discrete += figures
    return discrete[0] if len(discrete) == 1 else f"({' / '.join(discrete)})"


def _text(text: str, **attributes: str) -> ET.Element:
    element = ET.Element("formatted-text")
    ET.SubElement(element, "run", attributes).text = text
    return element


def _simple_id(kind: str, name: str) -> ET.Element:
    uuid = str(uuid5(NAMESPACE_URL, f"clickmart/{kind}/{name}")).upper()
    return ET.Element("simple-id", uuid=f"{{{uuid}}}")
