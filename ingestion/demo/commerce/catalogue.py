"""The shop's categories, products and stock."""

from __future__ import annotations

from ingestion.demo.agenda import on, schedule
from ingestion.demo.clock import DAY, HOUR, day_text, stamp

from .company import Company, Row, audit, insert, new_id, update
from .vocabulary import CATEGORIES, PRODUCT_SIZES, PRODUCT_STYLES

REORDER_LEVEL = 10


def found(company: Company, t: int) -> None:
    """Set up the first categories and products, and stock the shelves."""
    for top, children in CATEGORIES.items():
        parent_id = add_category(company, t, None, top)
        for child in children:
            add_category(company, t, parent_id, child)
    for _ in range(185):
        add_product(company, t + 5)


def add_category(company: Company, t: int, parent_id: int | None, name: str) -> int:
    """Insert a category; returns its id."""
    row = {"id": new_id(company, "categories"), "parent_id": parent_id, "name": name, **audit(t)}
    company.categories[row["id"]] = row
    insert(company, "categories", row, t)
    return int(row["id"])


@on("product.add")
def add_product(company: Company, t: int) -> None:
    """A new product, and its first receipt."""
    row = _new_product(company, t)
    insert(company, "products", row, t)
    move(company, t, row["id"], "receipt", company.rng.randrange(20, 60) + _batch_size(company, row["id"]))


@on("product.add_broken")
def add_broken_product(company: Company, t: int, days: int | None) -> None:
    """A product whose price is negative from its first version on."""
    row = _new_product(company, t)
    company.broken[("products", row["id"])] = "range:price_amount"
    row["price_amount"] = -row["price_amount"]
    insert(company, "products", row, t)
    move(company, t, row["id"], "receipt", 30)
    if days is not None:
        schedule(company, t + days * DAY, "product.mend", row["id"])


@on("product.break")
def break_product(company: Company, t: int, days: int | None) -> None:
    """A product's price becomes negative."""
    row = pick_product(company)
    if not row:
        return
    company.broken[("products", row["id"])] = "range:price_amount"
    update(company, "products", row, t, price_amount=-company.prices[row["id"]] / 100)
    if days is not None:
        schedule(company, t + days * DAY, "product.mend", row["id"])


@on("product.mend")
def mend_product(company: Company, t: int, product_id: int) -> None:
    """The price is positive again."""
    company.broken.pop(("products", product_id))
    update(company, "products", company.products[product_id], t, price_amount=company.prices[product_id] / 100)


def pick_product(company: Company) -> Row | None:
    """Any product on sale whose record is in order."""
    for _ in range(20):
        product_id = company.rng.choice(company.sellable)
        if ("products", product_id) not in company.broken:
            return company.products[product_id]
    return None


@on("product.price")
def change_price(company: Company, t: int) -> None:
    """Any product's price changes by up to a fifth."""
    row, rng = pick_product(company), company.rng
    if row:
        set_price(company, t, row["id"], max(50, round(company.prices[row["id"]] * rng.uniform(0.85, 1.2) / 5) * 5))


@on("product.set_price")
def set_price(company: Company, t: int, product_id: int, pence: int) -> None:
    """Set a price, unless the record is broken meanwhile."""
    if ("products", product_id) not in company.broken:
        company.prices[product_id] = pence
        update(company, "products", company.products[product_id], t, price_amount=pence / 100)


@on("product.promote")
def promote(company: Company, t: int, wait: int) -> None:
    """A -> B -> A: cheaper for `wait` seconds."""
    row = pick_product(company)
    if row:
        before = company.prices[row["id"]]
        set_price(company, t, row["id"], before * 4 // 5)
        schedule(company, t + wait, "product.set_price", row["id"], before)


@on("product.rename")
def rename_product(company: Company, t: int) -> None:
    """Any product gets a new name, or its old one back."""
    row = pick_product(company)
    if row:
        name = row["name"].removesuffix(" (new design)") if row["name"].endswith(")") else f"{row['name']} (new design)"
        update(company, "products", row, t, name=name)


@on("product.recategorize")
def recategorize(company: Company, t: int) -> None:
    """Any product goes to another category."""
    row = pick_product(company)
    if row:
        update(company, "products", row, t, category_id=_leaf(company))


@on("product.retire")
def retire_product(company: Company, t: int) -> None:
    """A product is taken off sale; some come back."""
    row = pick_product(company)
    if row and len(company.sellable) > 100:
        company.sellable.remove(row["id"])
        update(company, "products", row, t, is_active=0)
        if company.rng.random() < 0.5:
            schedule(company, t + company.rng.randrange(3 * DAY, 60 * DAY), "product.return", row["id"])


@on("product.return")
def return_product(company: Company, t: int, product_id: int) -> None:
    """A product is on sale again."""
    company.sellable.append(product_id)
    update(company, "products", company.products[product_id], t, is_active=1)


@on("category.rename")
def rename_category(company: Company, t: int) -> None:
    """Any category gets a new name, or its old one back."""
    row = company.rng.choice(list(company.categories.values()))
    name = row["name"].removesuffix(" & More") if row["name"].endswith(" & More") else f"{row['name']} & More"
    update(company, "categories", row, t, name=name)


@on("category.move")
def move_category(company: Company, t: int) -> None:
    """A category of the lower level gets another parent."""
    row = company.categories[_leaf(company)]
    parents = [c["id"] for c in company.categories.values() if c["parent_id"] is None and c["id"] != row["parent_id"]]
    update(company, "categories", row, t, parent_id=company.rng.choice(parents))


def move(company: Company, t: int, product_id: int, kind: str, quantity: int, order_id: int | None = None) -> None:
    """Goods come in or go out; a low stock is ordered anew."""
    stock = company.stock.get(product_id, 0) + quantity
    row = {
        "id": new_id(company, "inventory_movements"),
        "product_id": product_id,
        "movement_type": kind,
        "quantity": quantity,
        "order_id": order_id,
        "stock_after": stock,
        "moved_at": stamp(t),
        **audit(t),
    }
    insert(company, "inventory_movements", row, t)
    _note_stock(company, t, product_id, stock)
    if stock <= REORDER_LEVEL:
        reorder(company, t, product_id)


def reorder(company: Company, t: int, product_id: int) -> None:
    """Order goods, unless some are on their way; now and then the supplier takes weeks."""
    if product_id not in company.on_order:
        company.on_order[product_id] = 1
        rng = company.rng
        days = rng.randrange(12, 25) if rng.random() < 0.06 else rng.randrange(1, 5)
        schedule(company, t + days * DAY + rng.randrange(HOUR), "stock.receive", product_id)


@on("stock.receive")
def receive(company: Company, t: int, product_id: int) -> None:
    """Ordered goods arrive."""
    del company.on_order[product_id]
    move(company, t, product_id, "receipt", _batch_size(company, product_id))


@on("stock.adjust")
def adjust(company: Company, t: int, kind: str) -> None:
    """A stock count finds more or less than booked, or goods are written off."""
    rng = company.rng
    product_id = rng.choice(company.sellable)
    quantity = -rng.randrange(1, 3) if kind == "write_off" else rng.choice((-2, -1, 1, 1, 2))
    if company.stock[product_id] + quantity >= 0:
        move(company, t, product_id, kind, quantity)


@on("stock.ruin")
def ruin_stock(company: Company, t: int) -> None:
    """Water in the warehouse: all there is of a popular product is written off, and orders have to wait."""
    product_id = company.sellable[0]
    if company.stock[product_id]:
        move(company, t, product_id, "write_off", -company.stock[product_id])


@on("stock.unbooked")
def receive_unbooked(company: Company, t: int, days: int | None) -> None:
    """A receipt is entered without its product, so it can't count for any product's stock yet."""
    movement_id = new_id(company, "inventory_movements")
    row = {
        "id": movement_id,
        "product_id": None,
        "movement_type": "receipt",
        "quantity": 12,
        "order_id": None,
        "stock_after": None,
        "moved_at": stamp(t),
        **audit(t),
    }
    company.broken[("inventory_movements", movement_id)] = "missing:product_id"
    insert(company, "inventory_movements", row, t)
    if days is not None:
        company.unbooked[movement_id] = row
        schedule(company, t + days * DAY, "stock.book", movement_id, company.rng.choice(company.sellable))


@on("stock.book")
def book(company: Company, t: int, movement_id: int, product_id: int) -> None:
    """The product is filled in: the goods count from now on.

    Movements are ordered by time, then id. This one's id is old, so it must not fall into a second in which the
    product has moved already.
    """
    if company.last_moved[product_id] == t:
        schedule(company, t + 1, "stock.book", movement_id, product_id)
        return
    row = company.unbooked.pop(movement_id)
    company.broken.pop(("inventory_movements", movement_id))
    stock = company.stock[product_id] + row["quantity"]
    update(company, "inventory_movements", row, t, product_id=product_id, stock_after=stock, moved_at=stamp(t))
    _note_stock(company, t, product_id, stock)


def _note_stock(company: Company, t: int, product_id: int, stock: int) -> None:
    company.stock[product_id] = stock
    company.last_moved[product_id] = t
    company.batch.truth.stock[(product_id, day_text(t // DAY))] = stock


def _batch_size(company: Company, product_id: int) -> int:
    """How many to order at once: the first products are the popular ones."""
    return max(12, round(18 * company.scale)) * (3 if product_id <= 25 else 1)


def _leaf(company: Company) -> int:
    """Any category of the lower level."""
    return int(company.rng.choice([c["id"] for c in company.categories.values() if c["parent_id"] is not None]))


def _new_product(company: Company, t: int) -> Row:
    rng = company.rng
    product_id = new_id(company, "products")
    category_id = _leaf(company)
    thing = company.categories[category_id]["name"]
    pence = rng.randrange(40, 900) * 5 + rng.choice((0, -1))
    company.prices[product_id] = pence
    company.sellable.append(product_id)
    row = {
        "id": product_id,
        "sku": f"GR-{category_id:02}-{product_id:04}",
        "name": f"{rng.choice(PRODUCT_STYLES)} {thing}, {rng.choice(PRODUCT_SIZES)}",
        "category_id": category_id,
        "price_amount": pence / 100,
        "currency_code": "GBP",
        "is_active": 1,
        **audit(t),
    }
    company.products[product_id] = row
    return row
