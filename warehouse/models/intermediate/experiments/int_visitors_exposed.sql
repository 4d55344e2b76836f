with events as (
    select
        event_id,
        event_at,
        visitor_id,
        experiment_id,
        variant_id
    from {{ ref("stg_raw__events") }}
    where
        trim(experiment_id) <> ''
        and trim(variant_id) <> ''
        and {{ of_changed_visitors() }}
),

variants_seen as (
    select
        experiment_id,
        visitor_id,
        variant_id,
        min(event_at) as first_exposed_at,
        min({{ sortable_moment("event_at", "event_id") }}) as first_exposed_moment
    from events
    group by experiment_id, visitor_id, variant_id
),

variants_numbered as (
    select
        *,
        row_number() over (
            partition by experiment_id, visitor_id order by first_exposed_moment
        ) as variant_number,
        count(*) over (partition by experiment_id, visitor_id) as variant_count
    from variants_seen
),

final as (
    select
        experiment_id,
        visitor_id,
        variant_id,
        first_exposed_at,
        first_exposed_moment,
        cast(variant_count as integer) as variant_count
    from variants_numbered
    where variant_number = 1
)

select * from final
