-- What a purge takes away is a movement too, so that every ledger ends at what is there: nothing.
ALTER TABLE products.stock_movements DROP CONSTRAINT stock_movements_kind_check;
ALTER TABLE products.stock_movements ADD CONSTRAINT stock_movements_kind_check
    CHECK (kind IN ('opening', 'count', 'adjustment', 'sale', 'return', 'purge'));

-- Of products that were purged before.
INSERT INTO products.stock_movements (product_id, kind, delta, created_at)
SELECT product_id, 'purge', -sum(delta), now() FROM products.stock_movements m
WHERE NOT EXISTS (SELECT FROM products.stock s WHERE s.product_id = m.product_id)
GROUP BY product_id HAVING sum(delta) <> 0;
