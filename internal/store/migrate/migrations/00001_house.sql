-- Every key begins with the tenant. Times are microseconds. An era counts how often everything of a user or client was
-- ended: what was given in an earlier era is dead, whoever committed first.

CREATE TABLE house (
  tenant TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
  PRIMARY KEY (tenant, name)
) /* keyed */;

CREATE TABLE counters (
  tenant TEXT NOT NULL, name TEXT NOT NULL, value BIGINT NOT NULL,
  PRIMARY KEY (tenant, name)
) /* keyed */;

CREATE TABLE clients (
  tenant TEXT NOT NULL, id TEXT NOT NULL, source TEXT NOT NULL, body TEXT NOT NULL,
  disabled BOOLEAN NOT NULL DEFAULT FALSE, removed BOOLEAN NOT NULL DEFAULT FALSE,
  era BIGINT NOT NULL DEFAULT 1, changed BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
) /* keyed */;

CREATE TABLE client_secrets (
  tenant TEXT NOT NULL, client TEXT NOT NULL, id TEXT NOT NULL, hash TEXT NOT NULL,
  created BIGINT NOT NULL, expires BIGINT NOT NULL,
  PRIMARY KEY (tenant, client, id)
) /* keyed */;

CREATE TABLE users (
  tenant TEXT NOT NULL, id TEXT NOT NULL, username TEXT NOT NULL, email TEXT NOT NULL, email_key TEXT NOT NULL,
  email_verified BOOLEAN NOT NULL, name TEXT NOT NULL, claims TEXT NOT NULL, admin BOOLEAN NOT NULL,
  disabled BOOLEAN NOT NULL, removed BOOLEAN NOT NULL DEFAULT FALSE, locale TEXT NOT NULL,
  created BIGINT NOT NULL, changed BIGINT NOT NULL, era BIGINT NOT NULL DEFAULT 1,
  PRIMARY KEY (tenant, id)
) /* keyed */;
CREATE UNIQUE INDEX users_by_name ON users (tenant, username) WHERE NOT removed;
CREATE UNIQUE INDEX users_by_email ON users (tenant, email_key) WHERE email_verified AND NOT removed AND email_key <> '';

CREATE TABLE passwords (
  tenant TEXT NOT NULL, user_id TEXT NOT NULL, phc TEXT NOT NULL, changed BIGINT NOT NULL,
  PRIMARY KEY (tenant, user_id)
) /* keyed */;

CREATE TABLE links (
  tenant TEXT NOT NULL, hash TEXT NOT NULL, kind TEXT NOT NULL, user_id TEXT NOT NULL, user_era BIGINT NOT NULL,
  email TEXT NOT NULL, flow TEXT NOT NULL, created BIGINT NOT NULL, expires BIGINT NOT NULL,
  PRIMARY KEY (tenant, hash)
) /* keyed */;
CREATE INDEX links_by_user ON links (tenant, user_id);

CREATE TABLE user_groups (
  tenant TEXT NOT NULL, name TEXT NOT NULL, say TEXT NOT NULL, created BIGINT NOT NULL,
  PRIMARY KEY (tenant, name)
) /* keyed */;

CREATE TABLE members (
  tenant TEXT NOT NULL, user_id TEXT NOT NULL, name TEXT NOT NULL,
  PRIMARY KEY (tenant, user_id, name)
) /* keyed */;
CREATE INDEX members_by_group ON members (tenant, name, user_id);

CREATE TABLE sessions (
  tenant TEXT NOT NULL, id TEXT NOT NULL, hash TEXT NOT NULL, user_id TEXT NOT NULL, user_era BIGINT NOT NULL,
  auth_time BIGINT NOT NULL, amr TEXT NOT NULL, acr TEXT NOT NULL, agent TEXT NOT NULL, address TEXT NOT NULL,
  created BIGINT NOT NULL, seen BIGINT NOT NULL, expires BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
) /* keyed */;
CREATE UNIQUE INDEX sessions_by_hash ON sessions (tenant, hash);
CREATE INDEX sessions_by_user ON sessions (tenant, user_id);

CREATE TABLE flows (
  tenant TEXT NOT NULL, hash TEXT NOT NULL, browser TEXT NOT NULL, client TEXT NOT NULL, query TEXT NOT NULL,
  user_id TEXT NOT NULL, session TEXT NOT NULL, asked TEXT NOT NULL, created BIGINT NOT NULL, expires BIGINT NOT NULL,
  PRIMARY KEY (tenant, hash)
) /* keyed */;
CREATE INDEX flows_by_user ON flows (tenant, user_id) WHERE user_id <> '';
CREATE INDEX flows_by_session ON flows (tenant, session) WHERE session <> '';
CREATE INDEX flows_by_end ON flows (tenant, expires);

CREATE TABLE consents (
  tenant TEXT NOT NULL, user_id TEXT NOT NULL, client TEXT NOT NULL, scope TEXT NOT NULL, given BIGINT NOT NULL,
  PRIMARY KEY (tenant, user_id, client)
) /* keyed */;

CREATE TABLE codes (
  tenant TEXT NOT NULL, hash TEXT NOT NULL, client TEXT NOT NULL, client_era BIGINT NOT NULL, user_id TEXT NOT NULL,
  user_era BIGINT NOT NULL, session TEXT NOT NULL, redirect_uri TEXT NOT NULL, challenge TEXT NOT NULL,
  grant_id TEXT NOT NULL, body TEXT NOT NULL, grant_created BIGINT NOT NULL,
  grant_expires BIGINT NOT NULL, tries BIGINT NOT NULL DEFAULT 0, spent BIGINT NOT NULL DEFAULT 0,
  created BIGINT NOT NULL, expires BIGINT NOT NULL,
  PRIMARY KEY (tenant, hash)
) /* keyed */;
CREATE INDEX codes_by_end ON codes (tenant, expires);
CREATE INDEX codes_by_user ON codes (tenant, user_id);

CREATE TABLE grants (
  tenant TEXT NOT NULL, id TEXT NOT NULL, client TEXT NOT NULL, client_era BIGINT NOT NULL, user_id TEXT NOT NULL,
  user_era BIGINT NOT NULL, session TEXT NOT NULL, body TEXT NOT NULL, created BIGINT NOT NULL, expires BIGINT NOT NULL,
  used BIGINT NOT NULL DEFAULT 0, revoked BIGINT NOT NULL DEFAULT 0,
  PRIMARY KEY (tenant, id)
) /* keyed */;
CREATE INDEX grants_by_user ON grants (tenant, user_id);
CREATE INDEX grants_by_session ON grants (tenant, session) WHERE session <> '';
CREATE INDEX grants_by_end ON grants (tenant, expires);

CREATE TABLE refreshes (
  tenant TEXT NOT NULL, hash TEXT NOT NULL, grant_id TEXT NOT NULL, created BIGINT NOT NULL, idle BIGINT NOT NULL,
  used BIGINT NOT NULL DEFAULT 0, rotated BIGINT NOT NULL DEFAULT 0, successor TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (tenant, hash)
) /* keyed */;
CREATE INDEX refreshes_by_grant ON refreshes (tenant, grant_id);

CREATE TABLE accesses (
  tenant TEXT NOT NULL, hash TEXT NOT NULL, id TEXT NOT NULL, grant_id TEXT NOT NULL, client TEXT NOT NULL,
  client_era BIGINT NOT NULL, body TEXT NOT NULL, expires BIGINT NOT NULL,
  PRIMARY KEY (tenant, hash)
) /* keyed */;
CREATE INDEX accesses_by_end ON accesses (tenant, expires);

CREATE TABLE ended_tokens (
  tenant TEXT NOT NULL, id TEXT NOT NULL, until BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
) /* keyed */;

CREATE TABLE signing_keys (
  tenant TEXT NOT NULL, id TEXT NOT NULL, alg TEXT NOT NULL, public TEXT NOT NULL, sealed TEXT NOT NULL,
  created BIGINT NOT NULL, activates BIGINT NOT NULL, retires BIGINT NOT NULL, removed BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
) /* keyed */;

CREATE TABLE revisions (
  tenant TEXT NOT NULL, number BIGINT NOT NULL, digest TEXT NOT NULL, bundle TEXT NOT NULL, applied BIGINT NOT NULL,
  applied_by TEXT NOT NULL, note TEXT NOT NULL,
  PRIMARY KEY (tenant, number)
) /* keyed */;

CREATE TABLE nodes (
  tenant TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL, revision BIGINT NOT NULL,
  ready BOOLEAN NOT NULL, problem TEXT NOT NULL, seen BIGINT NOT NULL,
  PRIMARY KEY (tenant, id)
) /* keyed */;

CREATE TABLE leases (
  tenant TEXT NOT NULL, name TEXT NOT NULL, holder TEXT NOT NULL, until BIGINT NOT NULL,
  PRIMARY KEY (tenant, name)
) /* keyed */;

CREATE TABLE outbox (
  tenant TEXT NOT NULL, seq BIGINT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL, before BIGINT NOT NULL,
  until BIGINT NOT NULL, made BIGINT NOT NULL,
  PRIMARY KEY (tenant, seq)
) /* keyed */;

CREATE TABLE journal (
  tenant TEXT NOT NULL, id TEXT NOT NULL, made BIGINT NOT NULL, kind TEXT NOT NULL, actor TEXT NOT NULL,
  client TEXT NOT NULL, user_id TEXT NOT NULL, session TEXT NOT NULL, grant_id TEXT NOT NULL, trace TEXT NOT NULL,
  detail TEXT NOT NULL, commitment TEXT NOT NULL, listed BOOLEAN NOT NULL DEFAULT FALSE,
  PRIMARY KEY (tenant, id)
) /* keyed */;
CREATE INDEX journal_unlisted ON journal (tenant, id) WHERE NOT listed;
CREATE INDEX journal_by_user ON journal (tenant, user_id, id) WHERE user_id <> '';
CREATE INDEX journal_by_trace ON journal (tenant, trace) WHERE trace <> '' AND kind <> 'token.issued';

CREATE TABLE journal_personal (
  tenant TEXT NOT NULL, id TEXT NOT NULL, user_id TEXT NOT NULL, made BIGINT NOT NULL, salt TEXT NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (tenant, id)
) /* keyed */;

CREATE TABLE tree_leaves (
  tenant TEXT NOT NULL, place BIGINT NOT NULL, event TEXT NOT NULL, hash TEXT NOT NULL,
  PRIMARY KEY (tenant, place)
) /* keyed */;

CREATE TABLE tree_hashes (
  tenant TEXT NOT NULL, place BIGINT NOT NULL, hash TEXT NOT NULL,
  PRIMARY KEY (tenant, place)
) /* keyed */;

CREATE TABLE once (
  tenant TEXT NOT NULL, kind TEXT NOT NULL, issuer TEXT NOT NULL, id TEXT NOT NULL, until BIGINT NOT NULL,
  PRIMARY KEY (tenant, kind, issuer, id)
) /* keyed */;
CREATE INDEX once_by_end ON once (tenant, until);

CREATE TABLE deliveries (
  tenant TEXT NOT NULL, id TEXT NOT NULL, kind TEXT NOT NULL, sealed TEXT NOT NULL, tries BIGINT NOT NULL,
  due BIGINT NOT NULL, made BIGINT NOT NULL, failed TEXT NOT NULL,
  PRIMARY KEY (tenant, id)
) /* keyed */;
CREATE INDEX deliveries_by_time ON deliveries (tenant, due);
