-- From this release on, text is stored in Unicode Normalization Form C, and lookups are made in it. What was stored before
-- is normalised here, or a product would no longer be found by a sku that was written with combining marks.
-- Only rows that are not in NFC are written; the tables are read once. PostgreSQL normalises in UTF-8 databases only.
DO $$
BEGIN
    IF getdatabaseencoding() <> 'UTF8' THEN
        RETURN;
    END IF;

    -- A sku stays as it is if it would collide with that of another product: which of them is meant, an admin decides.
    WITH stale AS MATERIALIZED (
        SELECT id, normalize(sku, NFC) AS sku, deleted_at,
               count(*) FILTER (WHERE deleted_at IS NULL) OVER (PARTITION BY normalize(sku, NFC)) AS same
        FROM products.products WHERE sku IS NOT NFC NORMALIZED
    )
    UPDATE products.products p SET sku = stale.sku, version = p.version + 1
    FROM stale
    WHERE p.id = stale.id
      AND (stale.deleted_at IS NOT NULL OR (stale.same = 1
           AND NOT EXISTS (SELECT FROM products.products o WHERE o.sku = stale.sku AND o.deleted_at IS NULL)));

    UPDATE products.products SET
        name = normalize(name, NFC),
        brand = normalize(brand, NFC),
        description = normalize(description, NFC),
        categories = ARRAY(
            SELECT category FROM (
                SELECT normalize(c, NFC) AS category, min(position) AS position
                FROM unnest(categories) WITH ORDINALITY AS given (c, position) GROUP BY 1
            ) AS distinct_categories ORDER BY position
        ),
        -- No combining mark composes with the punctuation of JSON.
        attributes = normalize(attributes::text, NFC)::jsonb,
        version = version + 1
    WHERE name IS NOT NFC NORMALIZED OR brand IS NOT NFC NORMALIZED OR description IS NOT NFC NORMALIZED
       OR array_to_string(categories, ' ') IS NOT NFC NORMALIZED OR attributes::text IS NOT NFC NORMALIZED;

    -- Usernames are ASCII. An address stays as it is if it would collide with another account's.
    UPDATE identity.accounts SET full_name = normalize(full_name, NFC) WHERE full_name IS NOT NFC NORMALIZED;
    WITH stale AS MATERIALIZED (
        SELECT id, role, normalize(email, NFC) AS email, count(*) OVER (PARTITION BY role, lower(normalize(email, NFC))) AS same
        FROM identity.accounts WHERE email IS NOT NFC NORMALIZED
    )
    UPDATE identity.accounts a SET email = stale.email
    FROM stale
    WHERE a.id = stale.id AND stale.same = 1
      AND NOT EXISTS (SELECT FROM identity.accounts o WHERE o.role = stale.role AND lower(o.email) = lower(stale.email));
END
$$;
