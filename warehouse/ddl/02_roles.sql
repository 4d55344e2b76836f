-- Least privilege: BI tools log in as clickmart_bi and see the reports alone. On a server where
-- the owner may not create roles, its administrator creates clickmart_bi (see docs/server.md).
create schema if not exists reports;

do $$
begin
    if not exists (select from pg_roles where rolname = 'clickmart_bi') then
        create role clickmart_bi login;
    end if;
    grant usage on schema reports to clickmart_bi;
exception
    when insufficient_privilege or undefined_object then
        raise warning 'the role clickmart_bi is missing and may not be created: %', sqlerrm;
end $$;
