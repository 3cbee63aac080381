-- `contains` searches the name without case, accents and normalisation. The fold is computed by the API
-- (products/search.rs), so that it is the same on every PostgreSQL, whatever its locales and version.
-- Names of before, and those that the previous release writes during a rolling upgrade, are folded by
-- `catalog migrate` and by housekeeping: `search_name_of` is the name that `search_name` was computed from.
ALTER TABLE products.products
    ADD COLUMN search_name text COLLATE "C",
    ADD COLUMN search_name_of text COLLATE "C";
CREATE INDEX products_stale_search_name_idx ON products.products (id) WHERE search_name_of IS DISTINCT FROM name;

-- All runs of three characters. pg_trgm would do, but it drops what isn't a letter or digit in the locale of the
-- database: with the locale C everything but ASCII.
CREATE FUNCTION products.trigrams(phrase text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT array_agg(substr(phrase, start, 3)) FROM generate_series(1, length(phrase) - 2) AS start
$$;
-- Not concurrently, as migrations run in a transaction: writes to products wait meanwhile (200,000 products: 5 s at most).
CREATE INDEX products_search_name_idx ON products.products USING gin (products.trigrams(search_name));
-- Only speed: the previous release finds the same without it, in a slower way, while it still runs.
DROP INDEX products.products_name_trgm_idx;
