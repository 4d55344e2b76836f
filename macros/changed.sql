{#
    Marks for models that follow new loads (materialized incremental; see
    macros/materializations/incremental.sql). As written they select everything, so that a compiled
    model can be run as it stands; a build that only follows the new loads puts a condition in
    their place. The column must be the model's key of change: a visitor, a user, a session, an
    event or a load. What is joined to such rows by an indexed key needs no mark.
#}

{#
    The rows of the visitors that new loads have touched (incremental_strategy by_visitor). Where a
    relation has no visitor_id, `of` names a model that has it beside the same column.
#}
{% macro of_changed_visitors(column="visitor_id", of=none) -%}
    {{ of_changed("visitor_id", "int_changed_visitors", column, of) }}
{%- endmacro %}

{# The rows of the users that new loads have touched (incremental_strategy by_user); as above. #}
{% macro of_changed_users(column="user_key", of=none) -%}
    {{ of_changed("user_key", "int_changed_users", column, of) }}
{%- endmacro %}

{#
    The rows of the sessions that differ in what the model reads (incremental_strategy by_session). Of
    a relation without sessions, as raw events are, `column` is "visitor_id": the rows of these
    sessions' visitors, of which a join leaves those of the sessions. They are found sooner than each
    by its own key.
#}
{% macro of_changed_sessions(column="session_id") -%}
    {{ of_changed("session_id", none, column, none) }}
{%- endmacro %}

{#
    The rows of the events that differ in what the model reads (incremental_strategy by_event). As
    above `column` may be "visitor_id", or "session_id" where a table of events has an index on
    sessions alone: the rows of these events' visitors or sessions, of which a join leaves those of
    the events.
#}
{% macro of_changed_events(column="event_id") -%}
    {{ of_changed("event_id", none, column, none) }}
{%- endmacro %}

{% macro of_changed(key, changes, column, of) -%}
    {%- set source = none -%}
    {#- A unit test knows its inputs alone. -#}
    {%- if model is defined and model.resource_type != "unit_test" -%}
        {%- set _ = ref(changes) if changes -%}
        {%- set source = ref(of) if of else none -%}
    {%- endif -%}
    true /* follow: {{ column }} of changed {{ key }} in {{ source }} */
{%- endmacro %}

{# The rows that came with new loads (incremental_strategy by_load). #}
{% macro of_new_loads(column="load_id") -%}
    true /* follow: {{ column }} of new loads */
{%- endmacro %}

{#
    All rows of an incremental model, each with `row_sign` 1 (incremental_strategy by_difference);
    a build that follows reads its differences instead: the rows gone, with -1, and those come,
    with 1. The model must have a unique_key; sums are to be of products with row_sign.
#}
{% macro rows_of(name) -%}
    (select *, 1 as row_sign from {{ ref(name) }}) /* follow: differences */
{%- endmacro %}
