{#
The columns of a session's funnel (see funnel), from a relation `funnels`: when it made each step, and
the seconds from each step to the next, and from the first to the last.
#}
{% macro funnel_columns(steps) -%}
    {%- for step in steps %}
        funnels.{{ step }}_at,
    {%- endfor %}
    {%- for step in steps[1:] %}
        {{ funnel_seconds(steps[loop.index0], step) }},
    {%- endfor %}
    {{ funnel_seconds(steps[0], steps[-1]) }}
{%- endmacro %}

{% macro funnel_seconds(first, last) -%}
    cast({{ seconds_between("funnels." ~ first ~ "_at", "funnels." ~ last ~ "_at") }} as numeric(13, 3))
        as {{ first }}_to_{{ last }}_seconds
{%- endmacro %}
