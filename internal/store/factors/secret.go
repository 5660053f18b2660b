package factors

import (
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// SecretRow keeps a device secret, on the condition that its session lives, its person and its client stand.
func SecretRow(tenant string, secret iam.DeviceSecret) deeds.Statement {
	return deeds.Must(`INSERT INTO device_secrets (tenant, hash, user_id, session, family, client, client_era, jkt, created, expires)
		SELECT s.tenant, CAST($2 AS TEXT), s.user_id, s.id, CAST($5 AS TEXT), c.id, c.era, CAST($7 AS TEXT), CAST($8 AS BIGINT), CAST($9 AS BIGINT)
		FROM sessions s JOIN users u ON u.tenant = s.tenant AND u.id = s.user_id AND u.era = s.user_era AND NOT u.disabled AND NOT u.removed
		JOIN clients c ON c.tenant = s.tenant AND c.id = $6 AND NOT c.disabled AND NOT c.removed
		WHERE s.tenant = $1 AND s.id = $4 AND s.user_id = $3 AND s.expires > $8`,
		tenant, deeds.Hash(secret.Hash), secret.User, secret.Session, secret.Family, secret.Client, secret.JKT, deeds.Micro(secret.Created), deeds.Micro(secret.Expires))
}

// SecretStands joins a device secret, called k, with its session s, which may have ended, and its client, which stands.
const SecretStands = `device_secrets k JOIN sessions s ON s.tenant = k.tenant AND s.id = k.session AND s.user_id = k.user_id
	JOIN clients c ON c.tenant = k.tenant AND c.id = k.client AND c.era = k.client_era AND NOT c.disabled AND NOT c.removed`

// NativeColumns are what is read of a device secret beside its session.
const NativeColumns = `k.family, k.client, k.jkt, k.created, k.expires`
