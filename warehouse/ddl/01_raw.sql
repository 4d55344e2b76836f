-- What ingestion writes and dbt reads. Idempotent: run at every start.
create schema if not exists raw;
create schema if not exists ops;
create schema if not exists stage;

create table if not exists ops.loads (
    load_id bigint primary key,
    source text not null,
    started_at timestamptz not null,
    committed_at timestamptz not null default clock_timestamp(),
    read_count bigint not null,
    loaded_count bigint not null,
    duplicate_count bigint not null,
    quarantined_count bigint not null,
    reasons jsonb not null default '{}',
    repairs jsonb not null default '{}',
    contract_version integer not null default 1,
    -- By which key ids were hashed (its fingerprint); null where they were not.
    id_key text,
    -- Whether its rows came out of quarantine, for a second chance.
    is_replay boolean not null default false,
    seconds numeric(12, 3) not null,
    -- Events of earlier loads that this one took out, to replace a range of dates.
    replaced_count bigint not null default 0,
    -- Events of this load that are gone since: replaced by a later load, or erased.
    removed_count bigint not null default 0,
    -- The lake and the pre-aggregates follow the commit; null until they have.
    lake_version bigint,
    aggregated_at timestamptz,
    constraint loads_account_for_every_row
    check (read_count = loaded_count + duplicate_count + quarantined_count),
    constraint loads_counts_not_negative
    check (least(read_count, loaded_count, duplicate_count, quarantined_count) >= 0)
);
alter table ops.loads add column if not exists replaced_count bigint not null default 0;
alter table ops.loads add column if not exists removed_count bigint not null default 0;

alter table ops.loads add column if not exists repairs jsonb not null default '{}';
alter table ops.loads add column if not exists contract_version integer not null default 1;
alter table ops.loads add column if not exists id_key text;
alter table ops.loads add column if not exists is_replay boolean not null default false;

create table if not exists ops.files (
    load_id bigint not null references ops.loads,
    file_id bigint not null,
    source text not null,
    path text not null,
    sha256 text not null,
    byte_count bigint not null,
    read_count bigint not null,
    primary key (load_id, file_id)
);
create index if not exists files_sha256 on ops.files (sha256, source);

create table if not exists ops.duplicates (
    load_id bigint not null references ops.loads,
    file_id bigint not null,
    source_row bigint not null,
    -- Null for a bad row that waits in quarantine already.
    event_id text,
    primary key (load_id, file_id, source_row)
);
alter table ops.duplicates alter column event_id drop not null;

-- The files a load wrote to the lake: the Delta log follows this list, also after a kill.
create table if not exists ops.lake_files (
    load_id bigint not null references ops.loads,
    table_name text not null,
    path text not null,
    event_date date,
    row_count bigint not null,
    byte_count bigint not null,
    -- The lake names a file until a load that replaces its date, or an erasure, takes it out.
    removed_by_load_id bigint,
    removed_by_erasure_id bigint,
    -- A file written anew without the rows of an erased person, under the load it is of.
    added_by_erasure_id bigint,
    primary key (load_id, table_name, path)
);
alter table ops.lake_files add column if not exists removed_by_load_id bigint;
alter table ops.lake_files add column if not exists removed_by_erasure_id bigint;
alter table ops.lake_files add column if not exists added_by_erasure_id bigint;

-- Persons that were erased: how much of them, and by a salted hash who, never the id itself.
create table if not exists ops.erasures (
    erasure_id bigint primary key,
    kind text not null check (kind in ('user', 'visitor')),
    salt text not null,
    id_hash text not null,
    erased_at timestamptz not null default clock_timestamp(),
    event_count bigint not null,
    item_count bigint not null,
    quarantined_count bigint not null,
    duplicate_count bigint not null,
    lake_row_count bigint not null,
    -- The lake and the marts follow the commit; null until they have.
    lake_version bigint,
    marts_rebuilt_at timestamptz
);

-- When events were taken out of `raw`, or it was written anew: dbt's models start anew after it.
create table if not exists ops.rewrites (
    rewrite_id bigint generated always as identity primary key,
    rewritten_at timestamptz not null default clock_timestamp()
);

create table if not exists raw.events (
    event_id text primary key,
    event_type text not null,
    event_name text,
    event_ts timestamptz not null,
    received_at timestamptz,
    visitor_id text not null,
    user_id text,
    source_session_id text,
    order_id text,
    page_url text,
    page_type text,
    referrer text,
    utm_source text,
    utm_medium text,
    utm_campaign text,
    utm_term text,
    utm_content text,
    click_id text,
    device_type text,
    browser text,
    os text,
    country text,
    language text,
    search_term text,
    experiment_id text,
    variant_id text,
    order_total numeric(18, 4),
    tax numeric(18, 4),
    shipping numeric(18, 4),
    discount numeric(18, 4),
    coupon text,
    currency text,
    is_bot boolean,
    properties jsonb,
    source text not null,
    file_id bigint not null,
    source_row bigint not null,
    load_id bigint not null,
    -- How many rows of raw.event_items it has.
    item_count integer not null
);
create index if not exists events_load_id on raw.events using brin (load_id);

create table if not exists raw.event_items (
    event_id text not null,
    line_id text not null,
    product_id text not null,
    product_name text,
    category text,
    brand text,
    variant text,
    quantity integer,
    unit_price numeric(18, 4),
    discount numeric(18, 4),
    load_id bigint not null,
    primary key (event_id, line_id)
);
create index if not exists event_items_load_id on raw.event_items using brin (load_id);

do $$ begin
    if not exists (
        select from pg_attribute
        where attrelid = 'raw.events'::regclass and attname = 'item_count' and not attisdropped
    ) then
        alter table raw.events add column item_count integer not null default 0;
        update raw.events set item_count = items.item_count
        from (select event_id, count(*) as item_count from raw.event_items group by event_id) as items
        where events.event_id = items.event_id;
        alter table raw.events alter column item_count drop default;
    end if;
end $$;

create table if not exists raw.quarantined_events (
    load_id bigint not null,
    source text not null,
    file_id bigint not null,
    source_row bigint not null,
    reasons text [] not null,
    record text,
    -- The later load that took the row up again; null while it waits.
    replayed_load_id bigint,
    primary key (load_id, file_id, source_row)
);
alter table raw.quarantined_events add column if not exists replayed_load_id bigint;

-- Spark's pre-aggregates: an independent computation of what dbt derives from the events.
create table if not exists raw.agg_sessions (
    session_id uuid primary key,
    visitor_id text not null,
    user_key uuid not null,
    started_at timestamptz not null,
    ended_at timestamptz not null,
    event_count bigint not null,
    product_view_count bigint not null,
    add_to_cart_count bigint not null,
    order_count bigint not null,
    is_bot boolean not null
);

create table if not exists raw.agg_users (
    user_key uuid primary key,
    first_seen_at timestamptz not null,
    last_seen_at timestamptz not null,
    event_count bigint not null,
    order_count bigint not null,
    revenue_amount numeric(38, 4) not null
);

create table if not exists raw.agg_products (
    metric_date date not null,
    product_id text not null,
    view_count bigint not null,
    add_to_cart_count bigint not null,
    purchased_quantity bigint not null,
    primary key (metric_date, product_id)
);

create table if not exists raw.agg_daily_metrics (
    metric_date date primary key,
    event_count bigint not null,
    visitor_count bigint not null,
    session_count bigint not null,
    order_count bigint not null,
    revenue_amount numeric(38, 4) not null
);

-- By which definitions (vars of dbt_project.yml) the pre-aggregates were computed, and when.
create table if not exists ops.aggregations (
    aggregated_at timestamptz primary key default clock_timestamp(),
    definitions jsonb not null
);
