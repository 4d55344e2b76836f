"""The reports for Tableau: data sources, a workbook and extracts, all from dbt's manifest."""
