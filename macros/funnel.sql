{#-
How far each session, user or visitor came through a funnel: the longest prefix of the steps
found in order within the window that starts at a first step (ClickHouse's `windowFunnel` in its
default mode; other events in between do no harm). A select, to stand in a CTE:

    funnels as (
        {{ funnel(ref('fct_events'), 'user_key', ['product_view', 'purchase'], window='7 days') }}
    )

- events: a relation with `event_at`, `event_id`, `event_type`, the key, and what the steps test.
- key: the column that holds the events of one funnel together.
- steps: event types in their order, or mappings with a name and a condition of its own:
  `{'name': 'basket', 'where': "page_type = 'basket'"}`.
- window: how long after its first step a funnel stays open, the border included; none: no limit.
- where: a condition on the events, for instance to leave bots out.

Columns: the key, `furthest_step_number` and `<step>_at` for each step, null where not reached.
One row per key that made the first step. Of several starts the one that came furthest counts,
then the earliest; from a start on each step is the first one possible.

Only events that are a step are sorted, once. The passes run backwards in time: `reach_<k>_<j>` is
when step j is first reached by someone who made step k at this row. It never falls from one row
to the next, so a running minimum over the rows of step k + 1 hands it on to step k.
-#}
{% macro funnel(events, key, steps, window=none, where=none) -%}
{%- set names = [] -%}
{%- set conditions = [] -%}
{%- for step in steps -%}
    {%- do names.append(step if step is string else step['name']) -%}
    {%- do conditions.append("event_type = '" ~ step ~ "'" if step is string else step['where']) -%}
{%- endfor -%}
{%- set last = steps | length -%}
with step_events as (
    select
        {{ key }},
        event_at,
        event_id
        {%- for condition in conditions %},
        coalesce({{ condition }}, false) as is_step_{{ loop.index }}
        {%- endfor %}
    from {{ events }}
    where
        (
            {{ conditions | join('\n            or ') }}
        )
        {%- if where is not none %}
        and {{ where }}
        {%- endif %}
),
{% for step in range(last - 1, 0, -1) %}
reach_{{ step }} as (
    select
        *
        {%- for later in range(step + 1, last + 1) %},
        min(
            case when is_step_{{ step + 1 }} then
                {{ 'event_at' if loop.first else 'reach_%s_%s' % (step + 1, later) }}
            end
        ) over later_rows as reach_{{ step }}_{{ later }}
        {%- endfor %}
    from {{ 'step_events' if loop.first else 'reach_%s' % (step + 1) }}
    window later_rows as (
        partition by {{ key }}
        order by event_at desc, {{ bytewise('event_id') }} desc
        rows between unbounded preceding and 1 preceding
    )
),
{% endfor %}
starts as (
    select
        {{ key }},
        event_id,
        event_at as reached_at_1
        {%- for later in range(2, last + 1) %},
        {% if window is none -%}
        reach_1_{{ later }} as reached_at_{{ later }}
        {%- else -%}
        case
            when reach_1_{{ later }} <= event_at + interval '{{ window }}' then reach_1_{{ later }}
        end as reached_at_{{ later }}
        {%- endif %}
        {%- endfor %}
    from {{ 'reach_1' if last > 1 else 'step_events' }}
    where is_step_1
),

starts_measured as (
    select
        *,
        1
        {%- for later in range(2, last + 1) %}
        + case when reached_at_{{ later }} is null then 0 else 1 end
        {%- endfor %} as furthest_step_number
    from starts
),

starts_ranked as (
    select
        *,
        row_number() over (
            partition by {{ key }}
            order by furthest_step_number desc, reached_at_1, {{ bytewise('event_id') }}
        ) as start_rank
    from starts_measured
)

select
    {{ key }},
    furthest_step_number
    {%- for name in names %},
    reached_at_{{ loop.index }} as {{ name }}_at
    {%- endfor %}
from starts_ranked
where start_rank = 1
{%- endmacro %}
