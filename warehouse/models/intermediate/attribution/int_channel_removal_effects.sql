with recursive transitions as (
    select * from {{ ref("int_channel_transitions") }}
),

-- Which probabilities a chain has does not depend on how often a channel follows itself.
changes as (
    select
        from_state,
        to_state,
        transition_count,
        sum(transition_count) over (partition by from_state) as from_state_count
    from transitions
    where from_state <> to_state
),

channels as (
    select
        to_state as channel,
        row_number() over (order by {{ bytewise("to_state") }}) as state_number
    from transitions
    where to_state not in ('(order)', '(no order)')
    group by to_state
),

states as (
    select
        '(order)' as state,
        -1 as state_number
    union all
    select
        '(start)' as state,
        0 as state_number
    union all
    select
        channel as state,
        state_number
    from channels
),

-- One matrix for the chain as it is (0), and one for each channel removed: no step leads to it.
-- Its former visitors are lost, as are those who leave for (no order).
matrices as (
    select
        removed.state_number as removed_number,
        from_states.state_number as from_number,
        to_states.state_number as to_number,
        case
            when to_states.state_number = removed.state_number or changes.transition_count is null
                then 0
            else
                round(
                    cast(changes.transition_count as numeric(60, 30)) / changes.from_state_count,
                    30
                )
        end as probability
    from states as removed
    cross join states as from_states
    cross join states as to_states
    left join changes
        on from_states.state = changes.from_state and to_states.state = changes.to_state
    where
        removed.state_number >= 0
        and from_states.state_number >= 0
        and to_states.state_number <> 0
),

last_channels as (
    select max(state_number) as state_number
    from channels
),

-- Gauss-Jordan elimination, a channel at each step: who could pass through it now goes on at once,
-- however often they came back before (1 / (1 - loop)). What is left at the end leads from the
-- start to an order.
eliminations as (
    select
        1 as pivot_number,
        removed_number,
        from_number,
        to_number,
        probability
    from matrices
    union all
    select
        pivot_number + 1 as pivot_number,
        removed_number,
        from_number,
        to_number,
        round(probability + enter_probability * leave_probability / (1 - loop_probability), 30)
            as probability
    from (
        select
            eliminations.*,
            max(
                case
                    when eliminations.to_number = eliminations.pivot_number
                        then eliminations.probability
                end
            ) over from_state as enter_probability,
            max(
                case
                    when eliminations.from_number = eliminations.pivot_number
                        then eliminations.probability
                end
            ) over to_state as leave_probability,
            max(
                case
                    when
                        eliminations.from_number = eliminations.pivot_number
                        and eliminations.to_number = eliminations.pivot_number
                        then eliminations.probability
                end
            ) over chain as loop_probability
        from eliminations
        inner join last_channels on eliminations.pivot_number <= last_channels.state_number
        window
            from_state as (
                partition by eliminations.removed_number, eliminations.from_number
            ),
            to_state as (partition by eliminations.removed_number, eliminations.to_number),
            chain as (partition by eliminations.removed_number)
    ) as pivoted
    where from_number <> pivot_number and to_number <> pivot_number
),

chains_solved as (
    select
        eliminations.removed_number,
        eliminations.probability
    from eliminations
    inner join last_channels on eliminations.pivot_number > last_channels.state_number
),

paths as (
    select
        sum(case when from_state = '(start)' then transition_count end) as path_count,
        sum(case when to_state = '(order)' then transition_count else 0 end) as order_count
    from transitions
),

final as (
    select
        channels.channel,
        paths.path_count,
        paths.order_count,
        cast(complete.probability as numeric(26, 24)) as order_rate,
        cast(reduced.probability as numeric(26, 24)) as order_rate_without_channel,
        cast(complete.probability - reduced.probability as numeric(26, 24)) as removal_effect
    from channels
    inner join chains_solved as reduced on channels.state_number = reduced.removed_number
    inner join chains_solved as complete on complete.removed_number = 0
    cross join paths
)

select * from final
