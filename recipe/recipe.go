// Package recipe is the one file in which a company says how its APIs are secured: levels of assurance, scopes, APIs and
// their operations, clients, sign-in and lifetimes. It holds the types, the strict reader, the JSON Schema, bundles with
// one digest, and the difference between two recipes with a verdict for each change.
//
// It decides nothing at run time: the Server issues by it, the Gate enforces it, the Coach teaches it.
package recipe

import "time"

// Format is the number of the file format that this program writes; it reads Format and Format-1.
const Format = 1

// Recipe is the whole file. Everything in a map is named by its key.
type Recipe struct {
	Garde   int               `yaml:"garde" json:"garde" doc:"format of this file"`
	Company Company           `yaml:"company,omitempty" json:"company,omitzero" doc:"how the company presents itself to people"`
	Levels  []Level           `yaml:"levels" json:"levels" doc:"levels of assurance, weakest first"`
	Scopes  map[string]Scope  `yaml:"scopes,omitempty" json:"scopes,omitempty" doc:"what a client may ask for, in words that people understand"`
	APIs    map[string]API    `yaml:"apis,omitempty" json:"apis,omitempty" doc:"the APIs behind the Gate"`
	Clients map[string]Client `yaml:"clients,omitempty" json:"clients,omitempty" doc:"the applications that may ask for tokens"`
	Issuers map[string]Issuer `yaml:"issuers,omitempty" json:"issuers,omitempty" doc:"other issuers whose assertions are exchanged for tokens (RFC 7523); an assertion about a person must say auth_time, or its token opens no operation for: [user]"`

	Registration map[string]Registration `yaml:"registration,omitempty" json:"registration,omitempty" doc:"policies under which clients register themselves"`

	Raise      []Raise              `yaml:"raise,omitempty" json:"raise,omitempty" doc:"rules for every sign-in and every guarded operation: they can only raise a level or deny"`
	Risk       Risk                 `yaml:"risk,omitempty" json:"risk,omitzero" doc:"how the risk of a moment is counted"`
	Proofs     Proofs               `yaml:"proofs,omitempty" json:"proofs,omitzero" doc:"how DPoP proofs are judged"`
	SignIn     SignIn               `yaml:"signin,omitempty" json:"signin,omitzero" doc:"how people sign in"`
	Lifetimes  Lifetimes            `yaml:"lifetimes,omitempty" json:"lifetimes,omitzero" doc:"how long things live"`
	Exceptions map[string]Exception `yaml:"exceptions,omitempty" json:"exceptions,omitempty" doc:"everything weak that is allowed, with a reason and an end"`
}

// Text is a sentence in several languages: language tag to text. English (en) is required.
type Text map[string]string

// In gives the text in the first of the wanted languages that exists, else in English.
func (t Text) In(tags ...string) string {
	for _, tag := range tags {
		if text, ok := t[tag]; ok {
			return text
		}
	}
	return t["en"]
}

// Words are a Text that may also be written as one plain text, which then stands for every language, as its English form
// does where a language has none.
type Words map[string]string

// In gives the words in the first of the wanted languages that exists, else in English.
func (w Words) In(tags ...string) string { return Text(w).In(tags...) }

// Company is what people see on the pages and in mails.
type Company struct {
	Name   string `yaml:"name,omitempty" json:"name,omitempty" doc:"name on pages and in mails"`
	Logo   string `yaml:"logo,omitempty" json:"logo,omitempty" doc:"file of an SVG or PNG logo, at most 64 KiB"`
	Accent string `yaml:"accent,omitempty" json:"accent,omitempty" doc:"accent colour, #rrggbb"`
	Help   string `yaml:"help,omitempty" json:"help,omitempty" doc:"https address or mailto: of human help"`
}

// Level is one rung of the ladder of assurance.
type Level struct {
	Name string   `yaml:"name" json:"name" doc:"short name used in this file"`
	ACR  string   `yaml:"acr" json:"acr" doc:"value of the acr claim that tokens carry"`
	Any  []string `yaml:"any" json:"any" doc:"sets of factors, each of which reaches the level, e.g. password or password+totp"`
}

// Scope is one thing that a client may ask for.
type Scope struct {
	Say Text `yaml:"say" json:"say" doc:"what the person reads at consent"`
}

// TokenKind says what an API's access tokens are.
type TokenKind string

// The kinds of access token.
const (
	TokenJWT    TokenKind = "jwt"
	TokenOpaque TokenKind = "opaque"
)

// API is one protected API.
type API struct {
	At         string               `yaml:"at" json:"at" doc:"base URL from outside, and the audience of its tokens"`
	Upstream   string               `yaml:"upstream,omitempty" json:"upstream,omitempty" doc:"base URL that the Gate forwards to"`
	Client     string               `yaml:"client,omitempty" json:"client,omitempty" doc:"the client that this API is: it may introspect its own tokens"`
	Token      TokenKind            `yaml:"token,omitempty" json:"token,omitempty" doc:"jwt (default) or opaque"`
	Timeout    Duration             `yaml:"timeout,omitempty" json:"timeout,omitzero" doc:"how long the upstream may take to begin its answer (default 30s)"`
	Body       int64                `yaml:"body,omitempty" json:"body,omitempty" doc:"largest request body in bytes (default 10485760)"`
	Profile    Profile              `yaml:"profile,omitempty" json:"profile,omitempty" doc:"oauth21, fapi2-security or fapi2-message-signing: rules for all who may get its tokens"`
	Bound      Bound                `yaml:"bound,omitempty" json:"bound,omitempty" doc:"tokens are bound to a key of the client: off, offered (default) or required"`
	Details    map[string]Detail    `yaml:"authorization_details,omitempty" json:"authorization_details,omitempty" doc:"types of rich authorization requests (RFC 9396)"`
	JWKS       string               `yaml:"jwks,omitempty" json:"jwks,omitempty" doc:"file with the API's public keys, for encrypted access tokens"`
	Encryption string               `yaml:"access_token_encryption_alg,omitempty" json:"access_token_encryption_alg,omitempty" doc:"how the key of an encrypted access token is wrapped, e.g. ECDH-ES or RSA-OAEP-256"`
	Content    string               `yaml:"access_token_encryption_enc,omitempty" json:"access_token_encryption_enc,omitempty" doc:"how its content is encrypted (default A256GCM)"`
	Operations map[string]Operation `yaml:"operations" json:"operations" doc:"METHOD /path with {parameters}; what is not listed is refused"`
}

// What an API has when its recipe does not say.
const (
	DefaultTimeout Duration = Duration(30 * time.Second)
	DefaultBody    int64    = 10 << 20
)

// Bound says whether access tokens of an API are bound to a key (RFC 9449, RFC 8705).
type Bound string

// The kinds of binding. Offered is the default: a token is bound whenever the client proves a key.
const (
	BoundOff      Bound = "off"
	BoundOffered  Bound = "offered"
	BoundRequired Bound = "required"
)

// Detail is a type of rich authorization request: what may stand in it, and how a person reads it.
type Detail struct {
	Schema string   `yaml:"schema" json:"schema" doc:"file of a JSON Schema (2020-12) that every detail of this type obeys"`
	Say    Text     `yaml:"say" json:"say" doc:"what the person reads; {name} and {name.part} stand for members of the detail, {cents:EUR} for an amount in minor units of that currency"`
	Scopes []string `yaml:"scopes,omitempty" json:"scopes,omitempty" doc:"scopes that a request with this detail must also ask for"`

	Amount   string `yaml:"amount,omitempty" json:"amount,omitempty" doc:"member that is the amount, an integer in minor units, as in transfer.amount"`
	Currency string `yaml:"currency,omitempty" json:"currency,omitempty" doc:"member that is the currency"`
	Payee    string `yaml:"payee,omitempty" json:"payee,omitempty" doc:"member that names who is paid or added"`
}

// Raise is a rule that asks for more than the operation itself, or refuses. It never asks for less. Either Deny, or Level,
// Fresh or both.
type Raise struct {
	When  string   `yaml:"when" json:"when" doc:"CEL over the context, such as risk.new_device || amount > 100000; a rule that can't be told applies"`
	Level string   `yaml:"level,omitempty" json:"level,omitempty" doc:"level that is then needed"`
	Fresh Duration `yaml:"fresh,omitempty" json:"fresh,omitzero" doc:"how long ago that level may have been reached; at least 30s"`
	Deny  Words    `yaml:"deny,omitempty" json:"deny,omitempty" doc:"reason why it is then refused; people read it, each in their language: {en: ..., fr: ...}, or one text for all"`
}

// Risk is how the signals of a moment are counted. Its zero value is the default of each signal.
type Risk struct {
	Points    map[string]int `yaml:"points,omitempty" json:"points,omitempty" doc:"points of a signal, from 0 (off) to 100, where they differ from the default"`
	Addresses string         `yaml:"addresses,omitempty" json:"addresses,omitempty" doc:"file of networks with a bad name, one CIDR a line"`
	Forget    Duration       `yaml:"forget,omitempty" json:"forget,omitzero" doc:"habits that were not seen for so long are forgotten (default 180d)"`
}

// Enrol makes people add factors until they can reach a level.
type Enrol struct {
	Level  string   `yaml:"level" json:"level" doc:"level that they must be able to reach"`
	Groups []string `yaml:"groups,omitempty" json:"groups,omitempty" doc:"whom it is for; empty: everybody"`
	Until  string   `yaml:"until,omitempty" json:"until,omitempty" doc:"last day, YYYY-MM-DD, on which they may put it off"`
}

// Passkeys are the rules for passkeys and security keys (WebAuthn).
type Passkeys struct {
	Attestation string   `yaml:"attestation,omitempty" json:"attestation,omitempty" doc:"off (default), or required: only authenticators whose model is proved"`
	Models      []string `yaml:"models,omitempty" json:"models,omitempty" doc:"AAGUIDs that are admitted; empty: any"`
	Roots       []string `yaml:"roots,omitempty" json:"roots,omitempty" doc:"files with the certificates (PEM) of those who are believed about models; attestation needs them"`
	Synced      string   `yaml:"synced,omitempty" json:"synced,omitempty" doc:"allowed (default), or refused: a passkey that leaves its device is not taken"`
}

// Proofs says how DPoP proofs are judged (RFC 9449 sections 8 and 11.1).
type Proofs struct {
	Nonce  bool `yaml:"nonce,omitempty" json:"nonce,omitempty" doc:"a proof must carry a nonce of ours"`
	Shared bool `yaml:"shared_replay,omitempty" json:"shared_replay,omitempty" doc:"a proof that one node saw is refused by all; without it, by that node"`
}

// Issuer is another issuer whose assertions about its subjects are believed (RFC 7523 section 2.1).
type Issuer struct {
	At       string   `yaml:"at" json:"at" doc:"its name, the iss of its assertions, byte for byte"`
	JWKS     string   `yaml:"jwks,omitempty" json:"jwks,omitempty" doc:"file with its public keys"`
	JWKSURI  string   `yaml:"jwks_uri,omitempty" json:"jwks_uri,omitempty" doc:"address of its public keys"`
	Clients  []string `yaml:"clients" json:"clients" doc:"clients that may show its assertions"`
	Scopes   []string `yaml:"scopes" json:"scopes" doc:"what such a token may hold at most"`
	Subjects string   `yaml:"subjects" json:"subjects" doc:"whom sub names: user (by id), username, or client (the client itself)"`
}

// Registration is a policy under which clients register themselves (RFC 7591).
type Registration struct {
	Open       bool         `yaml:"open,omitempty" json:"open,omitempty" doc:"anyone may register; without it an initial access token or a software statement is needed"`
	Statements []string     `yaml:"software_statements,omitempty" json:"software_statements,omitempty" doc:"files with the public keys of those whose software statements are believed, by iss=FILE"`
	Documents  []string     `yaml:"client_id_hosts,omitempty" json:"client_id_hosts,omitempty" doc:"hosts whose client ID metadata documents are believed; * is any, and then one in 20 of most, at least 5, may be of one owner"`
	Types      []ClientType `yaml:"types,omitempty" json:"types,omitempty" doc:"kinds of application (default web and native)"`
	Scopes     []string     `yaml:"scopes" json:"scopes" doc:"what its clients may ask for"`
	Grants     []string     `yaml:"grants,omitempty" json:"grants,omitempty" doc:"grants its clients may have (default authorization_code, refresh_token)"`
	Details    []string     `yaml:"authorization_details_types,omitempty" json:"authorization_details_types,omitempty" doc:"rich authorization requests its clients may make (RFC 9396)"`
	Profile    Profile      `yaml:"profile,omitempty" json:"profile,omitempty" doc:"rules that all its clients meet: oauth21, fapi2-security, fapi2-message-signing or ipsie-sl1"`
	Most       int          `yaml:"most,omitempty" json:"most,omitempty" doc:"how many clients may stand under it (default 1000)"`
	Unused     Duration     `yaml:"unused,omitempty" json:"unused,omitzero" doc:"a client that nobody used for so long is removed (default 90d)"`
	Trusted    bool         `yaml:"trusted,omitempty" json:"trusted,omitempty" doc:"its clients are not shown as unverified; with open, nobody slows them down either, as tests of conformance need it"`
}

// Caller is a kind of caller that an operation admits.
type Caller string

// The kinds of caller.
const (
	ForUser   Caller = "user"   // a client on behalf of a person
	ForClient Caller = "client" // a client for itself
)

// Operation is one method on one path of an API. Either Open holds a reason, or For and Scope say who may call.
type Operation struct {
	Open  string   `yaml:"open,omitempty" json:"open,omitempty" doc:"reason why anyone may call this without a token"`
	For   []Caller `yaml:"for,omitempty" json:"for,omitempty" doc:"user (a person through a client), client (a client for itself)"`
	Scope string   `yaml:"scope,omitempty" json:"scope,omitempty" doc:"scope that the token must hold"`
	Level string   `yaml:"level,omitempty" json:"level,omitempty" doc:"level of assurance that the person must have reached"`
	Fresh Duration `yaml:"fresh,omitempty" json:"fresh,omitzero" doc:"how long ago the person may have authenticated; at least 30s"`

	Raise   []Raise           `yaml:"raise,omitempty" json:"raise,omitempty" doc:"rules that raise level or freshness, or deny"`
	Details string            `yaml:"details,omitempty" json:"details,omitempty" doc:"type of authorization_details that the token must carry for exactly this request; it serves once"`
	Match   map[string]string `yaml:"match,omitempty" json:"match,omitempty" doc:"with details: member of the detail to value of the request (body.NAME, path.NAME, query.NAME), which must be equal"`
	Send    map[string]string `yaml:"send,omitempty" json:"send,omitempty" doc:"what rules may know of the request: name to value of the request (body.NAME, path.NAME, query.NAME)"`
}

// ClientType is the kind of an application (OAuth 2.1 section 2.1).
type ClientType string

// The kinds of application.
const (
	Web     ClientType = "web"     // a server that can keep a key or a secret
	Native  ClientType = "native"  // an app or a command line: no secret
	Browser ClientType = "browser" // a page with its own script: no secret
	Service ClientType = "service" // a program that acts for itself
)

// Client is one application.
type Client struct {
	Type         ClientType `yaml:"type" json:"type" doc:"web, native, browser or service"`
	Name         Text       `yaml:"name,omitempty" json:"name,omitempty" doc:"what people read; default is the key"`
	Was          string     `yaml:"was,omitempty" json:"was,omitempty" doc:"former key, when renamed"`
	Auth         string     `yaml:"auth,omitempty" json:"auth,omitempty" doc:"none, client_secret_basic, private_key_jwt, tls_client_auth or self_signed_tls_client_auth; by exception client_secret_post or client_secret_jwt"`
	Secrets      []string   `yaml:"secrets,omitempty" json:"secrets,omitempty" doc:"references (env:NAME, file:PATH) to at most two live secrets; without them, garde client secret makes one"`
	JWKS         string     `yaml:"jwks,omitempty" json:"jwks,omitempty" doc:"file with the client's public keys"`
	JWKSURI      string     `yaml:"jwks_uri,omitempty" json:"jwks_uri,omitempty" doc:"address of the client's public keys"`
	Scopes       []string   `yaml:"scopes,omitempty" json:"scopes,omitempty" doc:"what it may ask for"`
	Grants       []string   `yaml:"grants,omitempty" json:"grants,omitempty" doc:"grant types; default by type"`
	RedirectURIs []string   `yaml:"redirect_uris,omitempty" json:"redirect_uris,omitempty" doc:"where codes may go, compared byte for byte"`
	LogoutURIs   []string   `yaml:"post_logout_redirect_uris,omitempty" json:"post_logout_redirect_uris,omitempty" doc:"where people may be sent after signing out"`
	Origins      []string   `yaml:"origins,omitempty" json:"origins,omitempty" doc:"web origins that may call token, userinfo and revocation by script"`
	Consent      Consent    `yaml:"consent,omitempty" json:"consent,omitempty" doc:"ask (default), or implied for the company's own applications"`
	Rotate       bool       `yaml:"rotate,omitempty" json:"rotate,omitempty" doc:"rotate refresh tokens although the client is confidential"`
	IDTokenAlg   string     `yaml:"id_token_signed_response_alg,omitempty" json:"id_token_signed_response_alg,omitempty" doc:"ES256 by default"`
	Profile      Profile    `yaml:"profile,omitempty" json:"profile,omitempty" doc:"oauth21, fapi2-security, fapi2-message-signing or ipsie-sl1: a set of rules to meet as a whole"`
	Apps         string     `yaml:"apps,omitempty" json:"apps,omitempty" doc:"name of the family of native apps that share one sign-in on a device (OpenID Native SSO): those with the scope device_sso get a device secret, and all may exchange it"`
	Complete     bool       `yaml:"verification_uri_complete,omitempty" json:"verification_uri_complete,omitempty" doc:"its devices are given an address with the user code in it, for a QR code (RFC 8628 section 3.3.1); whoever sends such an address to somebody spares them the typing that makes them think (default false)"`
	Metadata     `yaml:",inline"`
}

// Consent says whether the person is asked.
type Consent string

// The kinds of consent.
const (
	ConsentAsk     Consent = "ask"
	ConsentImplied Consent = "implied"
)

// SignIn is how people sign in.
type SignIn struct {
	SignUp       bool     `yaml:"signup,omitempty" json:"signup,omitempty" doc:"people may make their own account, with a verified e-mail address"`
	SignUpHosts  []string `yaml:"signup_hosts,omitempty" json:"signup_hosts,omitempty" doc:"mail domains that may sign up; empty means any"`
	Reset        *bool    `yaml:"reset,omitempty" json:"reset,omitempty" doc:"people may reset their password by mail (default true)"`
	PasswordList string   `yaml:"password_list,omitempty" json:"password_list,omitempty" doc:"file with further passwords to refuse, one a line"`
	Factors      []string `yaml:"factors,omitempty" json:"factors,omitempty" doc:"how people may prove who they are, of which email and approval have to be named; default is password, passkey, security_key, totp and recovery_code"`
	Enrol        []Enrol  `yaml:"enrol,omitempty" json:"enrol,omitempty" doc:"who must add factors"`
	Passkeys     Passkeys `yaml:"passkeys,omitempty" json:"passkeys,omitzero" doc:"rules for passkeys and security keys"`
}

// Lifetimes has a zero value that means the defaults of Lives.
type Lifetimes struct {
	Code        Duration `yaml:"code,omitempty" json:"code,omitzero" doc:"authorization code (default and most 60s)"`
	Access      Duration `yaml:"access,omitempty" json:"access,omitzero" doc:"access token (default 5m, most 1h)"`
	ID          Duration `yaml:"id,omitempty" json:"id,omitzero" doc:"ID token (default 5m, most 1h)"`
	RefreshIdle Duration `yaml:"refresh_idle,omitempty" json:"refresh_idle,omitzero" doc:"refresh token without use (default 7d)"`
	Refresh     Duration `yaml:"refresh,omitempty" json:"refresh,omitzero" doc:"refresh token in all (default 30d)"`
	SessionIdle Duration `yaml:"session_idle,omitempty" json:"session_idle,omitzero" doc:"browser session without use (default 12h)"`
	Session     Duration `yaml:"session,omitempty" json:"session,omitzero" doc:"browser session in all (default 7d)"`
	Journal     Duration `yaml:"journal,omitempty" json:"journal,omitzero" doc:"personal fields of the journal (default 365d)"`
}

// Exception is something weak that one named client, or the clients under one registration policy, may do until a day.
type Exception struct {
	Client string   `yaml:"client,omitempty" json:"client,omitempty" doc:"the client it is for"`
	Policy string   `yaml:"registration,omitempty" json:"registration,omitempty" doc:"or the registration policy whose clients it is for"`
	Allow  []string `yaml:"allow" json:"allow" doc:"names of the exceptions"`
	Why    string   `yaml:"why" json:"why" doc:"reason, for the next reader and the auditor"`
	Until  string   `yaml:"until" json:"until" doc:"last day, YYYY-MM-DD"`
}

// Duration is written as 90s, 5m, 12h or 30d.
type Duration time.Duration

// Std gives the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// Lives are the lifetimes with the defaults filled in.
type Lives struct {
	Code, Access, ID, RefreshIdle, Refresh, SessionIdle, Session, Journal time.Duration
}

const day = 24 * time.Hour

// Lives fills the defaults of l.
func (l Lifetimes) Lives() Lives {
	or := func(d Duration, fallback time.Duration) time.Duration {
		if d > 0 {
			return d.Std()
		}
		return fallback
	}
	return Lives{
		Code: or(l.Code, time.Minute), Access: or(l.Access, 5*time.Minute), ID: or(l.ID, 5*time.Minute),
		RefreshIdle: or(l.RefreshIdle, 7*day), Refresh: or(l.Refresh, 30*day),
		SessionIdle: or(l.SessionIdle, 12*time.Hour), Session: or(l.Session, 7*day), Journal: or(l.Journal, 365*day),
	}
}
