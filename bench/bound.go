package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gardeauth/garde/internal/binding/prover"
	"github.com/gardeauth/garde/internal/jose"
)

// bound measures what is bound to a key: requests that are pushed, with assertion and proof, and tokens of a certificate.
func (b *bench) bound(ctx context.Context, h *house, server *process) error {
	const pushed, mutual = "PAR + authorize + token, DPoP and private_key_jwt", "mTLS-bound client_credentials"
	if b.wants(pushed) {
		point, err := h.clientPoint()
		if err != nil {
			return err
		}
		flow := &pushes{house: h}
		deed := flow.deed()
		if err := b.ratio(ctx, pushed, 0.3, side{address: h.server, do: deed, process: server, between: flow.refill},
			"pushed", side{do: deed, between: flow.refill}, point); err != nil {
			return err
		}
	}
	return b.ratio(ctx, mutual, 0.5, side{address: h.mutual, tls: h.trust.client, do: mutualCredentials, process: server},
		"sign", side{tls: h.trust.client, do: mutualCredentials}, h.trust.server[:]...)
}

// clientPoint is the public key of the client that pushes, for the bare handler.
func (h *house) clientPoint() (string, error) {
	key, err := jose.ParseJWK(h.client.JWK)
	if err != nil {
		return "", err
	}
	return pointOf(key.Key)
}

// mutualCredentials gets one token that is bound to the connection's certificate.
func mutualCredentials(c *caller, _ int) error {
	got, err := c.post(tokenPath, "grant_type=client_credentials&client_id=mutual&scope=accounts.read")
	return wanted(got, err, 200)
}

// push is what one flow shows. Everything is signed between stretches: what the client does is not measured.
type push struct{ first, second, atPush, atToken string }

// pushes are flows that nobody has begun.
type pushes struct {
	house *house
	keys  []*prover.Key // for DPoP, as many as there are connections
	ready []push
	next  atomic.Int64
}

const mostPushes = 5_000 // a second: far beyond what a machine of two processors can do

// refill makes more flows than the next stretch can use. Proofs live for a minute, so all of them are new.
func (p *pushes) refill(lasting time.Duration) error {
	for len(p.keys) < connections {
		key, err := prover.New(jose.ES256)
		if err != nil {
			return err
		}
		p.keys = append(p.keys, key)
	}
	p.ready = make([]push, int(mostPushes*lasting.Seconds())+connections)
	p.next.Store(0)
	return inParallel(numbers(len(p.ready)), func(place int) (err error) {
		p.ready[place], err = p.sign(p.keys[place%connections])
		return err
	})
}

func (p *pushes) sign(key *prover.Key) (push, error) {
	issuer := "http://" + p.house.server
	var made push
	var errs []error
	for _, assertion := range []*string{&made.first, &made.second} {
		now := time.Now().Unix()
		signed, err := p.house.client.Sign(prover.Members{"typ": "client-authentication+jwt", "jwk": nil}, prover.Members{
			"iss": "aggregator", "sub": "aggregator", "aud": issuer, "jti": rand.Text(), "iat": now, "exp": now + 300,
		})
		*assertion = "&client_assertion_type=" + url.QueryEscape("urn:ietf:params:oauth:client-assertion-type:jwt-bearer") + "&client_assertion=" + signed
		errs = append(errs, err)
	}
	for path, proof := range map[string]*string{"/par": &made.atPush, tokenPath: &made.atToken} {
		signed, err := key.Proof(http.MethodPost, issuer+path, "", nil)
		*proof = "DPoP: " + signed + "\r\n"
		errs = append(errs, err)
	}
	return made, errors.Join(errs...)
}

// deed goes from a session to bound tokens by a request that is pushed.
func (p *pushes) deed() deed {
	asked := "client_id=aggregator&" + url.Values{
		"response_type": {"code"}, "redirect_uri": {redirect}, "scope": {"openid accounts.read"}, "state": {"af0ifjsldkj"},
		"nonce": {"n-0S6_WzA2Mj"}, "code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}.Encode()
	rest := "&client_id=aggregator&grant_type=authorization_code&redirect_uri=" + url.QueryEscape(redirect) + "&code_verifier=" + verifier
	return func(c *caller, number int) error {
		at := p.next.Add(1) - 1
		if at >= int64(len(p.ready)) {
			return errors.New("no flow is left: this machine is faster than was thought")
		}
		shown := &p.ready[at]
		got, err := c.post("/par", asked+shown.first, shown.atPush)
		if err = wanted(got, err, http.StatusCreated); err != nil {
			return err
		}
		name, err := member(got.body, "request_uri")
		if err != nil {
			return err
		}
		got, err = c.get(authorizePath+"client_id=aggregator&request_uri="+url.QueryEscape(name), "Cookie: garde-session="+p.house.sessions[number]+"\r\n")
		if err = wanted(got, err, http.StatusSeeOther); err != nil {
			return err
		}
		code, err := codeIn(got)
		if err != nil {
			return err
		}
		got, err = c.post(tokenPath, "code="+code+rest+shown.second, shown.atToken)
		if err = wanted(got, err, http.StatusOK); err == nil && !bytes.Contains(got.body, []byte(`"token_type":"DPoP"`)) {
			err = fmt.Errorf("the token is bound to no key: %s", got.body)
		}
		return err
	}
}

// pushedHouse is the bare handler of these three requests: it verifies each assertion and proof by its signature alone,
// signs the two tokens, and keeps nothing.
type pushedHouse struct {
	client *ecdsa.PublicKey
	signer *jose.Signer
}

func barePushed(point string) (http.Handler, error) {
	client, err := readPoint(point)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	h := &pushedHouse{client, &jose.Signer{KeyID: rand.Text(), Alg: jose.ES256, Key: key}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /par", h.push)
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil || r.Form.Get("request_uri") == "" { // bare: it has no limits
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Location", redirect+"?code="+rand.Text()+"&state=af0ifjsldkj")
		w.WriteHeader(http.StatusSeeOther)
	})
	mux.HandleFunc("POST /token", h.tokens)
	return mux, nil
}

// proved tells whether assertion and proof are signed.
func (h *pushedHouse) proved(r *http.Request) bool {
	if err := r.ParseForm(); err != nil { // bare: it has no limits
		return false
	}
	proof := r.Header.Get("DPoP")
	head, _, _ := strings.Cut(proof, ".")
	text, err := base64.RawURLEncoding.DecodeString(head)
	var header struct {
		JWK struct{ X, Y string }
	}
	if err != nil || json.Unmarshal(text, &header) != nil {
		return false
	}
	x, errX := base64.RawURLEncoding.DecodeString(header.JWK.X)
	y, errY := base64.RawURLEncoding.DecodeString(header.JWK.Y)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	return errX == nil && errY == nil && err == nil && signedBy(key, proof) && signedBy(h.client, r.PostForm.Get("client_assertion"))
}

func (h *pushedHouse) push(w http.ResponseWriter, r *http.Request) {
	if !h.proved(r) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	body, err := json.Marshal(map[string]any{"request_uri": "urn:ietf:params:oauth:request_uri:" + rand.Text(), "expires_in": 90})
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_, _ = w.Write(body)
}

func (h *pushedHouse) tokens(w http.ResponseWriter, r *http.Request) {
	if !h.proved(r) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	now := time.Now().Unix()
	said := claims{
		Issuer: "http://127.0.0.1:8080", Subject: rand.Text(), Audience: "http://127.0.0.1:8081", ClientID: "aggregator",
		Scope: "openid accounts.read", ID: rand.Text(), IssuedAt: now, Expires: now + 300,
	}
	access, err := h.signer.Sign("at+jwt", said)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	said.Audience = "aggregator"
	identity, err := h.signer.Sign("JWT", said)
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	write(w, map[string]any{"access_token": access, "id_token": identity, "token_type": "DPoP", "expires_in": 300})
}
