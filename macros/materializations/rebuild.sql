{#
    How tables and views are rebuilt on PostgreSQL: made beside the old one, then put in its place
    in one short transaction that also points the views on it at the new one. A reader never meets
    a missing or an empty report, and `dbt run -s one_model` leaves every view standing, where
    dbt's own way drops the views on a rebuilt table.
#}
{% materialization table, adapter='postgres' %}
    {{ return(materialize('table', sql, pre_hooks, post_hooks)) }}
{% endmaterialization %}

{% materialization view, adapter='postgres' %}
    {{ return(materialize('view', sql, pre_hooks, post_hooks)) }}
{% endmaterialization %}


{% macro materialize(kind, sql, pre_hooks, post_hooks) %}
    {% set target = this.incorporate(type=kind) %}
    {% set existing = standing_relation(this) %}
    {% set old = make_backup_relation(target, existing.type if existing else kind) %}
    {% do drop_relation_if_exists(load_cached_relation(old)) %}
    {% do run_hooks(pre_hooks, inside_transaction=False) %}
    {# dbt opens the transaction with it. Of two builds at once the second finds the work done. #}
    {% call statement('begin') %}
        select pg_advisory_xact_lock(hashtext('clickmart model {{ this.schema }}.{{ this.identifier }}'))
    {% endcall %}
    {% do run_hooks(pre_hooks, inside_transaction=True) %}
    {% set todo = work_to_do(kind, sql, existing) %}
    {% if todo.work == 'rebuild' %}
        {% do rebuild(kind, sql, target, existing, old) %}
    {% elif todo.work == 'follow' %}
        {% do follow_new_loads(todo, target, sql) %}
        {% if partition_column() %}
            {% do add_partitions(target) %}
        {% endif %}
    {% else %}
        {% call noop_statement('main', 'UNCHANGED', 'UNCHANGED') %}{{ sql }}{% endcall %}
    {% endif %}
    {% do note_model_state(todo, differences_since(todo, target)) %}
    {% do run_hooks(post_hooks, inside_transaction=True) %}
    {% do apply_grants(target, config.get('grants'), should_revoke=should_revoke(existing, true)) %}
    {% do persist_docs(target, model) %}
    {% do adapter.commit() %}
    {% if existing and todo.work == 'rebuild' %}
        {# By SQL alone: dbt's cache would take the views, which stand on the new one, for gone. #}
        {% call statement('drop_old') %}
            drop {{ old.type }} if exists {{ old }} cascade
        {% endcall %}
    {% endif %}
    {% do run_hooks(post_hooks, inside_transaction=False) %}
    {{ return({'relations': [target]}) }}
{% endmacro %}


{% macro rebuild(kind, sql, target, existing, old) %}
    {% set fresh = make_intermediate_relation(target) %}
    {% do drop_relation_if_exists(load_cached_relation(fresh)) %}
    {% call statement('main') %}
        {% if partition_column() %}
            {{ create_partitioned_table(fresh, sql) }}
        {% elif kind == 'table' %}
            {{ get_create_table_as_sql(False, fresh, sql) }}
        {% else %}
            {{ get_create_view_as_sql(fresh, sql) }}
        {% endif %}
    {% endcall %}
    {% if kind == 'table' %}
        {% do create_indexes(fresh) %}
        {# The models that follow are planned with these statistics; autovacuum comes too late. #}
        {% do analyze_partitions(fresh) if partition_column() else run_query('analyze ' ~ fresh) %}
    {% endif %}
    {% set views = dependent_views(existing) if existing else [] %}
    {% do lock_for_swap(existing, views) %}
    {% if existing %}
        {% do adapter.rename_relation(existing, old) %}
    {% endif %}
    {% do adapter.rename_relation(fresh, target) %}
    {% if partition_column() %}
        {% do rename_partitions(old) if existing %}
        {% do rename_partitions(target) %}
    {% endif %}
    {% do rebind_views(views) %}
{% endmacro %}


{% macro lock_for_swap(relation, views) %}
    {# Swaps take turns: two at once, each under the same view, would lock each other out. A reader
       locks a view before its tables, so the views come first here too, each by replacing it with
       itself. What can't be had soon is let go and asked for again from the start, before
       PostgreSQL calls it a deadlock and breaks off somebody's query. #}
    {% do run_query(
        "do $lock$ declare milliseconds int := 100; begin loop begin "
        ~ "perform set_config('lock_timeout', milliseconds::text, true); "
        ~ "perform pg_advisory_xact_lock(hashtext('clickmart rebuild')); "
        ~ replacements(views)
        ~ ("lock table " ~ relation ~ " in access exclusive mode; "
            if relation and relation.type == 'table' else '')
        ~ "exit; "
        ~ "exception when lock_not_available or deadlock_detected then "
        ~ "milliseconds := least(milliseconds * 2, 60000); perform pg_sleep(0.01); "
        ~ "end; end loop; perform set_config('lock_timeout', '"
        ~ run_query("show lock_timeout").rows[0][0] ~ "', true); end $lock$"
    ) %}
{% endmacro %}


{% macro replacements(views) %}
    {%- for view in views %}create or replace view {{ view[0] }} as {{ view[1] }} {% endfor -%}
{% endmacro %}


{% macro standing_relation(relation) %}
    {# A view that could not be bound to a table built in this run went with it; the cache has not
       heard. #}
    {% set cached = load_cached_relation(relation) %}
    {% if cached and not run_query(
        "select oid from pg_class where oid = to_regclass('" ~ cached.include(database=false) ~ "')"
    ).rows %}
        {% do adapter.cache_dropped(cached) %}
        {{ return(none) }}
    {% endif %}
    {{ return(cached) }}
{% endmacro %}


{% macro dependent_views(relation) %}
    {# The views that read the relation directly, with their definitions by the names of now. #}
    {% set found = run_query(
        "select distinct format('%I.%I', schemas.nspname, views.relname), "
        ~ "pg_get_viewdef(views.oid) "
        ~ "from pg_depend as links "
        ~ "inner join pg_rewrite as rules on rules.oid = links.objid "
        ~ "inner join pg_class as views on views.oid = rules.ev_class "
        ~ "inner join pg_namespace as schemas on schemas.oid = views.relnamespace "
        ~ "where links.classid = 'pg_rewrite'::regclass "
        ~ "and links.refclassid = 'pg_class'::regclass "
        ~ "and links.refobjid = to_regclass('" ~ relation.include(database=false) ~ "') "
        ~ "and views.relkind = 'v' and views.oid <> links.refobjid order by 1"
    ) %}
    {{ return(found.rows) }}
{% endmacro %}


{% macro rebind_views(views) %}
    {# A view whose columns changed type cannot be kept: it goes with the old table, and its own
       model makes it anew. #}
    {% for view in views %}
        {% do run_query(
            "do $rebind$ begin create or replace view " ~ view[0] ~ " as " ~ view[1]
            ~ " exception when others then "
            ~ "raise notice 'view " ~ view[0] ~ " is rebuilt by its model'; end $rebind$"
        ) %}
    {% endfor %}
{% endmacro %}
