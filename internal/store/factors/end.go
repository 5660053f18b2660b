package factors

import (
	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/store/deeds"
)

// EndSessions ends what hangs on the sessions of a person whose id stands in a relation (= or <>) to one: the device secrets
// of it, and what was approved in it and not used yet.
func EndSessions(tenant, user, relation, id string) []deeds.Statement {
	return []deeds.Statement{
		deeds.May(`DELETE FROM device_secrets WHERE tenant = $1 AND user_id = $2 AND session `+relation+` $3`, tenant, user, id),
		deeds.May(`DELETE FROM approvals WHERE tenant = $1 AND user_id = $2 AND session <> '' AND session `+relation+` $3`, tenant, user, id),
	}
}

// EndQuestions ends every question to a person, decided or not.
func EndQuestions(tenant, user string) deeds.Statement {
	return deeds.May(`DELETE FROM approvals WHERE tenant = $1 AND user_id = $2`, tenant, user)
}

// EndSecrets ends the device secrets of a person that a client got; of all clients if it is empty.
func EndSecrets(tenant, user, client string) deeds.Statement {
	return deeds.May(`DELETE FROM device_secrets WHERE tenant = $1 AND user_id = $2 AND ($3 = '' OR client = $3)`, tenant, user, client)
}

// PassOn lets what hangs on a session go on under its next id.
func PassOn(tenant, id, user string, next iam.Session) []deeds.Statement {
	return []deeds.Statement{
		deeds.May(`UPDATE device_secrets SET session = $3 WHERE tenant = $1 AND user_id = $4 AND session = $2`, tenant, id, next.ID, user),
		deeds.May(`UPDATE approvals SET session = $3 WHERE tenant = $1 AND user_id = $4 AND session = $2`, tenant, id, next.ID, user),
	}
}

// Forget forgets all that is kept of a person here.
func Forget(tenant, user string) []deeds.Statement {
	var all []deeds.Statement
	for _, table := range []string{"authenticators", "recovery_codes", "devices", "approvals", "habits", "device_secrets"} {
		all = append(all, deeds.May("DELETE FROM "+table+" WHERE tenant = $1 AND user_id = $2", tenant, user)) // the names are ours
	}
	return all
}
