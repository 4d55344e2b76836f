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
    {% do run_hooks(pre_hooks, inside_transaction=False) %}
    {% set states = known_states() %}
    {% set existing = standing_relation(this, states) %}
    {% set old = make_backup_relation(target, existing.type if existing else kind) %}
    {% do run_hooks(pre_hooks, inside_transaction=True) %}
    {% set todo = work_to_do(kind, sql, existing, states) %}
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
    {% if not todo.is_noted %}
        {% do run_query(
            note_of_state(todo, differences_since(todo, target)) ~ "; " ~ comments_on(target)
        ) %}
    {% endif %}
    {% do run_hooks(post_hooks, inside_transaction=True) %}
    {% do apply_grants(target, config.get('grants'), should_revoke=should_revoke(existing, true)) %}
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
    {% do drop_relation_if_exists(load_cached_relation(old)) %}
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
        {# The models that follow are planned with these statistics; autovacuum comes too late. #}
        {% do run_query(
            indexes_of(fresh)
            ~ (analysis_of_partitions(fresh) if partition_column() else 'analyze ' ~ fresh)
        ) %}
    {% endif %}
    {% if existing %}
        {% set views = dependent_views(existing) %}
        {% do run_query(
            lock_for_swap(existing, views) ~ renaming(existing, old) ~ renaming(fresh, target)
        ) %}
        {% do adapter.cache_renamed(existing, old) %}
        {% do rebind_views(views) %}
    {% else %}
        {% do run_query(renaming(fresh, target)) %}
    {% endif %}
    {% do adapter.cache_renamed(fresh, target) %}
    {% if partition_column() %}
        {% do rename_partitions(old) if existing %}
        {% do rename_partitions(target) %}
    {% endif %}
{% endmacro %}


{% macro indexes_of(relation) %}
    {%- for index in config.get('indexes', default=[]) -%}
        {{ get_create_index_sql(relation, index) }};
    {% endfor -%}
{% endmacro %}


{% macro renaming(relation, new) -%}
    alter {{ relation.type }} {{ relation }} rename to {{ adapter.quote(new.identifier) }};
{% endmacro %}


{% macro comments_on(relation) %}
    {# What `persist_docs` asks for, in one statement: the columns of a contract are there. #}
    {%- if config.persist_relation_docs() -%}
        {{ alter_relation_comment(relation, model.description) }}
    {%- endif -%}
    {%- if config.persist_column_docs() and model.contract.enforced -%}
        {%- for column in model.columns.values() -%}
            comment on column {{ relation }}.{{ adapter.quote(column.name) if column.quote else column.name }}
            is {{ postgres_escape_comment(column.description) }};
        {% endfor -%}
    {%- elif config.persist_column_docs() and model.columns -%}
        {{ alter_column_comment(relation, model.columns) }}
    {%- endif -%}
{% endmacro %}


{% macro lock_for_swap(relation, views) -%}
    {# Swaps take turns: two at once, each under the same view, would lock each other out. A reader
       locks a view before its tables, so the views come first here too, each by replacing it with
       itself. What can't be had soon is let go and asked for again from the start, before
       PostgreSQL calls it a deadlock and breaks off somebody's query. #}
    do $lock$
    declare
        milliseconds int := 100;
        given text := current_setting('lock_timeout');
    begin
        loop
            begin
                perform set_config('lock_timeout', milliseconds::text, true);
                perform pg_advisory_xact_lock(hashtext('clickmart rebuild'));
                {{ replacements(views) }}
                {%- if relation.type == 'table' %}
                lock table {{ relation }} in access exclusive mode;
                {%- endif %}
                exit;
            exception when lock_not_available or deadlock_detected then
                milliseconds := least(milliseconds * 2, 60000);
                perform pg_sleep(0.01);
            end;
        end loop;
        perform set_config('lock_timeout', given, true);
    end $lock$;
{% endmacro %}


{% macro replacements(views) %}
    {%- for view in views %}create or replace view {{ view[0] }} as {{ view[1] }} {% endfor -%}
{% endmacro %}


{% macro standing_relation(relation, states) %}
    {# A view that could not be bound to a table built in this run went with it; the cache has not
       heard. #}
    {% set cached = load_cached_relation(relation) %}
    {% if cached and not states.this.is_there %}
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
