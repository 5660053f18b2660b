-- Who a person is, and how sure we are of it. proofs, answered and need are JSON, empty where there is none; device is the
-- known device, empty where there is none. A grant remembers on which device it was given, because it may outlive its
-- session, and a lost device is cut off from all that it was given.
ALTER TABLE sessions ADD COLUMN proofs TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN answered TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN device TEXT NOT NULL DEFAULT '';
ALTER TABLE flows ADD COLUMN proofs TEXT NOT NULL DEFAULT '';
ALTER TABLE flows ADD COLUMN need TEXT NOT NULL DEFAULT '';
ALTER TABLE flows ADD COLUMN state TEXT NOT NULL DEFAULT '';
ALTER TABLE codes ADD COLUMN device TEXT NOT NULL DEFAULT '';
ALTER TABLE asked ADD COLUMN device TEXT NOT NULL DEFAULT '';
ALTER TABLE grants ADD COLUMN device TEXT NOT NULL DEFAULT '';

-- handle is empty for what is no WebAuthn credential.
CREATE TABLE authenticators (
  tenant TEXT NOT NULL, id TEXT NOT NULL, user_id TEXT NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, handle TEXT NOT NULL,
  model TEXT NOT NULL, synced BOOLEAN NOT NULL, sealed TEXT NOT NULL, mark BIGINT NOT NULL, created BIGINT NOT NULL, used BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
) /* keyed */;
CREATE UNIQUE INDEX authenticators_by_handle ON authenticators (tenant, handle) WHERE handle <> '';
CREATE INDEX authenticators_by_user ON authenticators (tenant, user_id);

CREATE TABLE recovery_codes (
  tenant TEXT NOT NULL, user_id TEXT NOT NULL, hash TEXT NOT NULL,
  PRIMARY KEY (tenant, user_id, hash)
) /* keyed */;

-- A device that was forgotten keeps its row until it would have expired: nothing that was under way makes it known again.
CREATE TABLE devices (
  tenant TEXT NOT NULL, user_id TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, agent TEXT NOT NULL, address TEXT NOT NULL,
  created BIGINT NOT NULL, seen BIGINT NOT NULL, expires BIGINT NOT NULL, forgotten BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant, user_id, id)
) /* keyed */;
CREATE INDEX devices_by_end ON devices (tenant, expires);

-- session is the one that decided.
CREATE TABLE approvals (
  tenant TEXT NOT NULL, id TEXT NOT NULL, user_id TEXT NOT NULL, flow TEXT NOT NULL, number TEXT NOT NULL, agent TEXT NOT NULL,
  address TEXT NOT NULL, created BIGINT NOT NULL, expires BIGINT NOT NULL, decided BIGINT NOT NULL DEFAULT 0,
  allowed BOOLEAN NOT NULL DEFAULT FALSE, session TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (tenant, id)
) /* keyed */;
CREATE UNIQUE INDEX approvals_by_flow ON approvals (tenant, flow);
CREATE INDEX approvals_by_user ON approvals (tenant, user_id);
CREATE INDEX approvals_by_end ON approvals (tenant, expires);

CREATE TABLE habits (
  tenant TEXT NOT NULL, user_id TEXT NOT NULL, sealed TEXT NOT NULL, version BIGINT NOT NULL, off BOOLEAN NOT NULL, changed BIGINT NOT NULL,
  PRIMARY KEY (tenant, user_id)
);

CREATE TABLE uses (
  tenant TEXT NOT NULL, hash TEXT NOT NULL, grant_id TEXT NOT NULL, expires BIGINT NOT NULL,
  PRIMARY KEY (tenant, hash)
) /* keyed */;
CREATE INDEX uses_by_end ON uses (tenant, expires);

CREATE TABLE device_secrets (
  tenant TEXT NOT NULL, hash TEXT NOT NULL, user_id TEXT NOT NULL, session TEXT NOT NULL, family TEXT NOT NULL, client TEXT NOT NULL,
  client_era BIGINT NOT NULL, jkt TEXT NOT NULL, created BIGINT NOT NULL, expires BIGINT NOT NULL,
  PRIMARY KEY (tenant, hash)
) /* keyed */;
CREATE INDEX device_secrets_by_user ON device_secrets (tenant, user_id);
CREATE INDEX device_secrets_by_end ON device_secrets (tenant, expires);
