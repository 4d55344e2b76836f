with visitors as (
    select
        visitor_id,
        load_id
    from {{ ref("int_changed_visitors") }}
    where {{ of_new_loads() }}
),

visitor_users as (
    select
        visitor_id,
        user_id
    from {{ ref("int_visitor_users") }}
),

-- All users that events of these visitors may have belonged to before, or belong to now.
users_reached as (
    select
        {{ hash_key(["'visitor'", "visitor_id"]) }} as user_key,
        load_id
    from visitors
    union all
    select
        {{ hash_key(["'user'", "visitor_users.user_id"]) }} as user_key,
        visitors.load_id
    from visitor_users
    inner join visitors
        on visitor_users.visitor_id = visitors.visitor_id
),

final as (
    select
        user_key,
        max(load_id) as load_id
    from users_reached
    group by user_key
)

select * from final
