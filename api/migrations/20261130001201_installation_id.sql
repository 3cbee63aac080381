-- Tells this installation's database from every other: `catalog migrate --expect-installation` rejects another one.
-- Copies and restored backups keep it. One row, so the rewrite takes no time.
ALTER TABLE release.installation ADD COLUMN id uuid NOT NULL DEFAULT gen_random_uuid();
