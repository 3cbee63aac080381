-- Why a product has as much on hand as it has: one row for everything that came or went. Their sum is `on_hand`.
-- Without a foreign key: what a purged product sold stays explained.
CREATE TABLE products.stock_movements (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    product_id   uuid NOT NULL,
    kind         text NOT NULL CHECK (kind IN ('opening', 'count', 'adjustment', 'sale', 'return')),
    delta        bigint NOT NULL CHECK (delta <> 0),
    reference_id uuid,                     -- the order of a sale or return
    actor_id     uuid,                     -- who did it; null for the shop itself
    reason       text,
    created_at   timestamptz NOT NULL
);
CREATE INDEX stock_movements_product_idx ON products.stock_movements (product_id, id);

-- What was there before. (Processes of a release without this table must not move stock from here on.)
INSERT INTO products.stock_movements (product_id, kind, delta, created_at)
SELECT product_id, 'opening', on_hand, now() FROM products.stock WHERE on_hand > 0;
