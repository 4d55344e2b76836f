with events as (
    select
        event_id,
        {{ url_host("page_url") }} as page_host,
        referrer,
        {{ url_host("referrer") }} as referrer_host,
        utm_source,
        utm_medium,
        utm_campaign,
        click_id
    from {{ ref("stg_raw__events") }}
    where
        coalesce(utm_source, utm_medium, utm_campaign, click_id, referrer) is not null
        and {{ of_changed_sessions("visitor_id") }}
),

sessionized_events as (
    select
        event_id,
        visitor_id,
        session_id,
        session_event_number
    from {{ ref("int_events_sessionized") }}
    where {{ of_changed_sessions() }}
),

referrals_named as (
    select
        *,
        coalesce(utm_source, utm_medium, utm_campaign) is not null as has_marks,
        -- GA4 writes referrals into its campaign marks, those by the shop's own pages too.
        case
            when coalesce(utm_source, utm_medium, utm_campaign) is null then referrer_host
            when lower(utm_medium) = 'referral' then lower(utm_source)
        end as referring_host
    from events
),

traffic_told as (
    select
        event_id,
        referrer,
        case
            when has_marks then utm_source
            when click_id is not null then 'google'
            else referrer_host
        end as traffic_source,
        case
            when has_marks then utm_medium
            when click_id is not null then 'cpc'
        end as traffic_medium,
        utm_campaign as traffic_campaign,
        not has_marks and click_id is null as is_by_referrer
    from referrals_named
    where
        -- A shop's own site is no traffic source, and "(direct)" says that there is none.
        case
            when not has_marks and click_id is not null then true
            when {{ is_same_site("referring_host", "page_host") }} then false
            when has_marks then utm_source is distinct from '(direct)'
            else referrer_host is not null
        end
),

traffic_ranked as (
    select
        sessionized_events.session_id,
        sessionized_events.visitor_id,
        traffic_told.*,
        row_number() over (
            partition by sessionized_events.session_id
            order by sessionized_events.session_event_number
        ) as traffic_number
    from traffic_told
    inner join sessionized_events
        on traffic_told.event_id = sessionized_events.event_id
),

final as (
    select
        session_id,
        visitor_id,
        traffic_source,
        traffic_medium,
        traffic_campaign,
        referrer,
        is_by_referrer,
        {{ hash_key([
            "coalesce(traffic_source, '')", "coalesce(traffic_medium, '')",
            "coalesce(traffic_campaign, '')", "cast(is_by_referrer as text)"
        ]) }} as traffic_key
    from traffic_ranked
    where traffic_number = 1
)

select * from final
