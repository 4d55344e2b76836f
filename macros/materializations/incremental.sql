{#
    Models that follow new loads: exactly what a rebuild would make, at the cost of what the loads
    touched. By `incremental_strategy`:

    - by_visitor, by_user: the rows of the visitors or users that new loads touched are computed
      anew from all their events, and take the place of the old ones. The model marks what it reads
      by of_changed_visitors() or of_changed_users(), and has a column `visitor_id` or `user_key`.
      With a `unique_key` (never null) only the rows that differ are written.
    - by_session: the same for the sessions of which rows of the models that this one reads differ,
      and for all sessions of a visitor where those have rows of visitors. They write down for it
      what differs: they need a `unique_key` too. The model marks what it reads by
      of_changed_sessions(), and has columns `session_id` and `visitor_id`.
    - by_event: the same for single events. The model marks what it reads by of_changed_events(),
      and has columns `event_id`, `session_id` and `visitor_id`.
    - by_load: rows computed from the events of new loads alone are added; rows of the same
      `unique_key` go. The model marks what it reads by of_new_loads().
    - by_difference: sums over one incremental model. What went and what came there since, which
      that model writes down for it, is added to the standing sums. The model reads rows_of() that
      model alone, has a `unique_key` (never null) and a `row_count`, the sum of `row_sign`; all its
      other columns are sums of whole numbers or numerics, never null.

    A macro named in `meta: also_changed` selects further sessions or users, whose rows a table made
    anew each time changes.

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
    {% elif strategy == 'by_difference' %}
        {% do add_differences(todo, target, sql) %}
    {% elif strategy in key_of_change() %}
        {% do replace_changed_rows(todo, target, sql, key_of_change()[strategy]) %}
    {% else %}
        {% do exceptions.raise_compiler_error(
            "incremental_strategy is '" ~ strategy ~ "'; it must be "
            ~ key_of_change() | join(", ") ~ ", by_load or by_difference"
        ) %}
    {% endif %}
{% endmacro %}


{% macro key_of_change() %}
    {{ return({
        'by_visitor': 'visitor_id', 'by_user': 'user_key', 'by_session': 'session_id',
        'by_event': 'event_id'
    }) }}
{% endmacro %}


{% macro replace_changed_rows(todo, target, sql, key) %}
    {% do run_query(
        "create temporary table changed_keys on commit drop as "
        ~ changed_keys(key, todo.since_load_id, target)
    ) %}
    {% do run_query("analyze changed_keys") %}
    {% do plan_for_few_rows(key) %}
    {% set is_changed = key ~ " in (select " ~ key ~ " from changed_keys)" %}
    {% if key == 'event_id' %}
        {# Tables of events have an index on sessions alone. #}
        {% set is_changed = "session_id in (select session_id from changed_keys) and " ~ is_changed %}
    {% endif %}
    {% set mark = "true /\\* follow: (\\S*?)(\\w+) of changed " ~ key ~ " in " %}
    {% set only_changed = modules.re.sub(
        mark ~ "None \\*/", "\\1\\2 in (select \\2 from changed_keys)", sql
    ) %}
    {% set only_changed = modules.re.sub(
        mark ~ "(\\S+) \\*/", "\\1\\2 in (select \\2 from \\3 where " ~ is_changed ~ ")", only_changed
    ) %}
    {% set columns = own_columns(target) %}
    {% if config.get('unique_key') %}
        {% do replace_differing_rows(todo, target, columns, is_changed, only_changed) %}
    {% else %}
        {% do make_new_rows(columns, only_changed) %}
        {% do run_query("delete from " ~ target ~ " where " ~ is_changed) %}
        {% call statement('main') %}
            insert into {{ target }} ({{ columns }})
            select {{ columns }} from new_rows
        {% endcall %}
    {% endif %}
{% endmacro %}


{% macro plan_for_few_rows(key) %}
    {# PostgreSQL takes the rows of a visitor for spread over as many pages, and would rather read a
       whole table than find them. But they lie together. A merge too reads a whole index, in its
       order, and other processes only help where a core is free: each has a model of its own. #}
    {% do run_query(
        "set local random_page_cost = 0.3; set local enable_mergejoin = off; "
        ~ "set local max_parallel_workers_per_gather = 0"
    ) %}
    {% if key in ('session_id', 'event_id') %}
        {# Joins in the order written: first the rows of the few in each relation, then what these
           share. Else raw events would be looked up one by one, each by its own key. #}
        {% do run_query("set local join_collapse_limit = 1") %}
    {% endif %}
{% endmacro %}


{% macro make_new_rows(columns, sql) %}
    {% do run_query(
        "create temporary table new_rows on commit drop as select " ~ columns
        ~ " from (" ~ sql ~ ") as new_rows"
    ) %}
{% endmacro %}


{% macro replace_differing_rows(todo, target, columns, is_changed, sql) %}
    {# Most rows of a changed visitor stay as they are: only the others are written. #}
    {% set keys = config.get('unique_key') %}
    {% set key = keys if keys is string else keys[0] %}
    {% set own = columns_of('new_rows', columns) %}
    {# A ctid says where a row is in its partition. #}
    {% set place = partition_column() or 'ctid' %}
    {% do run_query(
        "create temporary table differing_rows on commit drop as select standing.standing_ctid, "
        ~ "standing.standing_place, new_rows." ~ key ~ " is not null as is_new, " ~ own
        ~ " from (" ~ sql ~ ") as new_rows full join (select ctid as standing_ctid, " ~ place
        ~ " as standing_place, * from " ~ target ~ " where "
        ~ is_changed ~ ") as standing on " ~ matches('standing', 'new_rows', keys)
        ~ " where row(" ~ own ~ ") is distinct from row(" ~ columns_of('standing', columns) ~ ")"
    ) %}
    {# By these it is joined: to look at all others takes longer than what is done with it. #}
    {% do run_query("analyze differing_rows (standing_ctid, standing_place, is_new)") %}
    {% set removal = "delete from " ~ target ~ " as standing using differing_rows "
        ~ "where standing.ctid = differing_rows.standing_ctid"
        ~ " and standing." ~ place ~ " = differing_rows.standing_place" %}
    {% if partition_column() %}
        {# Each row is looked up in its place: for a hash join all partitions would be read. #}
        {% do run_query("set local enable_hashjoin = off") %}
    {% endif %}
    {% set readers = readers_of_differences() %}
    {% if readers %}
        {% do note_differences(todo, target, columns, removal, readers) %}
    {% else %}
        {% do run_query(removal) %}
    {% endif %}
    {% call statement('main') %}
        insert into {{ target }} ({{ columns }})
        select {{ columns }} from differing_rows where is_new
    {% endcall %}
{% endmacro %}


{% macro changed_keys(key, since_load_id, target) %}
    {# The visitors, users, sessions or events to compute anew: those of new loads, and of a backfill. #}
    {% set also_changed = config.get('meta', {}).get('also_changed') %}
    {% if key in ('session_id', 'event_id') %}
        {% set event = 'event_id, ' if key == 'event_id' else '' %}
        {{ return(keys_of_differences(event ~ 'session_id, visitor_id', since_load_id, target)) }}
    {% endif %}
    {% set changes = ref('int_changed_visitors' if key == 'visitor_id' else 'int_changed_users') %}
    {% set visitors = backfilled_visitors() if var('backfill_from') is not none %}
    select {{ key }} from {{ changes }} where load_id > {{ since_load_id }}
    {% if also_changed %}
        union
        {{ context[also_changed](since_load_id, target) }}
    {% endif %}
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


{% macro keys_of_differences(keys, since_load_id, target) %}
    {% set found = [] %}
    {% set visitors = [] %}
    {% for parent in parents_with_differences() %}
        {% set differences = differences_of(relation_of(parent)) %}
        {% set is_of_visitors = '"session_id"' not in own_columns(differences) %}
        {% do (visitors if is_of_visitors else found).append(
            "select " ~ ("visitor_id" if is_of_visitors else keys) ~ " from " ~ differences
            ~ " where difference_load_id > " ~ since_load_id
        ) %}
    {% endfor %}
    {% if config.get('meta', {}).get('also_changed') %}
        {% do found.append(context[config.get('meta').also_changed](since_load_id, target)) %}
    {% endif %}
    {% if var('backfill_from') is not none %}
        {% do visitors.append(backfilled_visitors()) %}
    {% endif %}
    {% if visitors %}
        {# All that these visitors have, also what the model has in vain. #}
        {% for relation in (relation_named('int_events_sessionized'), target) %}
            {% do found.append(
                "select " ~ keys ~ " from " ~ relation ~ " where visitor_id in ("
                ~ visitors | join(" union all ") ~ ")"
            ) %}
        {% endfor %}
    {% endif %}
    {{ return("select distinct " ~ keys ~ " from (" ~ found | join(" union all ") ~ ") as changed") }}
{% endmacro %}


{% macro users_of_wrong_clocks(since_load_id, target) %}
    {# Those with a day after the data's last one, of now or of when the table was written: it counts
       as the last. No first_seen_date is later than that. #}
    {% set days = {
        'int_visitor_days_aggregated': 'event_date', 'fct_sessions': 'session_date',
        'fct_orders': 'order_date'
    } %}
    {% set last_date %}
        (select least(max(first_seen_date), (select last_date from {{ relation_named("int_span_observed") }}))
        from {{ target }})
    {% endset %}
    {% for name, date in days.items() %}
        select user_key from {{ relation_named(name) }} where {{ date }} > {{ last_date }}
        union
    {% endfor %}
    select orders.user_key from {{ relation_named("fct_refunds") }} as refunds
    inner join {{ relation_named("fct_orders") }} as orders on refunds.order_key = orders.order_key
    where refunds.refund_date > {{ last_date }}
{% endmacro %}


{% macro users_of_closed_months(since_load_id, target) %}
    {# All buyers, who are ranked among each other; and all users, where the months are not the same. #}
    {% set span = relation_named("int_span_observed") %}
    select user_key from {{ relation_named("int_user_months_aggregated") }}
    where order_count > 0 or (
        select
            min(month_start_date) is distinct from (select {{ month_start("first_date") }} from {{ span }})
            or max(month_start_date) is distinct from
            (select {{ later_by(month_start("last_date"), -1, "month") }} from {{ span }})
        from {{ target }}
    )
{% endmacro %}


{% macro sessions_of_recategorized_products(since_load_id, target) %}
    {# Those who came by a product that new loads may have moved to another category. #}
    select session_id, visitor_id from {{ relation_named("int_session_product_steps") }}
    where product_id in (
        select product_id from {{ relation_named("int_products_observed") }}
        group by product_id
        having max(load_id) > {{ since_load_id }} and count(distinct coalesce(category, '')) > 1
    )
{% endmacro %}


{% macro backfilled_visitors() %}
    {# With all they hang together with by orders, as in int_changed_visitors. #}
    {% set order_visitors = relation_named('int_order_visitors') %}
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
    {# PostgreSQL makes room beforehand for all it fears a recursion to find, up to this. #}
    {% do run_query("set local work_mem = '16MB'") %}
    {% do make_new_rows(own_columns(target), only_new) %}
    {% do run_query(
        analysis_of_keys() ~ "; delete from " ~ target ~ " as standing using new_rows where "
        ~ is_same_key
    ) %}
    {% call statement('main') %}
        insert into {{ target }} ({{ own_columns(target) }})
        select {{ own_columns(target) }} from new_rows
    {% endcall %}
{% endmacro %}


{#
    A model that others follow by_difference, by_session or by_event writes down, in a table beside
    it, the rows that went and that came, with the load it has come to by them; of what is not
    added up, the keys alone. What all of the others have followed is let go. From which load on
    the notes are whole is in `ops.model_states`.
#}
{% macro differences_of(relation) %}
    {# Out of the sight of those who read the marts. #}
    {{ return(relation.incorporate(
        path={'schema': 'intermediate', 'identifier': relation.identifier ~ '__differences'}
    )) }}
{% endmacro %}


{% macro relation_of(node) %}
    {{ return(api.Relation.create(
        database=node.database, schema=node.schema, identifier=node.alias or node.name
    )) }}
{% endmacro %}


{% macro relation_named(name) %}
    {{ return(relation_of(graph.nodes['model.' ~ project_name ~ '.' ~ name])) }}
{% endmacro %}


{% macro follows_differences() %}
    {{ return(('by_difference', 'by_session', 'by_event')) }}
{% endmacro %}


{# The models that follow this one by its differences. #}
{% macro readers_of_differences() %}
    {% set found = [] %}
    {% if config.get('incremental_strategy') in key_of_change() and config.get('unique_key') %}
        {% for node in graph.nodes.values() %}
            {% if node.resource_type == 'model' and model.unique_id in node.depends_on.nodes
                and node.config.get('incremental_strategy') in follows_differences() %}
                {% do found.append(node) %}
            {% endif %}
        {% endfor %}
    {% endif %}
    {{ return(found) }}
{% endmacro %}


{# The models whose differences this one follows. #}
{% macro parents_with_differences() %}
    {% set found = [] %}
    {% for parent_id in model.depends_on.nodes if parent_id.startswith('model.') %}
        {% set parent = graph.nodes[parent_id] %}
        {% if parent.config.get('incremental_strategy') in key_of_change() %}
            {% if not parent.config.get('unique_key') %}
                {% do exceptions.raise_compiler_error(
                    parent.name ~ " needs a unique_key: " ~ model.name ~ " follows what differs in it"
                ) %}
            {% endif %}
            {% do found.append(parent) %}
        {% endif %}
    {% endfor %}
    {{ return(found) }}
{% endmacro %}


{# The load from which on a model's differences are written down, after this build; or none. #}
{% macro differences_since(todo, target) %}
    {% if not readers_of_differences() %}
        {{ return(none) }}
    {% elif todo.work == 'rebuild' %}
        {% do run_query("drop table if exists " ~ differences_of(target)) %}
        {{ return(todo.load_id) }}
    {% elif todo.work == 'follow' and todo.differences_since_load_id is none %}
        {{ return(todo.since_load_id) }}
    {% endif %}
    {{ return(todo.differences_since_load_id) }}
{% endmacro %}


{% macro note_differences(todo, target, columns, removal, readers) %}
    {% set differences = differences_of(target) %}
    {% set noted = columns_to_note(columns, readers) %}
    {% if own_columns(differences) != noted ~ ', "row_sign", "difference_load_id"' %}
        {% do run_query(
            "drop table if exists " ~ differences ~ "; create table " ~ differences ~ " as select "
            ~ noted ~ ", 1 as row_sign, 0::bigint as difference_load_id from differing_rows limit 0"
        ) %}
        {% do todo.update({'differences_since_load_id': none}) %}
    {% endif %}
    {% set names = [] %}
    {% for reader in readers %}
        {% do names.append("'" ~ state_name(reader) ~ "'") %}
    {% endfor %}
    {% do run_query(
        "delete from " ~ differences ~ " where difference_load_id <= (select coalesce(min(load_id), 0) "
        ~ "from ops.model_states where model in (" ~ names | join(", ") ~ ")); "
        ~ "with gone as (" ~ removal ~ " returning " ~ columns_of('standing', noted) ~ ") "
        ~ "insert into " ~ differences ~ " select *, -1, " ~ todo.load_id ~ " from gone; "
        ~ "insert into " ~ differences ~ " select " ~ noted ~ ", 1, " ~ todo.load_id
        ~ " from differing_rows where is_new"
    ) %}
{% endmacro %}


{% macro columns_to_note(columns, readers) %}
    {% set strategies = readers | map(attribute='config.incremental_strategy') | list %}
    {% if 'by_difference' in strategies %}
        {{ return(columns) }}
    {% elif '"session_id"' not in columns %}
        {{ return('"visitor_id"') }}
    {% endif %}
    {% set event = '"event_id", ' if 'by_event' in strategies else '' %}
    {{ return(event ~ '"session_id", "visitor_id"') }}
{% endmacro %}


{% macro add_differences(todo, target, sql) %}
    {% set mark = '\\(select \\*, 1 as row_sign from \\S+\\) /\\* follow: differences \\*/' %}
    {% set differences = differences_of(relation_of(parents_with_differences()[0])) %}
    {% set only_differences = modules.re.sub(
        mark, '(select * from ' ~ differences ~ ' where difference_load_id > ' ~ todo.since_load_id ~ ')',
        sql
    ) %}
    {% set keys = config.require('unique_key') %}
    {% set columns = own_columns(target) %}
    {% set sums = [] %}
    {% for column in adapter.get_columns_in_relation(target) if column.name not in keys %}
        {% do sums.append(column.quoted ~ " = standing." ~ column.quoted ~ " + new_rows." ~ column.quoted) %}
    {% endfor %}
    {% do make_new_rows(columns, only_differences) %}
    {% do run_query(analysis_of_keys()) %}
    {% call statement('main') %}
        merge into {{ target }} as standing using new_rows on {{ matches('standing', 'new_rows', keys) }}
        when matched and standing.row_count + new_rows.row_count = 0 then delete
        when matched then update set {{ sums | join(', ') }}
        when not matched and new_rows.row_count <> 0 then
            insert ({{ columns }}) values ({{ columns_of('new_rows', columns) }})
    {% endcall %}
{% endmacro %}


{% macro analysis_of_keys() %}
    {% set keys = config.require('unique_key') %}
    {{ return("analyze new_rows (" ~ (keys if keys is string else keys | join(", ")) ~ ")") }}
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
