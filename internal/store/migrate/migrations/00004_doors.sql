-- What the further doors of the protocol keep: requests that were pushed, authorizations that wait for a person elsewhere,
-- clients that came by themselves. The sealed secret of a client is empty for all but client_secret_jwt.
ALTER TABLE client_secrets ADD COLUMN sealed TEXT NOT NULL DEFAULT '';

-- begun is 1 where the grant began before the code was redeemed (hybrid flow).
ALTER TABLE codes ADD COLUMN jkt TEXT NOT NULL DEFAULT '';
ALTER TABLE codes ADD COLUMN begun BIGINT NOT NULL DEFAULT 0;

-- binding is empty where there is none.
ALTER TABLE grants ADD COLUMN binding TEXT NOT NULL DEFAULT '';

-- Rows lie in the order of time, as those of codes. arrived is when a person first came with it.
CREATE TABLE pushed (
  tenant TEXT NOT NULL, hash TEXT NOT NULL, client TEXT NOT NULL, client_era BIGINT NOT NULL, query TEXT NOT NULL,
  arrived BIGINT NOT NULL DEFAULT 0, created BIGINT NOT NULL, expires BIGINT NOT NULL,
  PRIMARY KEY (tenant, hash)
);
CREATE INDEX pushed_by_client ON pushed (tenant, client, expires);
CREATE INDEX pushed_by_end ON pushed (tenant, expires);

-- user_id is empty until a person has taken the authorization of a device up. grant_id, body and the columns of the grant
-- are those of the approval, about is what nobody asks the database for, pause is how long to wait between polls.
CREATE TABLE asked (
  tenant TEXT NOT NULL, hash TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, client TEXT NOT NULL, client_era BIGINT NOT NULL,
  user_code TEXT NOT NULL, user_id TEXT NOT NULL, user_era BIGINT NOT NULL, session TEXT NOT NULL DEFAULT '', jkt TEXT NOT NULL,
  about TEXT NOT NULL, notify TEXT NOT NULL, state TEXT NOT NULL, grant_id TEXT NOT NULL DEFAULT '', body TEXT NOT NULL DEFAULT '',
  grant_created BIGINT NOT NULL DEFAULT 0, grant_expires BIGINT NOT NULL DEFAULT 0, pause BIGINT NOT NULL,
  polled BIGINT NOT NULL DEFAULT 0, spent BIGINT NOT NULL DEFAULT 0, created BIGINT NOT NULL, expires BIGINT NOT NULL,
  PRIMARY KEY (tenant, hash)
);
CREATE UNIQUE INDEX asked_by_id ON asked (tenant, id);
CREATE UNIQUE INDEX asked_by_code ON asked (tenant, user_code) WHERE state = 'waiting' AND user_code <> '';
CREATE INDEX asked_by_user ON asked (tenant, user_id) WHERE user_id <> '';
CREATE INDEX asked_by_end ON asked (tenant, expires);

-- The part of a client that came by itself which is for its management; keeper is empty for one that a document describes.
CREATE TABLE registrations (
  tenant TEXT NOT NULL, id TEXT NOT NULL, policy TEXT NOT NULL, keeper TEXT NOT NULL, document TEXT NOT NULL,
  created BIGINT NOT NULL, used BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
) /* keyed */;
CREATE INDEX registrations_by_use ON registrations (tenant, policy, used);

CREATE TABLE initials (
  tenant TEXT NOT NULL, id TEXT NOT NULL, hash TEXT NOT NULL, policy TEXT NOT NULL, remaining BIGINT NOT NULL, note TEXT NOT NULL,
  created BIGINT NOT NULL, expires BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
) /* keyed */;
CREATE UNIQUE INDEX initials_by_hash ON initials (tenant, hash);

-- The ids of sessions that are no more; session is the last id of the same session. Who got a grant under such an id can be
-- told of the end without an index on every grant.
CREATE TABLE past_sessions (
  tenant TEXT NOT NULL, id TEXT NOT NULL, user_id TEXT NOT NULL, session TEXT NOT NULL, until BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
) /* keyed */;
CREATE INDEX past_sessions_by_session ON past_sessions (tenant, session);
