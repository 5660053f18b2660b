-- What wrong tries cost, until paid: a key names an account, a source or both, by its hash.
CREATE TABLE tries (
  tenant TEXT NOT NULL, name TEXT NOT NULL, paid BIGINT NOT NULL,
  PRIMARY KEY (tenant, name)
) /* keyed */;
CREATE INDEX tries_by_end ON tries (tenant, paid);

-- Each sign-in on a device gives it another cookie.
ALTER TABLE devices ADD COLUMN turn BIGINT NOT NULL DEFAULT 0;
