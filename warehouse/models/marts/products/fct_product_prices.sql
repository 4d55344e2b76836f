with span as (
    select * from {{ ref("int_span_observed") }}
),

-- A wrong clock would put a price on a day of its own.
observations as (
    select
        observations.product_id,
        observations.currency,
        observations.event_date,
        observations.source_unit_price_amount,
        observations.last_seen_at
    from {{ ref("int_product_prices_observed") }} as observations
    inner join span on observations.event_date between span.first_date and span.last_date
    where {{ is_counted("observations.is_bot") }}
),

rates as (
    select * from {{ ref("int_exchange_rates") }}
),

prices_counted as (
    select
        product_id,
        currency,
        event_date,
        source_unit_price_amount,
        count(*) as observation_count,
        max(last_seen_at) as last_seen_at
    from observations
    group by product_id, currency, event_date, source_unit_price_amount
),

-- The price of a day is the one that most visitors saw.
prices_ranked as (
    select
        *,
        sum(observation_count) over (
            partition by product_id, currency, event_date
        ) as all_observation_count,
        row_number() over (
            partition by product_id, currency, event_date
            order by observation_count desc, last_seen_at desc, source_unit_price_amount desc
        ) as price_rank
    from prices_counted
),

runs_flagged as (
    select
        *,
        coalesce(
            source_unit_price_amount <> lag(source_unit_price_amount) over (
                partition by product_id, currency order by event_date
            ), true
        ) as is_run_start
    from prices_ranked
    where price_rank = 1
),

runs_numbered as (
    select
        *,
        count(case when is_run_start then 1 end) over (
            partition by product_id, currency order by event_date
        ) as run_number
    from runs_flagged
),

-- A price seen too seldom on its days in a row is an odd one, and the price before it held on.
runs_confirmed as (
    select
        product_id,
        currency,
        source_unit_price_amount,
        min(event_date) as first_seen_date,
        max(event_date) as last_seen_date,
        sum(observation_count) as observation_count,
        sum(all_observation_count) as all_observation_count
    from runs_numbered
    group by product_id, currency, source_unit_price_amount, run_number
    having sum(observation_count) >= {{ var("price_min_observation_count") }}
),

stretches_flagged as (
    select
        *,
        coalesce(
            source_unit_price_amount <> lag(source_unit_price_amount) over (
                partition by product_id, currency order by first_seen_date
            ), true
        ) as is_stretch_start
    from runs_confirmed
),

stretches_numbered as (
    select
        *,
        count(case when is_stretch_start then 1 end) over (
            partition by product_id, currency order by first_seen_date
        ) as price_number
    from stretches_flagged
),

stretches as (
    select
        product_id,
        currency,
        price_number,
        source_unit_price_amount,
        min(first_seen_date) as valid_from,
        max(last_seen_date) as last_seen_date,
        sum(observation_count) as observation_count,
        sum(all_observation_count) as all_observation_count
    from stretches_numbered
    group by product_id, currency, price_number, source_unit_price_amount
),

stretches_paired as (
    select
        *,
        lead(valid_from) over by_product as valid_until,
        lag(source_unit_price_amount) over by_product as previous_source_unit_price_amount
    from stretches
    window by_product as (partition by product_id, currency order by price_number)
),

-- Both prices at one rate: a change is the price's, not the rate's.
priced as (
    select
        stretches_paired.*,
        {{ converted_amount("stretches_paired.source_unit_price_amount") }} as unit_price_amount,
        {{ converted_amount("stretches_paired.previous_source_unit_price_amount") }}
            as previous_unit_price_amount
    from stretches_paired
    left join rates
        on
            stretches_paired.currency = rates.currency
            and stretches_paired.valid_from >= rates.valid_from
            and stretches_paired.valid_from < rates.valid_until
),

final as (
    select
        product_id,
        currency,
        cast(price_number as integer) as price_number,
        valid_from,
        valid_until,
        last_seen_date,
        valid_until is null as is_current,
        cast(source_unit_price_amount as numeric(24, 4)) as source_unit_price_amount,
        cast(unit_price_amount as numeric(24, 4)) as unit_price_amount,
        cast(previous_unit_price_amount as numeric(24, 4)) as previous_unit_price_amount,
        cast(unit_price_amount - previous_unit_price_amount as numeric(24, 4))
            as price_change_amount,
        {{ change_rate("source_unit_price_amount", "previous_source_unit_price_amount") }}
            as price_change_rate,
        cast(observation_count as bigint) as observation_count,
        cast(all_observation_count as bigint) as all_observation_count,
        {{ rate("observation_count", "all_observation_count") }} as observation_rate
    from priced
)

select * from final
