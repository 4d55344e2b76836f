{#
    What a model was built from: `ops.model_states` holds, for each, a fingerprint of its definition
    and of all it stands on (compiled SQL, contract, seeds, the definitions before it), and the last
    load it has taken in. From both follows what a build has to do:

    - rebuild: never built, the fingerprint differs, or --full-refresh is given;
    - follow: only new loads have come since (incremental models);
    - nothing: neither.

    So an edited model, macro, var or seed rebuilds all that depends on it, without a flag.
#}

{% macro create_model_states() %}
    create schema if not exists ops;
    create table if not exists ops.model_states (
        model text primary key,
        fingerprint text not null,
        -- The last load whose events are in it; null where it does not depend on loads.
        load_id bigint,
        built_at timestamptz not null default clock_timestamp()
    );
    -- From which load on its differences are written down; null where they are not.
    alter table ops.model_states add column if not exists differences_since_load_id bigint;
    -- Of what stands in PostgreSQL's comments on it.
    alter table ops.model_states add column if not exists comments_fingerprint text
{% endmacro %}


{% macro work_to_do(kind, sql, existing, states) %}
    {# A mapping: `work` (rebuild, follow or nothing), `fingerprint`, `load_id` and `since_load_id`;
       `is_noted` says that all of it is known already. #}
    {% set ground = states_of_parents(model, states) %}
    {% set fingerprint = local_md5(
        [kind, sql, model.contract.checksum, config.get('indexes')] | string
        ~ (partition_column() or '') ~ ground.fingerprint
    ) %}
    {% set state = ground.states.get(this.schema ~ '.' ~ this.identifier) %}
    {% set result = {
        'work': 'rebuild', 'fingerprint': fingerprint, 'load_id': ground.load_id,
        'since_load_id': state.load_id if state else none,
        'differences_since_load_id': state.differences_since_load_id if state else none,
        'comments_fingerprint': local_md5(
            [config.get('persist_docs'), model.description, model.columns] | string
        ),
        'is_noted': false
    } %}
    {% if not existing or should_full_refresh() or ground.is_unknown %}
        {{ return(result) }}
    {% endif %}
    {% if not state or state.fingerprint != fingerprint or existing.type != kind %}
        {{ return(result) }}
    {% endif %}
    {% set is_new = state.load_id != ground.load_id or var('backfill_from') is not none %}
    {% if kind == 'view' or ground.load_id is none or not is_new %}
        {% do result.update({
            'work': 'nothing',
            'is_noted': state.load_id == ground.load_id
                and state.comments_fingerprint == result.comments_fingerprint
        }) %}
    {% elif model.config.materialized == 'incremental' and state.load_id <= ground.load_id
        and is_worth_following(state.load_id, ground) %}
        {% do result.update({'work': 'follow'}) %}
    {% endif %}
    {{ return(result) }}
{% endmacro %}


{% macro is_worth_following(since_load_id, ground) %}
    {# Where new loads touched most of the visitors or users, a rebuild costs less. #}
    {% set strategy = config.get('incremental_strategy') %}
    {% if strategy == 'by_load' %}
        {{ return(true) }}
    {% elif strategy in follows_differences() %}
        {% for parent in parents_with_differences() %}
            {% set whole_since = ground.states[state_name(parent)].differences_since_load_id %}
            {% if whole_since is none or whole_since > since_load_id %}
                {{ return(false) }}
            {% endif %}
        {% endfor %}
        {{ return(strategy != 'by_difference' or var('backfill_from') is none) }}
    {% endif %}
    {% set changes = ref('int_changed_visitors' if strategy == 'by_visitor' else 'int_changed_users') %}
    {{ return(run_query(
        "select count(*) filter (where load_id > " ~ since_load_id ~ ") <= "
        ~ var('follow_max_share') ~ " * count(*) from " ~ changes
    ).rows[0][0]) }}
{% endmacro %}


{# What a model of the graph is called in `ops.model_states`. #}
{% macro state_name(node) %}
    {{ return(node.schema ~ '.' ~ (node.alias or node.name)) }}
{% endmacro %}


{% macro known_states() %}
    {# Of the models, and of `raw`: loads are numbered in the order of their commits, and a rewrite
       takes events out of earlier ones; and whether `this` is there.

       dbt opens the transaction with it. Of two builds at once the second waits for the lock, and
       what it reads after that says that the work is done. What a crash of the machine takes of a
       model it takes of its note too, so the commit need not wait for the disk. #}
    {% call statement('states', fetch_result=True) %}
        set local synchronous_commit = off;
        select pg_advisory_xact_lock(hashtext('clickmart model {{ this.schema }}.{{ this.identifier }}'));
        select
            model, fingerprint, load_id, differences_since_load_id, comments_fingerprint
        from ops.model_states
        union all
        select
            'raw', (select coalesce(max(rewrite_id), 0) from ops.rewrites)::text,
            (select coalesce(max(load_id), 0) from ops.loads), null, null
        union all
        select 'this', to_regclass('{{ this.include(database=false) }}')::text, null, null, null
    {% endcall %}
    {% set states = {} %}
    {% for row in load_result('states').data %}
        {% do states.update({row[0]: {
            'fingerprint': row[1], 'load_id': row[2], 'differences_since_load_id': row[3],
            'comments_fingerprint': row[4], 'is_there': row[1] is not none
        }}) %}
    {% endfor %}
    {{ return(states) }}
{% endmacro %}


{% macro states_of_parents(node, states) %}
    {# What a node stands on, taken together: the fingerprints of all, and the earliest load. #}
    {% set found = namespace(parts=[], load_id=none, is_unknown=false) %}
    {% for parent_id in node.depends_on.nodes | sort %}
        {% set part = state_of_parent(parent_id, states) %}
        {% do found.parts.append(part.fingerprint) %}
        {% set found.is_unknown = found.is_unknown or part.is_unknown %}
        {% if found.load_id is none or (part.load_id is not none and part.load_id < found.load_id) %}
            {% set found.load_id = part.load_id %}
        {% endif %}
    {% endfor %}
    {{ return({
        'fingerprint': found.parts | join, 'load_id': found.load_id,
        'is_unknown': found.is_unknown, 'states': states
    }) }}
{% endmacro %}


{% macro state_of_parent(parent_id, states) %}
    {% set kind = parent_id.split('.')[0] %}
    {% if kind == 'source' %}
        {{ return({
            'fingerprint': states.raw.fingerprint, 'load_id': states.raw.load_id, 'is_unknown': false
        }) }}
    {% endif %}
    {% set parent = graph.nodes[parent_id] %}
    {% if kind == 'seed' %}
        {{ return({
            'fingerprint': parent.checksum.checksum, 'load_id': none, 'is_unknown': false
        }) }}
    {% endif %}
    {% set state = states.get(state_name(parent)) %}
    {% if not state %}
        {{ return({'fingerprint': '', 'load_id': none, 'is_unknown': true}) }}
    {% endif %}
    {% set load_id = state.load_id %}
    {% if parent.config.materialized == 'view' %}
        {# A view is as new as what it reads. #}
        {% set load_id = states_of_parents(parent, states).load_id %}
    {% endif %}
    {{ return({'fingerprint': state.fingerprint, 'load_id': load_id, 'is_unknown': false}) }}
{% endmacro %}


{% macro note_of_state(todo, differences_since_load_id) -%}
    insert into ops.model_states
        (model, fingerprint, load_id, differences_since_load_id, comments_fingerprint)
    values (
        '{{ this.schema }}.{{ this.identifier }}', '{{ todo.fingerprint }}',
        {{ todo.load_id if todo.load_id is not none else 'null' }},
        {{ differences_since_load_id if differences_since_load_id is not none else 'null' }},
        '{{ todo.comments_fingerprint }}'
    )
    on conflict (model) do update set
        fingerprint = excluded.fingerprint,
        load_id = excluded.load_id,
        built_at = excluded.built_at,
        differences_since_load_id = excluded.differences_since_load_id,
        comments_fingerprint = excluded.comments_fingerprint
{%- endmacro %}
