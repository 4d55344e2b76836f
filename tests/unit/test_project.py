"""The architecture, held: what may read what, and what each model must say of itself."""

from __future__ import annotations

import ast
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingestion.settings import PROJECT_DIR

PACKAGE_DIR = PROJECT_DIR / "ingestion"
Node = dict[str, Any]

# Who may import what of ours. A module that is not named here may import anything but `cli`.
ALLOWED_IMPORTS = {
    "contract": {"contract"},
    "adapters": {"adapters", "contract", "errors"},
    "generate": {"generate", "contract", "errors"},
    "validate": {"contract", "errors"},
}
# What the engines themselves read, and no setting of ours.
ENGINE_VARIABLES = re.compile(r"JAVA_HOME|RUST_LOG|GRPC_\w+|PYSPARK_\w+|SAIL_\w+")


# -- the warehouse -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """dbt's manifest of the project, parsed anew; a warning or a deprecation is an error."""
    target = tmp_path_factory.mktemp("target")
    result = parsed(target)
    assert result.success, result.exception
    return dict(json.loads((target / "manifest.json").read_text()))


def parsed(target: Path, **variables: Any) -> Any:
    """What dbt says of the project with vars, parsed anew into a folder."""
    from dbt.cli.main import dbtRunner

    options = {
        "--project-dir": PROJECT_DIR,
        "--profiles-dir": PROJECT_DIR,
        "--target-path": target,
        "--log-path": target,
        "--vars": json.dumps(variables),
    }
    words = [str(part) for option in options.items() for part in option]
    return dbtRunner().invoke(["--warn-error", "--quiet", "parse", "--no-partial-parse", *words])


@pytest.fixture(scope="module")
def models(manifest: Node) -> dict[str, Node]:
    nodes = {key: node for key, node in manifest["nodes"].items() if key.startswith("model.")}
    assert nodes
    return nodes


def test_the_first_page_of_the_documentation_leads_to_models(
    manifest: Node, models: dict[str, Node]
) -> None:
    pages = [doc for doc in manifest["docs"].values() if doc["name"] == "__overview__"]
    (own,) = (page for page in pages if page["package_name"] == "clickmart")
    linked = set(re.findall(r"#!/model/([\w.]+)", own["block_contents"]))
    assert {key for key, model in models.items() if layer(model) == "reports"} <= linked
    assert linked <= models.keys()


@pytest.mark.parametrize("limit", [0, "many"])
def test_a_limit_that_no_session_keeps_is_refused(tmp_path: Path, limit: Any) -> None:
    result = parsed(tmp_path, session_max_events=limit)
    assert not result.success
    assert f"session_max_events is '{limit}'; it must be a number" in str(result.exception)


def layer(model: Node) -> str:
    """The folder right under `warehouse/models`."""
    return str(model["fqn"][1])


def test_only_staging_reads_sources(models: dict[str, Node]) -> None:
    reads_source = {
        model["name"]: layer(model)
        for model in models.values()
        if any(parent.startswith("source.") for parent in model["depends_on"]["nodes"])
    }
    assert set(reads_source.values()) == {"staging"}, reads_source


def test_reports_read_marts_only(models: dict[str, Node]) -> None:
    parents = {
        (report["name"], parent)
        for report in models.values()
        if layer(report) == "reports"
        for parent in report["depends_on"]["nodes"]
    }
    assert parents
    assert not {
        (report, parent)
        for report, parent in parents
        if parent not in models or layer(models[parent]) != "marts"
    }


def test_names_say_the_layer(models: dict[str, Node]) -> None:
    prefixes = {
        "staging": ("stg_",),
        "intermediate": ("int_",),
        "marts": ("fct_", "dim_"),
        "reports": ("rpt_",),
    }
    assert not [
        model["name"]
        for model in models.values()
        if not model["name"].startswith(prefixes[layer(model)])
    ]


def test_every_model_opens_its_description_with_its_grain(models: dict[str, Node]) -> None:
    assert not [
        model["name"]
        for model in models.values()
        if not model["description"].lstrip().startswith("One row per ")
    ]


def test_every_column_is_described(models: dict[str, Node]) -> None:
    assert not [
        (model["name"], column["name"])
        for model in models.values()
        for column in model["columns"].values()
        if not column["description"].strip()
    ]
    assert not [model["name"] for model in models.values() if not model["columns"]]


def keyed_tables() -> set[str]:
    """The tables for which the DDL declares a primary key, as `schema.table`."""
    ddl = "\n".join(path.read_text() for path in (PROJECT_DIR / "warehouse/ddl").glob("*.sql"))
    tables = re.findall(r"create table if not exists (\S+) \((.*?)\n\);", ddl, re.DOTALL)
    return {name for name, body in tables if "primary key" in body}


def takes_over_a_key(model: Node) -> bool:
    """Whether the model is a staging view of one table as it stands, and so has the table's key."""
    parents = model["depends_on"]["nodes"]
    if layer(model) != "staging" or model["config"]["materialized"] != "view" or len(parents) != 1:
        return False
    source = ".".join(parents[0].split(".")[-2:])
    return source in keyed_tables() and not re.search(r"\bjoin\b", model["raw_code"])


def test_every_model_has_a_primary_key_test(manifest: Node, models: dict[str, Node]) -> None:
    tested: dict[tuple[str, str], set[str]] = defaultdict(set)
    has_key = set()
    for test in manifest["nodes"].values():
        metadata = test.get("test_metadata")
        if not metadata or not test["attached_node"]:
            continue
        has_own_key = metadata["name"] == "holds" and metadata["kwargs"].get("key")
        if has_own_key or metadata["name"] in ("unique_together", "same_rows_as"):
            has_key.add(test["attached_node"])
        elif test["column_name"]:
            tested[test["attached_node"], test["column_name"]].add(metadata["name"])
    for key, model in models.items():
        for column in model["columns"].values():
            # On a table PostgreSQL itself holds the contract's constraints.
            if model["config"]["materialized"] in ("table", "incremental"):
                tested[key, column["name"]] |= {rule["type"] for rule in column["constraints"]}
    has_key |= {
        model
        for (model, _), names in tested.items()
        if names >= {"unique", "not_null"} or "primary_key" in names
    }
    has_key |= {key for key, model in models.items() if takes_over_a_key(model)}
    assert not [model["name"] for key, model in models.items() if key not in has_key]


def test_a_model_is_tested_in_one_pass(manifest: Node, models: dict[str, Node]) -> None:
    """One `holds` for all of a model's expressions; none for what PostgreSQL itself holds."""
    tests = [node for node in manifest["nodes"].values() if node.get("test_metadata")]
    named = [test["attached_node"] for test in tests if test["test_metadata"]["name"] == "holds"]
    assert len(named) == len(set(named))
    held = {
        (key, column["name"])
        for key, model in models.items()
        if model["contract"]["enforced"] and layer(model) == "marts"
        for column in model["columns"].values()
        if "not_null" in {rule["type"] for rule in column["constraints"]}
    }
    for test in tests:
        expressions = test["test_metadata"]["kwargs"].get("expressions", [])
        names = {name for text in expressions for name in re.findall(r"^(\w+) is not null$", text)}
        if test["test_metadata"]["name"] == "not_null":
            names.add(test["column_name"])
        assert not {(test["attached_node"], name) for name in names} & held, test["name"]


def test_marts_and_reports_have_enforced_contracts(models: dict[str, Node]) -> None:
    promised = [model for model in models.values() if layer(model) in ("marts", "reports")]
    assert promised
    assert not [model["name"] for model in promised if not model["contract"]["enforced"]]


def test_every_number_with_decimals_names_its_places(models: dict[str, Node]) -> None:
    types = {
        (model["name"], column["name"]): column["data_type"]
        for model in models.values()
        if model["contract"]["enforced"]
        for column in model["columns"].values()
        if column["data_type"].startswith(("numeric", "decimal"))
    }
    assert types
    assert not {
        column: type_
        for column, type_ in types.items()
        if not re.fullmatch(r"numeric\(\d+, \d+\)", type_)
    }
    # A valid line is worth up to 1e15, and sums and rates of exchange go beyond.
    assert not {
        column: type_
        for column, type_ in types.items()
        if column[1].endswith("_amount") and type_ != "numeric(24, 4)"
    }


def test_every_report_stands_in_an_exposure(manifest: Node, models: dict[str, Node]) -> None:
    exposed = {
        parent
        for exposure in manifest["exposures"].values()
        for parent in exposure["depends_on"]["nodes"]
    }
    reports = {key for key, model in models.items() if layer(model) == "reports"}
    assert reports
    assert reports == exposed


def test_every_snapshot_says_its_grain_and_its_columns(manifest: Node) -> None:
    snapshots = [node for key, node in manifest["nodes"].items() if key.startswith("snapshot.")]
    assert {node["schema"] for node in snapshots} == {"snapshots"}
    meta = set(snapshots[0]["config"]["snapshot_meta_column_names"].values()) - {None}
    for snapshot in snapshots:
        assert snapshot["description"].lstrip().startswith("One row per ")
        assert {snapshot["config"]["unique_key"], *meta} <= set(snapshot["columns"])
        assert all(column["description"].strip() for column in snapshot["columns"].values())


def test_every_metric_is_described_and_every_measure_has_one(manifest: Node) -> None:
    metrics = manifest["metrics"].values()
    described = [
        *metrics,
        *manifest["semantic_models"].values(),
        *manifest["saved_queries"].values(),
    ]
    assert not [node["name"] for node in described if not (node["description"] or "").strip()]
    measures = {
        measure["name"]
        for model in manifest["semantic_models"].values()
        for measure in model["measures"]
    }
    assert measures == {
        metric["type_params"]["measure"]["name"] for metric in metrics if metric["type"] == "simple"
    }


def test_metrics_are_of_marts(manifest: Node, models: dict[str, Node]) -> None:
    for semantic_model in manifest["semantic_models"].values():
        (parent,) = semantic_model["depends_on"]["nodes"]
        assert layer(models[parent]) == "marts"


def test_the_bots_of_a_mart_are_left_out_of_its_metrics(
    manifest: Node, models: dict[str, Node]
) -> None:
    """A metric on a mart with bots has the filter; one on a mart without them needs none."""
    owner = {
        measure["name"]: semantic_model
        for semantic_model in manifest["semantic_models"].values()
        for measure in semantic_model["measures"]
    }
    for metric in manifest["metrics"].values():
        if metric["type"] not in ("simple", "cumulative"):
            continue
        (parent,) = owner[metric["type_params"]["measure"]["name"]]["depends_on"]["nodes"]
        filters = str(metric["filter"])
        assert ("__is_counted')" in filters) == ("is_bot" in models[parent]["columns"])


def test_every_var_stands_once_in_the_project_file() -> None:
    declared = set(yaml.safe_load((PROJECT_DIR / "dbt_project.yml").read_text())["vars"])
    used, with_default = set(), set()
    for folder in ("warehouse", "macros", "tests/dbt", "analyses"):
        for path in (PROJECT_DIR / folder).rglob("*.sql"):
            for name, rest in re.findall(r"""\bvar\(\s*["'](\w+)["']\s*([,)])""", path.read_text()):
                used.add(name)
                if rest == ",":
                    with_default.add((path.name, name))
    assert not with_default
    assert used <= declared


def test_every_analysis_opens_with_its_question() -> None:
    analyses = sorted((PROJECT_DIR / "analyses").glob("*.sql"))
    assert analyses
    first_lines = {path.name: path.read_text().splitlines()[0] for path in analyses}
    assert not [
        name for name, line in first_lines.items() if not re.fullmatch(r"-- .+\?", line.strip())
    ]


# -- the Python package --------------------------------------------------------------------------


def modules() -> Iterator[tuple[str, Path, ast.Module]]:
    """Each module of the package: its part (`cli`, `adapters`), its path, its tree."""
    for path in sorted(PACKAGE_DIR.rglob("*.py")):
        part = path.relative_to(PACKAGE_DIR).parts[0].removesuffix(".py")
        yield part, path.relative_to(PROJECT_DIR), ast.parse(path.read_text())


def imported_parts(path: Path, tree: ast.Module) -> set[str]:
    """The parts of the package that a module imports, wherever in it the import stands."""
    package = path.parent.parts
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [tuple(alias.name.split(".")) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = tuple(node.module.split(".")) if node.module else ()
            names = [(*base, *module, alias.name) for alias in node.names]
        else:
            continue
        found |= {name[1] for name in names if name[0] == "ingestion" and len(name) > 1}
    return found


def test_parts_import_only_what_they_may() -> None:
    forbidden = {
        (str(path), imported)
        for part, path, tree in modules()
        if part in ALLOWED_IMPORTS
        for imported in imported_parts(path, tree) - ALLOWED_IMPORTS[part]
    }
    assert not forbidden


def test_nobody_imports_the_command_line() -> None:
    importers = {part for part, path, tree in modules() if "cli" in imported_parts(path, tree)}
    assert importers <= {"__main__"}


def test_only_settings_reads_the_environment() -> None:
    readers = {
        (str(path), ast.unparse(read))
        for part, path, tree in modules()
        if part != "settings"
        for read in environment_reads(tree)
        if not (part == "spark" and names_engine_variable(read))
    }
    assert not readers


def environment_reads(tree: ast.Module) -> Iterator[ast.AST]:
    """The smallest expressions around `os.environ` and `os.getenv`.

    `{**os.environ}`, which hands all of it on to a child process unread, is not one.
    """
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            if {alias.name for alias in node.names} & {"environ", "getenv"}:
                yield node
        elif isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv"):
            parent = parents[node]
            if isinstance(parent, ast.Dict) and None in parent.keys:
                continue
            yield parents[parent] if isinstance(parent, ast.Attribute) else parent


def names_engine_variable(read: ast.AST) -> bool:
    texts = [node.value for node in ast.walk(read) if isinstance(node, ast.Constant)]
    return bool(texts) and ENGINE_VARIABLES.fullmatch(str(texts[0])) is not None


def test_only_spark_builds_a_session() -> None:
    builders = {
        part
        for part, _, tree in modules()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("SparkSession.builder")
    }
    assert builders == {"spark"}
