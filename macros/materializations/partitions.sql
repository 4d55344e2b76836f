{#
    Tables in partitions by month: a model of many rows says `meta: {partitioned_by: a date column}`
    and depends on int_load_day_types_aggregated. Each month with at least a thousandth of the events is a
    partition, so there are never very many; the dates of wrong clocks share one more with all others.

    The partitions stand in a schema of their own, out of the sight of those who read the marts.
#}
{% macro partition_column() %}
    {{ return(config.get('meta', {}).get('partitioned_by')) }}
{% endmacro %}


{% macro create_partitioned_table(relation, sql) %}
    {# As dbt's own way with a contract: the columns and constraints first, then the rows. #}
    create table {{ relation }}
    {{ get_assert_columns_equivalent(sql) }}
    {{ get_table_columns_and_constraints() }} partition by range ({{ partition_column() }});
    create table {{ partition_of(relation, 'other') }} partition of {{ relation }} default;
    {% for month in months_without_partition(relation) %}
        {{ create_partition(relation, month) }};
    {% endfor %}
    insert into {{ relation }} ({{ adapter.dispatch('get_column_names', 'dbt')() }}) (
        {{ get_select_subquery(sql) }}
    )
{% endmacro %}


{% macro create_partition(relation, month) %}
    create table {{ partition_of(relation, month) }} partition of {{ relation }}
    for values from ('{{ month }}') to (date '{{ month }}' + interval '1 month')
{% endmacro %}


{# It is named by its table and the first day of its month: fct_events_2026_03_01. #}
{% macro partition_of(relation, month) %}
    {{ return('partitions."' ~ relation.identifier ~ '_' ~ month | replace('-', '_') ~ '"') }}
{% endmacro %}


{# The first days of these months, as text. #}
{% macro months_without_partition(relation) %}
    {% set days = ref('int_load_day_types_aggregated') %}
    {% set found = run_query(
        "select month from (select date_trunc('month', event_date)::date::text as month, "
        ~ "sum(event_count) as event_count from " ~ days ~ " group by 1) as months "
        ~ "where event_count * 1000 >= (select sum(event_count) from " ~ days ~ ") "
        ~ "and to_regclass(format('partitions.%I', '" ~ relation.identifier
        ~ "_' || replace(month, '-', '_'))) is null order by month"
    ) %}
    {{ return(found.columns[0].values()) }}
{% endmacro %}


{# For months that have come to their share since: so far their rows lie among the others. #}
{% macro add_partitions(relation) %}
    {% set months = months_without_partition(relation) %}
    {% if months %}
        {% do run_query(lock_for_swap(relation, dependent_views(relation))) %}
        {% for month in months %}
            {% do move_to_partition(relation, month) %}
        {% endfor %}
        {% do run_query(analysis_of_partitions(relation)) %}
    {% endif %}
{% endmacro %}


{% macro move_to_partition(relation, month) %}
    {% set others = partition_of(relation, 'other') %}
    {% set of_month = "date_trunc('month', " ~ partition_column() ~ ") = date '" ~ month ~ "'" %}
    {% do run_query(
        "create temporary table moved_rows on commit drop as select * from " ~ others ~ " where "
        ~ of_month ~ "; delete from " ~ others ~ " where " ~ of_month ~ "; "
        ~ create_partition(relation, month) ~ "; insert into " ~ relation
        ~ " select * from moved_rows; drop table moved_rows"
    ) %}
{% endmacro %}


{# Autovacuum looks at the partitions alone. As many rows for each as for a whole table are too many. #}
{% macro analysis_of_partitions(relation) -%}
    set local default_statistics_target = 25; analyze {{ relation }};
    set local default_statistics_target to default
{%- endmacro %}


{# After the table was renamed: the names of its partitions begin with its own. #}
{% macro rename_partitions(relation) %}
    {% do run_query(
        "do $rename$ declare part text; begin for part in select relname from pg_inherits "
        ~ "inner join pg_class on pg_class.oid = inhrelid where inhparent = '"
        ~ relation.include(database=false) ~ "'::regclass loop "
        ~ "execute format('alter table partitions.%I rename to %I', part, '" ~ relation.identifier
        ~ "' || substring(part from '_(?:[0-9]+_[0-9]+_[0-9]+|other)$')); end loop; end $rename$"
    ) %}
{% endmacro %}
