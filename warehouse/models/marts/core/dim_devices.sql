with devices as (
    select distinct
        coalesce(device_type, '(unknown)') as device_type,
        coalesce(browser, '(unknown)') as browser,
        coalesce(os, '(unknown)') as os
    from {{ ref("stg_raw__events") }}
    where {{ of_new_loads() }}
),

final as (
    select
        {{ device_key() }} as device_key,
        device_type,
        browser,
        os
    from devices
)

select * from final
