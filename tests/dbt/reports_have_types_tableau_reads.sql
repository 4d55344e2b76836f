-- Tableau takes text, and ODBC a varchar of more than 255, for a memo, and neither reads uuid, json
-- and arrays; a numeric without scale has as many places as its division gave. A view's contract
-- compares the names of types alone, so that the width of amounts is looked at here as well.
-- depends_on: {{ ref("rpt_daily_kpis") }}
-- depends_on: {{ ref("rpt_conversion_funnel") }}
-- depends_on: {{ ref("rpt_customer_journey") }}
-- depends_on: {{ ref("rpt_user_segments") }}
-- depends_on: {{ ref("rpt_cohort_retention") }}
-- depends_on: {{ ref("rpt_product_performance") }}
-- depends_on: {{ ref("rpt_cart_abandonment") }}
-- depends_on: {{ ref("rpt_channel_attribution") }}
select
    table_name,
    column_name,
    data_type
from information_schema.columns
where
    table_schema = '{{ ref("rpt_daily_kpis").schema }}'
    and table_name like 'rpt\_%'
    and not (
        data_type in ('date', 'bigint', 'integer', 'boolean')
        or (data_type = 'character varying' and character_maximum_length <= 255)
        or (
            data_type = 'numeric'
            and case
                when column_name like '%\_amount'
                    then numeric_precision = 24 and numeric_scale = 4
                else numeric_scale is not null
            end
        )
    )
