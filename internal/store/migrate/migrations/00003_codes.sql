-- The code flow writes fewer pages. Rows of codes and refreshes lie in the order of time, so that those written together
-- lie together: only the small entry of their hash stands anywhere. Whoever ends codes knows their person, and asks for
-- those that are not spent, which are few at any time; whoever ends grants of a session knows its person, too.

DROP INDEX grants_by_session;

ALTER TABLE codes RENAME TO codes_before;
CREATE TABLE codes (
  tenant TEXT NOT NULL, hash TEXT NOT NULL, client TEXT NOT NULL, client_era BIGINT NOT NULL, user_id TEXT NOT NULL,
  user_era BIGINT NOT NULL, session TEXT NOT NULL, redirect_uri TEXT NOT NULL, challenge TEXT NOT NULL,
  grant_id TEXT NOT NULL, body TEXT NOT NULL, grant_created BIGINT NOT NULL,
  grant_expires BIGINT NOT NULL, tries BIGINT NOT NULL DEFAULT 0, spent BIGINT NOT NULL DEFAULT 0,
  created BIGINT NOT NULL, expires BIGINT NOT NULL,
  PRIMARY KEY (tenant, hash)
);
INSERT INTO codes (tenant, hash, client, client_era, user_id, user_era, session, redirect_uri, challenge, grant_id, body,
    grant_created, grant_expires, tries, spent, created, expires)
  SELECT tenant, hash, client, client_era, user_id, user_era, session, redirect_uri, challenge, grant_id, body,
    grant_created, grant_expires, tries, spent, created, expires FROM codes_before ORDER BY created;
DROP TABLE codes_before;
CREATE INDEX codes_by_end ON codes (tenant, expires);
CREATE INDEX codes_unspent ON codes (tenant, user_id) WHERE spent = 0;

ALTER TABLE refreshes RENAME TO refreshes_before;
CREATE TABLE refreshes (
  tenant TEXT NOT NULL, hash TEXT NOT NULL, grant_id TEXT NOT NULL, created BIGINT NOT NULL, idle BIGINT NOT NULL,
  used BIGINT NOT NULL DEFAULT 0, rotated BIGINT NOT NULL DEFAULT 0, successor TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (tenant, hash)
);
INSERT INTO refreshes (tenant, hash, grant_id, created, idle, used, rotated, successor)
  SELECT tenant, hash, grant_id, created, idle, used, rotated, successor FROM refreshes_before ORDER BY created;
DROP TABLE refreshes_before;
CREATE INDEX refreshes_by_grant ON refreshes (tenant, grant_id);
