with events as (
    select * from {{ source("raw", "events") }}
),

renamed as (
    select
        event_id,
        event_type,
        event_name,
        event_ts as event_at,
        {{ reporting_date("event_ts") }} as event_date,
        received_at,
        visitor_id,
        user_id,
        source_session_id,
        {{ usable_id("order_id") }} as order_id,
        page_url,
        page_type,
        nullif(referrer, '') as referrer,
        nullif(utm_source, '') as utm_source,
        nullif(utm_medium, '') as utm_medium,
        nullif(utm_campaign, '') as utm_campaign,
        nullif(utm_term, '') as utm_term,
        nullif(utm_content, '') as utm_content,
        nullif(click_id, '') as click_id,
        device_type,
        browser,
        os,
        country,
        language,
        search_term,
        experiment_id,
        variant_id,
        order_total as source_order_amount,
        tax as source_tax_amount,
        shipping as source_shipping_amount,
        discount as source_discount_amount,
        coupon,
        currency,
        coalesce(is_bot, false) as is_declared_bot,
        properties,
        source,
        file_id,
        source_row,
        load_id
    from events
)

select * from renamed
