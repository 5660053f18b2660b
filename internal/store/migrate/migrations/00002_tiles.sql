-- The tree is kept in tiles, and a journal row no longer says whether it is a leaf: to mark each row cost more than to
-- write it. The notary builds the tree anew from the journal, under a new signing key.
DROP INDEX journal_unlisted;
ALTER TABLE journal DROP COLUMN listed;
DROP TABLE tree_leaves;
DROP TABLE tree_hashes;
DELETE FROM counters WHERE name = 'tree';
DELETE FROM house WHERE name = 'checkpoint';

-- hashes are base64, events their ids with a space between; low and high are the least and greatest of these,
-- empty above the leaves. A row is
-- much larger than a page's share, so it does not live in the key.
CREATE TABLE tree_tiles (
  tenant TEXT NOT NULL, level BIGINT NOT NULL, number BIGINT NOT NULL, low TEXT NOT NULL, high TEXT NOT NULL,
  hashes TEXT NOT NULL, events TEXT NOT NULL,
  PRIMARY KEY (tenant, level, number)
);
CREATE INDEX tree_tiles_by_event ON tree_tiles (tenant, high);
