{#
    A data test that fails leaves the rows it found in a table of its name, in the schema
    `test_failures`; one that holds leaves none, and takes away that of an earlier failure. dbt's own
    way writes a table for each test, failing or not.
#}
{% materialization test, adapter='postgres' %}
    {% set rows_found = get_limit_subquery_sql(sql, config.get('limit')) %}
    {% call statement('main', fetch_result=True) %}
        {{ get_test_sql(
            rows_found, config.get('fail_calc'), config.get('warn_if'), config.get('error_if'),
            limit=none
        ) }}
    {% endcall %}
    {% if not should_store_failures() %}
        {{ return({'relations': []}) }}
    {% endif %}
    {% set verdict = load_result('main').table.rows[0] %}
    {% set has_failed = verdict['should_warn'] or verdict['should_error'] %}
    {% set kept = api.Relation.create(
        database=database, schema=schema, identifier=model['alias'], type='table'
    ) %}
    {% if has_failed or load_cached_relation(kept) %}
        {% call statement('keep_failures', auto_begin=True) %}
            drop table if exists {{ kept }};
            {% if has_failed -%}
                create table {{ kept }} as
                {{ rows_found }}
            {%- endif %}
        {% endcall %}
        {% do adapter.commit() %}
    {% endif %}
    {{ return({'relations': [kept] if has_failed else []}) }}
{% endmaterialization %}
