CREATE EXTENSION IF NOT EXISTS pg_trgm;

CREATE SCHEMA products;

CREATE TABLE products.products (
    id          uuid PRIMARY KEY,
    sku         text NOT NULL,
    -- "C": code point order, the same on every PostgreSQL, so that cursors stay true after upgrades.
    name        text COLLATE "C" NOT NULL,
    brand       text,
    description text,
    categories  text[] NOT NULL DEFAULT '{}',
    price       numeric(15, 4) NOT NULL CHECK (price >= 0),
    url         text,
    released_on date,
    attributes  jsonb NOT NULL DEFAULT '{}',
    version     bigint NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    deleted_at  timestamptz
);
-- A deleted product frees its sku.
CREATE UNIQUE INDEX products_sku_key ON products.products (sku) WHERE deleted_at IS NULL;
CREATE INDEX products_created_at_idx ON products.products (created_at, id) WHERE deleted_at IS NULL;
CREATE INDEX products_name_idx ON products.products (name, id) WHERE deleted_at IS NULL;
CREATE INDEX products_price_idx ON products.products (price, id) WHERE deleted_at IS NULL;
CREATE INDEX products_brand_idx ON products.products (brand, id) WHERE deleted_at IS NULL;
CREATE INDEX products_released_on_idx ON products.products (released_on, id) WHERE deleted_at IS NULL;
CREATE INDEX products_categories_idx ON products.products USING gin (categories);
CREATE INDEX products_name_trgm_idx ON products.products USING gin (name gin_trgm_ops);
CREATE INDEX products_deleted_at_idx ON products.products (deleted_at) WHERE deleted_at IS NOT NULL;

-- Apart from the product, so that selling never touches the product's version.
-- No row: the stock of this product isn't tracked.
CREATE TABLE products.stock (
    product_id uuid PRIMARY KEY REFERENCES products.products (id) ON DELETE CASCADE,
    on_hand    bigint NOT NULL CHECK (on_hand >= 0),
    reserved   bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    CHECK (reserved <= on_hand)
);

-- Views as of the last refresh: what `sort=views` walks. The counts themselves belong to tracking.
CREATE TABLE products.popularity (
    product_id uuid PRIMARY KEY REFERENCES products.products (id) ON DELETE CASCADE,
    views      bigint NOT NULL
);
CREATE INDEX popularity_views_idx ON products.popularity (views, product_id);

-- Every product has its row from the start, so that a walk by views meets all of them in one index.
CREATE FUNCTION products.start_popularity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO products.popularity (product_id, views) SELECT id, 0 FROM created;
    RETURN NULL;
END
$$;
CREATE TRIGGER start_popularity AFTER INSERT ON products.products
    REFERENCING NEW TABLE AS created FOR EACH STATEMENT EXECUTE FUNCTION products.start_popularity();

-- Rows of running imports, sorted and merged by sku before they touch the catalogue.
-- Unlogged: an import that a crash cut short is sent again by its client.
CREATE UNLOGGED TABLE products.import_rows (
    import_id uuid NOT NULL,
    sku       text COLLATE "C" NOT NULL,
    row       bigint NOT NULL,
    document  text NOT NULL,               -- JSON that only the importer reads
    PRIMARY KEY (import_id, sku, row)
);

-- Imports that have committed something their summary hasn't told yet. Counts move in the transaction
-- of what they count, so that an import cut short still gets a summary of what it did.
CREATE TABLE products.imports (
    id             uuid PRIMARY KEY,
    actor_id       uuid NOT NULL,
    actor_username text NOT NULL,
    request_id     text NOT NULL,
    traceparent    text NOT NULL,
    created        bigint NOT NULL,
    updated        bigint NOT NULL,
    unchanged      bigint NOT NULL,
    failed         bigint NOT NULL,
    progressed_at  timestamptz NOT NULL
);
