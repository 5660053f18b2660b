package journal

// TokenIssued: tokens left the house.
type TokenIssued struct {
	GrantType string   `json:"grant_type"`
	Scope     string   `json:"scope,omitempty"`
	Audience  string   `json:"audience,omitempty"`
	TokenID   string   `json:"token_id,omitempty"`
	Gave      []string `json:"gave,omitempty"` // access_token, id_token, refresh_token, code
}

// Kind is token.issued.
func (TokenIssued) Kind() Kind { return "token.issued" }

// TokenRefused: a known client was refused at a door.
type TokenRefused struct {
	GrantType string `json:"grant_type,omitempty"`
	Door      string `json:"door"`
	Code      string `json:"code"`
	Cause     string `json:"cause"`
}

// Kind is token.refused.
func (TokenRefused) Kind() Kind { return "token.refused" }

// ReplaySeen: a spent code or refresh token came again, by its rightful client; what it gave has ended.
type ReplaySeen struct {
	What string `json:"what"` // code or refresh_token
}

// Kind is replay.seen.
func (ReplaySeen) Kind() Kind { return "replay.seen" }

// Revoked: a token, grant, session, user's everything or client's everything has ended.
type Revoked struct {
	What   string `json:"what"` // token, grant, session, user, client, key
	ID     string `json:"id"`
	Reason string `json:"reason"`
}

// Kind is access.revoked.
func (Revoked) Kind() Kind { return "access.revoked" }

// SignedIn: a person proved who they are.
type SignedIn struct {
	Methods []string `json:"methods"`
	Level   string   `json:"level"`
}

// Kind is user.signed_in.
func (SignedIn) Kind() Kind { return "user.signed_in" }

// SignInFailed: a known account was tried with a wrong proof.
type SignInFailed struct {
	Factor string `json:"factor"`
	Reason string `json:"reason"`
}

// Kind is user.signin_failed.
func (SignInFailed) Kind() Kind { return "user.signin_failed" }

// SignedOut: a session was ended by its person.
type SignedOut struct {
	Everywhere bool `json:"everywhere,omitempty"`
}

// Kind is user.signed_out.
func (SignedOut) Kind() Kind { return "user.signed_out" }

// Consented: a person allowed a client scopes.
type Consented struct {
	Scope string `json:"scope"`
}

// Kind is consent.given.
func (Consented) Kind() Kind { return "consent.given" }

// UserChanged: an account was added, set, disabled, enabled, removed, enrolled or verified.
type UserChanged struct {
	What string `json:"what"`
}

// Kind is user.changed.
func (UserChanged) Kind() Kind { return "user.changed" }

// ClientChanged: a client was added, set, disabled, enabled or removed, or got or lost a secret.
type ClientChanged struct {
	What string `json:"what"`
}

// Kind is client.changed.
func (ClientChanged) Kind() Kind { return "client.changed" }

// KeyChanged: a signing key was made, activated, retired or removed, or the master key changed.
type KeyChanged struct {
	What  string `json:"what"`
	KeyID string `json:"key_id"`
	Alg   string `json:"alg,omitempty"`
}

// Kind is key.changed.
func (KeyChanged) Kind() Kind { return "key.changed" }

// RecipeApplied: a revision of the recipe came into force.
type RecipeApplied struct {
	Revision int64    `json:"revision"`
	Digest   string   `json:"digest"`
	Weaker   []string `json:"weaker,omitempty"` // accepted weakenings, by name
}

// Kind is recipe.applied.
func (RecipeApplied) Kind() Kind { return "recipe.applied" }

// StoreRestored: the storage was restored from a backup.
type StoreRestored struct {
	BackupAt string `json:"backup_at"`
	Epoch    string `json:"epoch"`
}

// Kind is store.restored.
func (StoreRestored) Kind() Kind { return "store.restored" }

// GroupChanged: a flat group was added or removed, or its members changed.
type GroupChanged struct {
	What string `json:"what"`
	Name string `json:"name"`
}

// Kind is group.changed.
func (GroupChanged) Kind() Kind { return "group.changed" }

// LogoutTold: a client has heard, server to server, that a session ended.
type LogoutTold struct {
	Status int64 `json:"status"` // of its answer
}

// Kind is logout.told.
func (LogoutTold) Kind() Kind { return "logout.told" }

// FactorChanged: a person, or an administrator, added, renamed or removed a factor, or made new recovery codes.
type FactorChanged struct {
	What   string `json:"what"` // added, renamed, removed, codes made, code used
	Factor string `json:"factor"`
	ID     string `json:"id,omitempty"` // of the authenticator
}

// Kind is factor.changed.
func (FactorChanged) Kind() Kind { return "factor.changed" }

// DeviceForgotten: a person made a device unknown, which ends all that began on it.
type DeviceForgotten struct {
	Device string `json:"device"`
}

// Kind is device.forgotten.
func (DeviceForgotten) Kind() Kind { return "device.forgotten" }

// Decided: somebody asked for something, and it was decided whether they are sure enough to be who they say. What was known
// at that moment stands in the event's personal field "facts", as JSON, so that it can be decided again under another recipe,
// and what the signs of risk said in "signals", a sentence a line.
type Decided struct {
	Door      string   `json:"door"` // authorize, device, backchannel, operation
	API       string   `json:"api,omitempty"`
	Operation string   `json:"operation,omitempty"`
	Verdict   string   `json:"verdict"`           // permit, step_up, deny
	Level     string   `json:"level,omitempty"`   // that is needed
	Reached   string   `json:"reached,omitempty"` // that was reached
	Fresh     int64    `json:"fresh,omitempty"`   // seconds
	Score     int64    `json:"score,omitempty"`
	Signals   []string `json:"signals,omitempty"`  // names of the risk signals
	Say       []string `json:"say,omitempty"`      // why, but for what the signals said
	Rules     []string `json:"rules,omitempty"`    // places of the recipe's rules that applied
	Revision  int64    `json:"revision,omitempty"` // of the recipe that was in force
	Times     int64    `json:"times,omitempty"`    // how many alike it stands for, itself among them; absent: itself alone
}

// Kind is decision.made.
func (Decided) Kind() Kind { return "decision.made" }
