{# Lets the BI role read the reports. dbt's own grants leave out USAGE on the schema. #}
{% macro grant_reports(role="clickmart_bi", schema="reports") %}
    do $$
    begin
        if exists (select from pg_roles where rolname = '{{ role }}')
            and exists (select from pg_namespace where nspname = '{{ schema }}')
        then
            grant usage on schema {{ schema }} to {{ role }};
            grant select on all tables in schema {{ schema }} to {{ role }};
        end if;
    end $$
{% endmacro %}
