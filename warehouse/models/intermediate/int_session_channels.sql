with sessions as (
    select
        session_id,
        user_key,
        started_at
    from {{ ref("int_sessions_aggregated") }}
    where {{ of_changed_users() }}
),

session_traffic as (
    select
        session_id,
        traffic_key,
        referrer
    from {{ ref("int_session_traffic") }}
),

traffic as (
    select * from {{ ref("int_traffic_classified") }}
),

channels_given as (
    select
        sessions.session_id,
        sessions.user_key,
        sessions.started_at,
        coalesce(traffic.channel, 'Direct') as channel,
        traffic.traffic_source,
        traffic.traffic_medium,
        traffic.traffic_campaign,
        session_traffic.referrer
    from sessions
    left join session_traffic
        on sessions.session_id = session_traffic.session_id
    left join traffic
        on session_traffic.traffic_key = traffic.traffic_key
),

-- Each session that is not direct opens a stretch; the direct sessions after it belong to it.
stretches_numbered as (
    select
        *,
        count(*) filter (where channel <> 'Direct') over (
            partition by user_key
            order by started_at, session_id
            rows between unbounded preceding and current row
        ) as stretch_number
    from channels_given
),

stretches_opened as (
    select
        *,
        first_value(channel) over by_stretch as opening_channel,
        first_value(started_at) over by_stretch as opened_at
    from stretches_numbered
    window
        by_stretch as (partition by user_key, stretch_number order by started_at, session_id)
),

final as (
    select
        session_id,
        user_key,
        channel,
        case
            when started_at <= {{ later_by("opened_at", var("attribution_lookback_days"), "days") }}
                then opening_channel
            else 'Direct'
        end as last_non_direct_channel,
        traffic_source,
        traffic_medium,
        traffic_campaign,
        referrer
    from stretches_opened
)

select * from final
