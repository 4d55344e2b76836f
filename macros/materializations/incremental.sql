{#
    Models that follow new loads: exactly what a rebuild would make, at the cost of what the loads
    touched. By `incremental_strategy`:

    - by_visitor, by_user: the rows of the visitors or users that new loads touched are computed
      anew from all their events, and take the place of the old ones. The model marks what it reads
      by of_changed_visitors() or of_changed_users(), and has a column `visitor_id` or `user_key`.
      With a `unique_key` (never null) only the rows that differ are written.
    - by_load: rows computed from the events of new loads alone are added; rows of the same
      `unique_key` go. The model marks what it reads by of_new_loads().

    Each is one transaction, with the note of which load it came to: killed at any point, the next
    build goes on from there. A reader never sees it half-done.
#}
{% materialization incremental, adapter='postgres' %}
    {{ return(materialize('table', sql, pre_hooks, post_hooks)) }}
{% endmaterialization %}


{% macro follow_new_loads(todo, target, sql) %}
    {% set strategy = config.require('incremental_strategy') %}
    {% if strategy == 'by_load' %}
        {% do add_new_rows(todo, target, sql) %}
    {% elif strategy in ('by_visitor', 'by_user') %}
        {% set key = 'visitor_id' if strategy == 'by_visitor' else 'user_key' %}
        {% do replace_changed_rows(todo, target, sql, key) %}
    {% else %}
        {% do exceptions.raise_compiler_error(
            "incremental_strategy is '" ~ strategy ~ "'; it must be by_visitor, by_user or by_load"
        ) %}
    {% endif %}
{% endmacro %}


{% macro replace_changed_rows(todo, target, sql, key) %}
    {% do run_query(
        "create temporary table changed_keys on commit drop as "
        ~ changed_keys(key, todo.since_load_id)
    ) %}
    {% do run_query("analyze changed_keys") %}
    {% set is_changed = key ~ " in (select " ~ key ~ " from changed_keys)" %}
    {% set mark = "true /\\* follow: (\\S*?)(\\w+) of changed " ~ key ~ " in " %}
    {% set only_changed = modules.re.sub(mark ~ "None \\*/", "\\1" ~ is_changed, sql) %}
    {% set only_changed = modules.re.sub(
        mark ~ "(\\S+) \\*/", "\\1\\2 in (select \\2 from \\3 where " ~ is_changed ~ ")", only_changed
    ) %}
    {% set columns = own_columns(target) %}
    {% set standing_rows = "select * from " ~ target ~ " where " ~ is_changed %}
    {% do run_query(
        "create temporary table new_rows on commit drop as select " ~ columns
        ~ " from (" ~ only_changed ~ ") as new_rows"
    ) %}
    {% do run_query("analyze new_rows") %}
    {% set keys = config.get('unique_key') %}
    {% if keys %}
        {# Most rows of a changed visitor stay as they are: only the others are written. #}
        {% set is_same_key = matches('standing', 'new_rows', keys) %}
        {% do run_query(
            "delete from " ~ target ~ " as standing where " ~ is_changed ~ " and not exists ("
            ~ "select from new_rows where " ~ is_same_key ~ " and row(" ~ columns_of('new_rows', columns)
            ~ ") is not distinct from row(" ~ columns_of('standing', columns) ~ "))"
        ) %}
        {% do run_query(
            "delete from new_rows using (" ~ standing_rows ~ ") as standing where " ~ is_same_key
        ) %}
    {% else %}
        {% do run_query("delete from " ~ target ~ " where " ~ is_changed) %}
    {% endif %}
    {% call statement('main') %}
        insert into {{ target }} ({{ columns }})
        select {{ columns }} from new_rows
    {% endcall %}
{% endmacro %}


{% macro changed_keys(key, since_load_id) %}
    {# The visitors or users to compute anew: those of new loads, and those of a backfill. #}
    {% set changes = ref('int_changed_visitors' if key == 'visitor_id' else 'int_changed_users') %}
    {% set visitors = backfilled_visitors(changes) if var('backfill_from') is not none %}
    select {{ key }} from {{ changes }} where load_id > {{ since_load_id }}
    {% if visitors and key == 'visitor_id' %}
        union
        {{ visitors }}
    {% elif visitors %}
        union
        select {{ hash_key(["'visitor'", "visitor_id"]) }} from ({{ visitors }}) as visitors
        union
        select {{ hash_key(["'user'", "user_id"]) }} from raw.events
        where user_id is not null and visitor_id in ({{ visitors }})
    {% endif %}
{% endmacro %}


{% macro backfilled_visitors(changes) %}
    {# With all they hang together with by orders, as in int_changed_visitors. #}
    {% set order_visitors = changes.incorporate(path={'identifier': 'int_order_visitors'}) %}
    select visitor_id from (
        with recursive reached as (
            select visitor_id from raw.events
            where {{ reporting_date("event_ts") }} between date '{{ var("backfill_from") }}'
                and date '{{ var("backfill_until") or var("backfill_from") }}'
            union
            select others.visitor_id
            from reached
            inner join {{ order_visitors }} as own on reached.visitor_id = own.visitor_id
            inner join {{ order_visitors }} as others on own.order_id = others.order_id
        )
        select visitor_id from reached
    ) as backfilled
{% endmacro %}


{% macro add_new_rows(todo, target, sql) %}
    {% set is_same_key = matches('standing', 'new_rows', config.require('unique_key')) %}
    {% set only_new = modules.re.sub(
        "true /\\* follow: (\\S+) of new loads \\*/", "\\1 > " ~ todo.since_load_id, sql
    ) %}
    {% do run_query(
        "create temporary table new_rows on commit drop as select " ~ own_columns(target)
        ~ " from (" ~ only_new ~ ") as new_rows"
    ) %}
    {% do run_query("analyze new_rows") %}
    {% do run_query(
        "delete from " ~ target ~ " as standing using new_rows where " ~ is_same_key
    ) %}
    {% call statement('main') %}
        insert into {{ target }} ({{ own_columns(target) }})
        select {{ own_columns(target) }} from new_rows
    {% endcall %}
{% endmacro %}


{% macro matches(one, other, keys) %}
    {% set equalities = [] %}
    {% for key in ([keys] if keys is string else keys) %}
        {% do equalities.append(one ~ "." ~ key ~ " = " ~ other ~ "." ~ key) %}
    {% endfor %}
    {{ return(equalities | join(" and ")) }}
{% endmacro %}


{% macro columns_of(relation, columns) %}
    {{ return(relation ~ "." ~ columns | replace(", ", ", " ~ relation ~ ".")) }}
{% endmacro %}


{% macro own_columns(relation) %}
    {{ return(adapter.get_columns_in_relation(relation) | map(attribute='quoted') | join(', ')) }}
{% endmacro %}
