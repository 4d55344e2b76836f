-- An amount without a rate is left out of all sums: add the currency to seeds/exchange_rates.csv.
with events as (
    select distinct
        currency,
        event_date
    from {{ ref("stg_raw__events") }}
    where event_type in ('purchase', 'refund', 'add_to_cart') and currency is not null
),

rates as (
    select
        currency,
        valid_from,
        valid_until
    from {{ ref("int_exchange_rates") }}
)

select
    events.currency,
    min(events.event_date) as first_date,
    max(events.event_date) as last_date
from events
left join rates
    on
        events.currency = rates.currency
        and events.event_date >= rates.valid_from
        and events.event_date < rates.valid_until
where rates.currency is null
group by events.currency
