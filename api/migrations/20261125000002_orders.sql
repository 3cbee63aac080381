-- Products and customers are referred to by id alone: they belong to other domains.
CREATE SCHEMA orders;

CREATE TABLE orders.carts (
    id          uuid PRIMARY KEY,
    customer_id uuid NOT NULL,
    created_at  timestamptz NOT NULL,
    expires_at  timestamptz NOT NULL
);
CREATE INDEX carts_expires_at_idx ON orders.carts (expires_at);
CREATE INDEX carts_customer_idx ON orders.carts (customer_id);

-- A row with reserved units and the same units in `products.stock.reserved` come and go together.
CREATE TABLE orders.cart_items (
    cart_id    uuid NOT NULL REFERENCES orders.carts (id),   -- no cascade: what is reserved must be given back first
    product_id uuid NOT NULL,
    sku        text NOT NULL,              -- these three as the customer saw them
    name       text NOT NULL,
    price      numeric(15, 4) NOT NULL,
    quantity   bigint NOT NULL CHECK (quantity > 0),
    reserved   bigint NOT NULL CHECK (reserved IN (0, quantity)),   -- 0 where stock isn't tracked
    added_at   timestamptz NOT NULL,
    PRIMARY KEY (cart_id, product_id)
);

CREATE TABLE orders.orders (
    id          uuid PRIMARY KEY,
    customer_id uuid NOT NULL,
    status      text NOT NULL CHECK (status IN ('pending', 'confirmed', 'fulfilled', 'cancelled', 'failed')),
    total       numeric(28, 4) NOT NULL CHECK (total >= 0),
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    fulfil_at   timestamptz                -- of a confirmed order: when it is to be fulfilled
);
CREATE INDEX orders_customer_idx ON orders.orders (customer_id, id);
CREATE INDEX orders_status_idx ON orders.orders (status, id);
CREATE INDEX orders_fulfil_at_idx ON orders.orders (fulfil_at) WHERE status = 'confirmed';

-- What was bought, as it was called and what it cost at that moment.
CREATE TABLE orders.lines (
    order_id   uuid NOT NULL REFERENCES orders.orders (id) ON DELETE CASCADE,
    position   smallint NOT NULL,
    product_id uuid NOT NULL,
    sku        text NOT NULL,
    name       text NOT NULL,
    price      numeric(15, 4) NOT NULL,
    quantity   bigint NOT NULL CHECK (quantity > 0),
    taken      bigint NOT NULL CHECK (taken IN (0, quantity)),      -- units that left tracked stock
    PRIMARY KEY (order_id, position)
);

-- Every state an order was in, one row per version.
CREATE TABLE orders.history (
    order_id uuid NOT NULL REFERENCES orders.orders (id) ON DELETE CASCADE,
    version  bigint NOT NULL,
    status   text NOT NULL,
    at       timestamptz NOT NULL,
    actor    text NOT NULL CHECK (actor IN ('customer', 'admin', 'shop')),
    actor_id uuid,
    reason   text,
    PRIMARY KEY (order_id, version)
);
