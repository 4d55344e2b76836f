with rates as (
    select
        currency,
        valid_from,
        rate
    from {{ ref("exchange_rates") }}
),

currencies as (
    select distinct currency
    from rates
),

change_dates as (
    select distinct valid_from
    from rates
),

-- The reporting currency's rate changes on dates of its own: every currency gets a row on each.
changes as (
    select
        currencies.currency,
        change_dates.valid_from
    from currencies
    cross join change_dates
),

rates_filled as (
    select
        changes.currency,
        changes.valid_from,
        rates.rate,
        row_number() over (
            partition by changes.currency, changes.valid_from order by rates.valid_from desc
        ) as recency_number
    from changes
    inner join rates
        on changes.currency = rates.currency and changes.valid_from >= rates.valid_from
),

rates_paired as (
    select
        own.currency,
        own.valid_from,
        lead(own.valid_from, 1, date '9999-12-31') over (
            partition by own.currency order by own.valid_from
        ) as valid_until,
        own.rate,
        reporting.rate as reporting_rate
    from rates_filled as own
    inner join rates_filled as reporting
        on own.valid_from = reporting.valid_from
    where
        own.recency_number = 1
        and reporting.recency_number = 1
        and reporting.currency = '{{ var("reporting_currency") }}'
        and own.currency <> reporting.currency
),

-- Amounts in the reporting currency need no rate, known or not.
rates_completed as (
    select * from rates_paired
    union all
    select
        '{{ var("reporting_currency") }}' as currency,
        date '0001-01-01' as valid_from,
        date '9999-12-31' as valid_until,
        1 as rate,
        1 as reporting_rate
),

final as (
    select
        currency,
        valid_from,
        valid_until,
        cast(rate as numeric(18, 8)) as rate,
        cast(reporting_rate as numeric(18, 8)) as reporting_rate
    from rates_completed
)

select * from final
