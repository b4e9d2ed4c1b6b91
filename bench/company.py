"""A company's raw tables at any size, made by DuckDB: one first load of two years, and days of one percent on top.

What comes out depends on nothing but the size: every choice is a hash of a record's number. Rows are written into raw
as ingestion would have, with operation, revision, times and load id, and `loads` and `_dlt_loads` know of them.
"""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, date, datetime, timedelta

import duckdb

from bench.measuring import Settings
from ingestion.contract.contracts import META_COLUMNS
from ingestion.contract.reading import read_contract, source_names
from ingestion.destination.target import Target, attach_warehouse
from ingestion.duck import connect
from ingestion.load.loading import load

FIRST_DAY = date(2024, 1, 1)
DAYS = 730
RETAIL_DAYS = 300
SIZES = {
    "orders": 1_500_000,  # each with 1 to 6 lines, 3.5 on average; 4 % of them with a line that takes one back
    "users": 200_000,  # three in ten with a second version
    "addresses": 200_000,
    "products": 20_000,  # each with a second version
    "movements": 1_500_000,
    "retail_lines": 600_000,
    "codes": 5_000,
    "customers": 4_000,
    "accounts": 100_000,  # six in ten with the address of a user of the shop
}
# A company that sells ten times as much hasn't ten times as many products: above the full sizes they grow by the root.
CATALOGUE = ("products", "codes")
CATEGORIES = 200
DAY_SHARE = 0.01


def load_id(source: str, number: int) -> str:
    """The load of the first two years is 0, that of the n-th day after them is n. No two sources share one."""
    return f"{1_700_000_000 + number}.{source_names().index(source)}"


def sizes(settings: Settings) -> dict[str, int]:
    """How many there are of each at this run's scale."""
    root = max(1.0, settings.scale) ** 0.5
    return {name: round(settings.size(rows) / root) if name in CATALOGUE else settings.size(rows)
            for name, rows in SIZES.items()}  # fmt: skip


class Company:
    """A DuckDB file that holds every load of every source, to be copied into the raw of a warehouse.

    days: loads of a day each, after the one of the first two years; batches: those of one order each, after these.
    """

    def __init__(self, settings: Settings, days: int, batches: int = 0):
        self.path = settings.folder / "company.duckdb"
        self.days, self.batches = days, batches
        self.sizes = sizes(settings)

    def make(self) -> None:
        """Write the file anew."""
        self.path.unlink(missing_ok=True)
        with closing(duckdb.connect(str(self.path))) as duck:
            # A number between 0 and 1 for each record and purpose, and a choice from a list.
            duck.execute("create macro draw(purpose, number) as hash(purpose || number) % 1000003 / 1000003.0")
            duck.execute(
                "create macro drawn(purpose, number, size) as cast(floor(draw(purpose, number) * size) as bigint)"
            )
            duck.execute("create macro choice(purpose, number, list) as list[1 + drawn(purpose, number, len(list))]")
            duck.execute("create macro money(amount) as cast(amount as numeric(18, 4))")
            duck.execute("create macro uuid_of(kind, number) as cast(cast(md5(kind || number) as uuid) as varchar)")
            duck.execute(
                "create macro instant(day) as date '2024-01-01' + to_microseconds(cast(day * 86400000000 as bigint))"
            )
            for number in range(self.days + self.batches + 1):
                for table, select in self._loaded(number).items():
                    target, source = table.replace(".", "_"), table.split(".")[0]
                    select = (
                        f"select * exclude (_at), 'U' as _operation, epoch_us(_at) as _revision, _at as _effective_at, "
                        f"instant({DAYS + number}) as _observed_at, '{load_id(source, number)}' as _load_id "
                        f"from ({select})"
                    )
                    exists = duck.execute("select 1 from duckdb_tables() where table_name = ?", [target]).fetchall()
                    duck.execute(f"insert into {target} {select}" if exists else f"create table {target} as {select}")

    def _loaded(self, number: int) -> dict[str, str]:
        if number == 0:
            return self._first()
        return self._day(number) if number <= self.days else self._batch(number)

    def write(self, target: Target, number: int) -> None:
        """Copy one load into raw. The tables are made by ingestion itself, by loading sources that aren't there."""
        for name in source_names():
            load(read_contract(name), None, target, datetime(2024, 1, 1, tzinfo=UTC))
        with closing(connect()) as duck:
            attach_warehouse(duck, target, writable=True)
            duck.execute(f"attach '{self.path}' as company (read_only)")
            for name in source_names() if number <= self.days else ["shop"]:
                self._write_source(duck, name, number)

    def _write_source(self, duck: duckdb.DuckDBPyConnection, source: str, number: int) -> None:
        contract = read_contract(source)
        raw, key = f"warehouse.{contract.schema}", load_id(source, number)
        observed = f"timestamp '{FIRST_DAY + timedelta(days=DAYS + number)}'"
        for table in contract.tables:
            made = f"company.{source}_{table.name}"
            columns = ", ".join([*table.column_names, *META_COLUMNS])
            duck.execute(
                f"insert into {raw}.{table.name} ({columns}) select {columns} from {made} where _load_id = '{key}'"
            )
            duck.execute(f"""
                insert into {raw}.loads (resource, source_count, loaded_count, known_count, rejected_count,
                    deleted_count, cursor, _observed_at, _load_id)
                select '{table.name}', count(*), count(*), 0, 0, 0, null, {observed}, '{key}'
                from {made} where _load_id = '{key}'""")
        duck.execute(
            f"insert into {raw}._dlt_loads (load_id, schema_name, status, inserted_at) "
            f"values ('{key}', '{source}', 0, {observed})"
        )

    def _first(self) -> dict[str, str]:
        sizes = self.sizes
        users, second = sizes["users"], f"range({sizes['users'] * 3 // 10})"
        return {
            "shop.categories": _categories(),
            "shop.users": f"{_users(f'range({users})', 1)} union all {_users(second, 2)}",
            "shop.addresses": _addresses(f"range({sizes['addresses']})", users, 1),
            "shop.products": " union all ".join(
                _products(f"range({sizes['products']})", version) for version in (1, 2)
            ),
            **self._sales(0, sizes["orders"], f"number * {DAYS} / {sizes['orders']}"),
            "shop.inventory_movements": self._movements(
                0, sizes["movements"], f"number * {DAYS} / {sizes['movements']}"
            ),
            "retail.files": _files(0, RETAIL_DAYS, sizes["retail_lines"] // RETAIL_DAYS),
            "retail.sales_lines": self._retail_lines(0, RETAIL_DAYS),
            "accounts.users": _accounts(f"range({sizes['accounts']})", users, "number % 700"),
        }

    def _day(self, number: int) -> dict[str, str]:
        """One day: one percent of new orders, of recent orders, users, products, addresses and accounts, and a file."""
        sizes = self.sizes
        share = {name: max(1, round(size * DAY_SHARE)) for name, size in sizes.items()}
        day = DAYS + number - 1

        def some(name: str) -> str:
            step = sizes[name] // share[name]
            return f"range({number % step}, {sizes[name]}, {step})"

        first_order = sizes["orders"] + (number - 1) * share["orders"]
        new = self._sales(
            first_order, first_order + share["orders"], f"{day} + (number - {first_order}) / {share['orders']}"
        )
        # Orders of the last weeks get on: every second one of the last two percent, others each day.
        recent = f"range({first_order - 2 * share['orders'] + number % 2}, {first_order}, 2)"
        new["shop.orders"] += f" union all select * replace ('returned' as status, instant({day + 0.5}) as updated_at, "
        new["shop.orders"] += (
            f"version + {number} as version, instant({day + 0.5}) as _at) from ({self._recent_orders(recent)})"
        )
        first_movement = sizes["movements"] + (number - 1) * share["movements"]
        return {
            "shop.users": _users(some("users"), number + 2, day),
            "shop.addresses": _addresses(some("addresses"), sizes["users"], number + 1, day),
            "shop.products": _products(some("products"), number + 2, day),
            **new,
            "shop.inventory_movements": self._movements(
                first_movement,
                first_movement + share["movements"],
                f"{day} + (number - {first_movement}) / {share['movements']}",
            ),
            "retail.files": _files(
                RETAIL_DAYS + number - 1, RETAIL_DAYS + number, sizes["retail_lines"] // RETAIL_DAYS
            ),
            "retail.sales_lines": self._retail_lines(RETAIL_DAYS + number - 1, RETAIL_DAYS + number),
            "accounts.users": _accounts(some("accounts"), sizes["users"], str(day), number + 1),
        }

    def _batch(self, number: int) -> dict[str, str]:
        """One order with a line of it and its payment, each in a new version."""
        order, at = self.sizes["orders"] - number * 37 % max(1, self.sizes["orders"] // 100), DAYS + self.days

        def newest(table: str, condition: str) -> str:
            return f"""
                select * exclude (_operation, _revision, _effective_at, _observed_at, _load_id)
                    replace (version + 1 as version, instant({at} + {number} / 100000) as updated_at),
                    instant({at} + {number} / 100000) as _at
                from {table}
                where {condition}
                qualify row_number() over (partition by id order by _revision desc) = 1"""

        return {
            "shop.orders": newest("shop_orders", f"id = {order}"),
            "shop.order_items": newest("shop_order_items", f"order_id = {order} and line_number = 1"),
            "shop.payments": newest("shop_payments", f"order_id = {order}"),
        }

    def _recent_orders(self, numbers: str) -> str:
        return f"""
            select o.* exclude (_operation, _revision, _effective_at, _observed_at, _load_id), o._effective_at as _at
            from shop_orders as o inner join {numbers} as n(number) on o.id = n.number + 1
            qualify row_number() over (partition by o.id order by o._revision desc) = 1"""

    def _sales(self, first: int, last: int, day: str) -> dict[str, str]:
        """Orders by number, with their lines, payments and refunds. `day` says when, in days since the first."""
        orders = f"(select number, instant({day}) as placed_at from range({first}, {last}) as numbers(number))"
        # A product in front of the list sells more than one at its end.
        lines = f"""(
            select o.number + 1 as order_id, placed_at, line, (o.number + 1) * 10 + line as id,
                1 + cast(floor(pow(draw('product' || line, o.number), 2) * {self.sizes["products"]}) as bigint)
                    as product_id,
                1 + drawn('quantity' || line, o.number, 4) as quantity
            from {orders} as o cross join range(1, 7) as l(line)
            where line <= 1 + floor(draw('lines', o.number) * 6))"""
        priced = f"""(
            select *, {_price("product_id")} as price,
                money(case when draw('discount', id) < 0.2 then quantity * {_price("product_id")} * 0.1 else 0 end)
                    as discount
            from {lines})"""
        items = f"""(
            select id, order_id, line as line_number, 'sale' as kind, product_id, quantity, price as unit_price_amount,
                discount as discount_amount, money((quantity * price - discount) * 0.2) as tax_amount,
                null::bigint as original_item_id, placed_at as created_at
            from {priced})"""
        totals = f"""(
            select order_id, sum(quantity * unit_price_amount) as subtotal, sum(discount_amount) as discount,
                sum(tax_amount) as tax
            from {items} group by order_id)"""
        currency = "choice('currency', number, ['GBP', 'GBP', 'GBP', 'GBP', 'GBP', 'GBP', 'EUR', 'USD'])"
        # What comes back does so within ten days, so before the first two years are over.
        returned = f"number % 25 = 0 and placed_at < instant({DAYS - 10})"
        return {
            "shop.orders": f"""
                select number + 1 as id, uuid_of('user', {_user("number", self.sizes["users"])}) as user_id,
                    case when {returned} then 'returned' else 'delivered' end as status,
                    choice('channel', number, ['web', 'mobile_app', 'marketplace', 'phone']) as channel,
                    {currency} as currency_code, {_user("number", self.sizes["users"])} % {self.sizes["addresses"]} + 1
                        as shipping_address_id,
                    money(subtotal) as subtotal_amount, money(discount) as discount_amount, money(tax) as tax_amount,
                    money(3.5) as shipping_amount, money(subtotal - discount + tax + 3.5) as total_amount, placed_at,
                    placed_at + interval 1 hour as paid_at, placed_at + interval 1 day as shipped_at,
                    placed_at + interval 3 days as delivered_at, null::timestamp as cancelled_at,
                    placed_at as created_at, placed_at + interval 3 days as updated_at, 4::bigint as version,
                    placed_at as _at
                from {orders} inner join {totals} on order_id = number + 1""",
            "shop.order_items": f"""
                select *, created_at as updated_at, 1::bigint as version, created_at as _at from {items}
                union all
                select id + 8, order_id, 9, 'return', product_id, -quantity, unit_price_amount, -discount_amount,
                    -tax_amount, id, created_at + interval 9 days, created_at + interval 9 days, 1,
                    created_at + interval 9 days
                from (select *, order_id - 1 as number, created_at as placed_at from {items})
                where line_number = 1 and {returned}""",
            "shop.payments": f"""
                select number + 1 as id, number + 1 as order_id,
                    choice('method', number, ['card', 'paypal', 'bank_transfer', 'gift_card']) as method,
                    'captured' as status, money(subtotal - discount + tax + 3.5) as amount,
                    {currency} as currency_code, placed_at + interval 1 hour as paid_at, placed_at as created_at,
                    placed_at + interval 1 hour as updated_at, 1::bigint as version, placed_at + interval 1 hour as _at
                from {orders} inner join {totals} on order_id = number + 1""",
            "shop.refunds": f"""
                select number + 1 as id, number + 1 as payment_id, number + 1 as order_id,
                    money(quantity * unit_price_amount) as amount, {currency} as currency_code,
                    'sent back' as reason, placed_at + interval 10 days as refunded_at,
                    placed_at + interval 10 days as created_at, placed_at + interval 10 days as updated_at,
                    1::bigint as version, placed_at + interval 10 days as _at
                from {orders} inner join {items} on order_id = number + 1 and line_number = 1 where {returned}""",
        }

    def _movements(self, first: int, last: int, day: str) -> str:
        return f"""
            select number + 1 as id, 1 + number * 7919 % {self.sizes["products"]} as product_id,
                case when number % 5 = 0 then 'receipt' when number % 97 = 0 then 'adjustment' else 'sale' end
                    as movement_type,
                case when number % 5 = 0 then 12 when number % 97 = 0 then -1
                    else -1 - drawn('moved', number, 4) end as quantity,
                case when number % 5 > 0 then number + 1 end as order_id, null::bigint as stock_after,
                instant({day}) as moved_at, instant({day}) as created_at, instant({day}) as updated_at,
                1::bigint as version, instant({day}) as _at
            from range({first}, {last}) as numbers(number)"""

    def _retail_lines(self, first: int, last: int) -> str:
        sizes = self.sizes
        lines = sizes["retail_lines"] // RETAIL_DAYS
        day = f"date '{FIRST_DAY}' + cast({DAYS - RETAIL_DAYS} + number as integer)"
        return f"""
            select {day} as trading_date, 'sales' as file_series,
                cast(500000 + number * 1000 + line // 20 as varchar) as invoice_no,
                line % 20 + 1 as line_number, 'P' || {_code} as stock_code,
                'product ' || {_code} || case when number > 150 and {_code} % 20 = 0 then ', new' else '' end
                    as description,
                case when line % 50 = 7 then -1 else 1 + line % 9 end as quantity,
                {day} + to_minutes(540 + line % 480) as invoice_date, {_price(_code)} as unit_price,
                case when line % 7 > 0 then (10000 + (number * 31 + line // 20) % {sizes["customers"]}) || '.0' end
                    as customer_id,
                case when line // 20 % 10 > 0 then 'United Kingdom' else 'Germany' end as country,
                {day} + interval 20 hours as _at
            from range({first}, {last}) as days(number) cross join range({lines}) as lines(line)""".replace(
            "{codes}", str(sizes["codes"])
        )


# A code in front of the list sells more than one at its end.
_code = "cast(floor(pow(draw('code' || number, line), 2) * {codes}) as bigint)"


def _price(product: str) -> str:
    return f"money(1 + ({product}) * 7919 % 10000 / 100)"


def _user(number: str, users: int) -> str:
    return f"drawn('user', {number}, {users})"


def _categories() -> str:
    at = "instant(0)"
    return f"""
        select number + 1 as id, case when number >= 20 then number % 20 + 1 end as parent_id,
            'category ' || number as name, {at} as created_at, {at} as updated_at, 1::bigint as version, {at} as _at
        from range({CATEGORIES}) as numbers(number)"""


def _users(numbers: str, version: int, day: int | None = None) -> str:
    at = f"instant({day} + 0.4)" if day is not None else f"instant(number % {DAYS // 2} + {(version - 1) * 300})"
    # Every tenth change is one of the address to log in with; what else changes is the family name.
    address = f"case when {version} > 1 and number % 10 = 0 then '.{version}' else '' end"
    return f"""
        select uuid_of('user', number) as id,
            'email_' || md5('user' || number || {address}) as email,
            'first_name_1' as first_name, 'last_name_{version}' as last_name, 'active' as status,
            instant(number % {DAYS // 2}) as created_at, {at} as updated_at, 'shop' as created_by, 'shop' as updated_by,
            {version}::bigint as version, {at} as _at
        from {numbers} as numbers(number)"""


def _addresses(numbers: str, users: int, version: int, day: int | None = None) -> str:
    at = f"instant({day} + 0.4)" if day is not None else f"instant(number % {DAYS // 2})"
    return f"""
        select number + 1 as id, uuid_of('user', number % {users}) as user_id, 'shipping' as kind,
            'line_1_' || number as line_1, null::varchar as line_2, 'Town {version}' as city,
            'AB' || number % 90 as postal_code, null::varchar as region,
            ['GB', 'GB', 'GB', 'DE', 'FR', 'US'][1 + number % 6] as country_code, true as is_default,
            instant(number % {DAYS // 2}) as created_at, {at} as updated_at, {version}::bigint as version, {at} as _at
        from {numbers} as numbers(number)"""


def _products(numbers: str, version: int, day: int | None = None) -> str:
    at = (
        f"instant({day} + 0.4)" if day is not None else f"instant(number % 300 * {version - 1} + {(version - 1) * 100})"
    )
    return f"""
        select number + 1 as id, 'SKU' || number as sku, 'Product ' || number as name,
            20 + number % {CATEGORIES - 20} + 1 as category_id,
            money({_price("number + 1")} * {1 + version / 10}) as price_amount, 'GBP' as currency_code,
            true as is_active, instant(0) as created_at, {at} as updated_at, {version}::bigint as version, {at} as _at
        from {numbers} as numbers(number)"""


def _accounts(numbers: str, users: int, day: str, version: int = 1) -> str:
    at = f"instant({day} + 0.3)"
    return f"""
        select 'account-' || number as id,
            'email_' || md5(case when number % 10 < 6 then 'user' || number * 7 % {users} else 'person' || number end)
                as email,
            'first_name_2' as first_name, 'last_name_{version}' as last_name, 'active' as status,
            '{{"_token": "profile_1", "preferences": {{"newsletter": true, "language": "en"}}}}' as profile,
            instant(number % 700) as created_at, {at} as updated_at, {at} as _at
        from {numbers} as numbers(number)"""


def _files(first: int, last: int, lines: int) -> str:
    day = f"date '{FIRST_DAY}' + cast({DAYS - RETAIL_DAYS} + number as integer)"
    return f"""
        select {day} as trading_date, 'sales' as file_series, 'sales_' || ({day}) || '.csv' as file_name,
            {day} + interval 20 hours as modified_at,
            1000::bigint as size_bytes, md5(cast(number as varchar)) as checksum, {lines}::bigint as record_count,
            {day} + interval 20 hours as _at
        from range({first}, {last}) as numbers(number)"""
