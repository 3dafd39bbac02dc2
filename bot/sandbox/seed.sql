-- The sample company's databases. A plain psql script; a semicolon at the end of a line ends a
-- statement.
--
-- Nobody owns what Latchkey gives but these roles; Latchkey's own login is a member of each, and
-- that is all that it needs besides CREATEROLE.
create role orders_owner nologin;
create role warehouse_owner nologin;
create role ledger_owner nologin;
create role payroll_owner nologin;
grant orders_owner, warehouse_owner, ledger_owner, payroll_owner to latchkey;
create database orders owner orders_owner;
create database ledger owner ledger_owner;
revoke connect, temporary on database orders, ledger from public;

\connect orders
create schema shop authorization orders_owner;
create schema warehouse authorization warehouse_owner;
grant usage on schema shop to warehouse_owner;

set role orders_owner;
create table shop.customers (
    id integer primary key generated always as identity,
    name text not null,
    email text not null,
    phone text
);
insert into shop.customers (name, email, phone)
select
    (array['Ada', 'Björk', 'Chloé', 'Dmitri', 'Emeka', 'Fatima', 'Günter', 'Hana'])[1 + n % 8]
        || ' '
        || (array['Almeida', 'Brandt', 'Costa', 'Dvořák', 'Eze', 'Ferreira', 'García'])[1 + n % 7],
    'customer' || n || '@example.com',
    '+44 20 7946 0' || lpad(n::text, 3, '0')
from generate_series(1, 200) as n;
create table shop.orders (
    id serial primary key,
    customer_id integer not null references shop.customers,
    ordered_at timestamptz not null,
    total numeric(10, 2) not null
);
insert into shop.orders (customer_id, ordered_at, total)
select 1 + n % 200, timestamptz '2026-01-01 08:00+00' + n * interval '7 hours', 5 + n * 37 % 400
from generate_series(1, 500) as n;
create view shop.revenue_by_month as
select date_trunc('month', ordered_at) as month, sum(total) as revenue
from shop.orders
group by 1;
create materialized view shop.best_customers as
select c.id, c.name, sum(o.total) as spent
from shop.customers as c join shop.orders as o on o.customer_id = c.id
group by c.id
order by spent desc
limit 10;
create table shop.events (at timestamptz not null, what text not null) partition by range (at);
create table shop.events_2026 partition of shop.events
for values from ('2026-01-01') to ('2027-01-01');
create table shop."the ""fine"" café" (id integer primary key, note text not null);
insert into shop."the ""fine"" café" values (1, 'A name that has to be quoted.');
create sequence shop.invoice_number start 10000;

set role warehouse_owner;
create table warehouse.stock (sku text primary key, shelf text not null, pieces integer not null);
insert into warehouse.stock
select 'SKU-' || lpad(n::text, 4, '0'), chr(65 + n % 12) || n % 30, n * 13 % 90
from generate_series(1, 120) as n;
create table warehouse.deliveries (
    id serial primary key,
    sku text not null references warehouse.stock,
    pieces integer not null,
    due date not null
);
insert into warehouse.deliveries (sku, pieces, due)
select 'SKU-' || lpad((1 + n % 120)::text, 4, '0'), 10 + n % 50, date '2026-11-01' + n
from generate_series(1, 60) as n;

reset role;
analyze;

\connect ledger
create schema accounts authorization ledger_owner;
create schema payroll authorization payroll_owner;
grant connect on database ledger to payroll_owner;

set role ledger_owner;
create table accounts.payments (
    id serial primary key,
    iban text not null,
    amount numeric(12, 2) not null,
    paid_on date not null
);
insert into accounts.payments (iban, amount, paid_on)
select 'GB00LATC' || lpad(n::text, 14, '0'), 100 + n * 91 % 9000, date '2026-01-01' + n
from generate_series(1, 300) as n;
create table accounts.cards (token text primary key, last_digits text not null, expires date);
insert into accounts.cards
select md5('card' || n), lpad((n * 7919 % 10000)::text, 4, '0'), date '2027-01-31' + 31 * (n % 24)
from generate_series(1, 80) as n;

set role payroll_owner;
create table payroll.salaries (
    employee text primary key,
    gross numeric(10, 2) not null,
    since date not null
);
insert into payroll.salaries
select 'employee' || n || '@example.com', 42000 + n * 1234 % 60000, date '2024-01-01' + n * 9
from generate_series(1, 40) as n;

reset role;
analyze;
