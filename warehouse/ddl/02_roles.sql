-- Least privilege: BI tools log in as clickmart_bi and see the reports alone.
do $$
begin
    if not exists (select from pg_roles where rolname = 'clickmart_bi') then
        create role clickmart_bi login;
    end if;
end $$;
create schema if not exists reports;
revoke all on schema public from clickmart_bi;
grant usage on schema reports to clickmart_bi;
