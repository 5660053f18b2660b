package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"

	"github.com/gardeauth/garde/internal/iam"
)

// PairwisePrefix begins every pairwise subject, so that it can be mistaken for no id of a user or client.
const PairwisePrefix = "p-"

// Subject is the name by which a client knows a person: the id, or for a pairwise client a name that only its sector
// knows and that leads back to nobody (OpenID Connect Core section 8.1). It is the one place that makes it: tokens,
// userinfo, introspection, logout tokens and whoever compares a hint ask here. A pairwise client without a salt gives "",
// which is nobody.
func Subject(salt []byte, client iam.Client, user string) string {
	if user == "" || !client.Pairwise() {
		return user
	}
	if len(salt) == 0 {
		return ""
	}
	sector := "host " + client.Sector
	if client.Sector == "" { // it has no redirect URI that would give one: it is alone in its sector
		sector = "client " + client.ID
	}
	mac := hmac.New(sha256.New, salt)
	mac.Write([]byte(sector + "\x00" + user)) // neither holds a zero byte: no two pairs read the same
	return PairwisePrefix + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
