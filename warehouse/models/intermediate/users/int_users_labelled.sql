with users as (
    select
        user_key,
        segment,
        as_of_date
    from {{ ref("int_users_segmented") }}
)

select * from users
