// Package inspect reads the access tokens that this server issued, signed or opaque, for the doors that are shown one
// (userinfo, introspection, revocation, signals). It gives facts; what they allow is the door's to say.
package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/gardeauth/garde/internal/iam"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/internal/web"
)

// Inspector reads tokens. New makes one.
type Inspector struct {
	issuer   string
	signed   *verify.Verifier
	opaque   iam.Accesses
	revoked  *verify.Revocations
	fresh    func() bool
	audience func(string) bool
	proofs   Proofs
	now      func() time.Time
	verdicts *otter.Cache[iam.AccessHash, verify.Claims]
}

// Config is what an Inspector needs. All fields but Proofs and Now are required.
type Config struct {
	Issuer      string
	Keys        verify.KeySource
	Audience    func(string) bool // whether an audience is one of ours: this server or one of its APIs
	Opaque      iam.Accesses
	Revocations *verify.Revocations
	Fresh       func() bool      // whether revocations are being followed
	Remember    int              // opaque tokens kept in memory
	Proofs      Proofs           // nil: nobody proves a key, and every bound token is refused
	Now         func() time.Time // nil: time.Now
}

// Proofs finds out what the sender of a request with a token has proved: the key of a DPoP proof for this token, which must
// be there if dpop says so, and the certificate of the connection. Whoever then finds the token good calls spend, which
// refuses a proof that was shown before: else anyone could fill what remembers proofs.
type Proofs interface {
	Present(r *http.Request, token string, dpop bool) (proof verify.Proof, spend func() error, err error)
}

// New makes an inspector, or says what is missing.
func New(c Config) (*Inspector, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	cache, err := verify.NewCache(c.Remember)
	if err != nil {
		return nil, err
	}
	signed, err := verify.New(verify.Config{
		Issuer: c.Issuer, Keys: c.Keys, AudienceIs: c.Audience, Revocations: c.Revocations, Fresh: c.Fresh,
		Cache: cache, Now: c.Now,
	})
	if err != nil {
		return nil, err
	}
	verdicts, err := otter.New(&otter.Options[iam.AccessHash, verify.Claims]{MaximumSize: max(c.Remember, 1024)})
	if err != nil {
		return nil, err
	}
	return &Inspector{
		issuer: c.Issuer, signed: signed, opaque: c.Opaque, revoked: c.Revocations, fresh: c.Fresh, audience: c.Audience,
		proofs: c.Proofs, now: c.Now, verdicts: verdicts,
	}, nil
}

// Token gives what a living token says, whoever shows it: who is asked about a token is not shown one. Its error is
// invalid_token for one that is unknown, foreign, expired or revoked, and unavailable when that can't be known now.
func (i *Inspector) Token(ctx context.Context, token string) (verify.Claims, error) {
	if !opaque(token) {
		return i.signed.Read(ctx, token)
	}
	return i.find(ctx, token)
}

// Presented gives what a living token says whose sender has proved the key that it is bound to, if it is bound to any.
func (i *Inspector) Presented(ctx context.Context, token string, proof verify.Proof) (verify.Claims, error) {
	if !opaque(token) {
		return i.signed.VerifyProven(ctx, token, proof)
	}
	claims, err := i.find(ctx, token)
	if err == nil && !claims.Confirmation.ProvenBy(proof) {
		err = oauth.InvalidToken("the key that the token is bound to was not proved")
	}
	if err != nil {
		return verify.Claims{}, err
	}
	return claims, nil
}

func opaque(token string) bool { return strings.HasPrefix(token, iam.PrefixAccess) }

func (i *Inspector) find(ctx context.Context, token string) (verify.Claims, error) {
	if !iam.WellFormed(iam.PrefixAccess, token) {
		return verify.Claims{}, oauth.InvalidToken("the token is malformed")
	}
	if !i.fresh() {
		return verify.Claims{}, oauth.Unavailable("what was revoked can't be known now")
	}
	hash, now := iam.HashAccess(token), i.now()
	claims, known := i.verdicts.GetIfPresent(hash)
	if !known {
		row, err := i.opaque.Access(ctx, hash, now)
		if errors.Is(err, iam.ErrNotFound) {
			return verify.Claims{}, oauth.InvalidToken("the token is unknown, expired or revoked")
		}
		if err != nil {
			return verify.Claims{}, err
		}
		claims = factsOf(row, i.issuer)
		i.verdicts.Set(hash, claims)
	}
	if !i.audience(claims.Audience[0]) { // the recipe in force no longer has the API
		return verify.Claims{}, oauth.InvalidToken("the token is meant for another audience")
	}
	if now.Unix() >= int64(claims.Expires) {
		return verify.Claims{}, oauth.InvalidToken("the token has expired")
	}
	if err := i.revoked.Dead(claims); err != nil {
		return verify.Claims{}, err
	}
	return claims, nil
}

// factsOf says of an opaque token what a signed one would say of itself.
func factsOf(row iam.Access, issuer string) verify.Claims {
	claims := verify.Claims{
		Issuer: issuer, Subject: row.User, Audience: []string{row.Audience}, ClientID: row.Client, Scope: row.Scope,
		ID: row.ID, IssuedAt: jose.NumericDate(row.Issued.Unix()), Expires: jose.NumericDate(row.Expires.Unix()),
		ACR: row.ACR, AMR: row.AMR, SessionID: row.Session, Grant: row.Grant,
		Confirmation: verify.Confirmed(row.Binding.JKT, row.Binding.X5T),
	}
	if row.Details != "" {
		claims.Details = json.RawMessage(row.Details)
	}
	if row.User == "" {
		claims.Subject = row.Client
		return claims
	}
	claims.AuthTime = jose.NumericDate(row.AuthTime.Unix())
	return claims
}

// Bearer reads the token in the Authorization header, and nowhere else (RFC 6750 section 2.1, RFC 9449 section 7.1), and
// gives what it says. One in the query is none; beside that of the header it is one too many (RFC 6750 section 2). A token
// that is bound to a key needs its proof: of a DPoP key in the scheme DPoP, of a certificate by the connection.
func (i *Inspector) Bearer(r *http.Request) (verify.Claims, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return verify.Claims{}, web.ErrNoCredentials
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	dpop := strings.EqualFold(scheme, "DPoP") && i.proofs != nil
	if len(headers) > 1 || !dpop && !strings.EqualFold(scheme, "Bearer") || token == "" {
		return verify.Claims{}, oauth.InvalidRequest("one Authorization header of the scheme Bearer or DPoP is needed")
	}
	if oauth.TokenInQuery(r.URL.RawQuery) {
		return verify.Claims{}, oauth.InvalidRequest("the token is sent in two ways: it belongs into the Authorization header alone")
	}
	if i.proofs == nil {
		return i.Presented(r.Context(), token, verify.Proof{})
	}
	proof, spend, err := i.proofs.Present(r, token, dpop)
	if err != nil {
		return verify.Claims{}, err
	}
	claims, err := i.Presented(r.Context(), token, proof)
	if err == nil {
		err = spend()
	}
	if err != nil {
		return verify.Claims{}, err
	}
	return claims, nil
}
