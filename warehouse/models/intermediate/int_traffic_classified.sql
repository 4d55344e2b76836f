with session_traffic as (
    select distinct
        traffic_key,
        traffic_source,
        traffic_medium,
        traffic_campaign,
        is_by_referrer,
        lower(traffic_source) as source_name
    from {{ ref("int_session_traffic") }}
),

known_sources as (
    select
        source,
        category,
        length(source) as source_length,
        position('.' in source) > 0 as is_domain
    from {{ ref("traffic_sources") }}
),

-- An empty cell of a seed is null in the warehouse, and an empty text in unit tests.
rules as (
    select
        rule_rank,
        channel,
        nullif(source_category, '') as source_category,
        nullif(source_pattern, '') as source_pattern,
        nullif(medium_pattern, '') as medium_pattern,
        nullif(campaign_pattern, '') as campaign_pattern
    from {{ ref("channel_rules") }}
),

source_names as (
    select distinct source_name
    from session_traffic
),

-- A known domain stands for its subdomains, a known name for its sites in every country.
sources_matched as (
    select
        source_names.source_name,
        known_sources.category,
        row_number() over (
            partition by source_names.source_name
            order by known_sources.source_length desc, known_sources.source asc
        ) as match_number
    from source_names
    inner join known_sources
        on
            source_names.source_name = known_sources.source
            or (
                known_sources.is_domain
                and source_names.source_name like '%.' || known_sources.source
            )
            or (
                not known_sources.is_domain
                and source_names.source_name like known_sources.source || '.%'
            )
),

media_named as (
    select
        session_traffic.traffic_key,
        session_traffic.traffic_source,
        case
            when not session_traffic.is_by_referrer then session_traffic.traffic_medium
            when sources_matched.category = 'search' then 'organic'
            else 'referral'
        end as traffic_medium,
        session_traffic.traffic_campaign,
        session_traffic.source_name,
        coalesce(sources_matched.category, '') as source_category
    from session_traffic
    left join sources_matched
        on
            session_traffic.source_name = sources_matched.source_name
            and sources_matched.match_number = 1
),

rules_matched as (
    select
        media_named.traffic_key,
        rules.channel,
        row_number() over (
            partition by media_named.traffic_key order by rules.rule_rank
        ) as match_number
    from media_named
    inner join rules
        on
            (rules.source_category is null or media_named.source_category = rules.source_category)
            and {{ matches_pattern("media_named.source_name", "rules.source_pattern") }}
            and {{ matches_pattern("media_named.traffic_medium", "rules.medium_pattern") }}
            and {{ matches_pattern("media_named.traffic_campaign", "rules.campaign_pattern") }}
),

final as (
    select
        media_named.traffic_key,
        media_named.traffic_source,
        media_named.traffic_medium,
        media_named.traffic_campaign,
        coalesce(rules_matched.channel, 'Unassigned') as channel
    from media_named
    left join rules_matched
        on media_named.traffic_key = rules_matched.traffic_key and rules_matched.match_number = 1
)

select * from final
