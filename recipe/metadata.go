package recipe

// Metadata is what the registry of OAuth calls client metadata (RFC 7591 section 4.1, OpenID Connect Registration and their
// successors), under the registered names: the same members whether a recipe declares a client or it registers itself.
type Metadata struct {
	Home          string   `yaml:"client_uri,omitempty" json:"client_uri,omitempty" doc:"page about the application"`
	LogoURI       string   `yaml:"logo_uri,omitempty" json:"logo_uri,omitempty" doc:"address of its logo, a PNG, JPEG or GIF of at most 256 KiB: the server fetches it and shows people a picture of its own"`
	PolicyURI     string   `yaml:"policy_uri,omitempty" json:"policy_uri,omitempty" doc:"what it does with personal data"`
	TermsURI      string   `yaml:"tos_uri,omitempty" json:"tos_uri,omitempty" doc:"its terms of use"`
	Contacts      []string `yaml:"contacts,omitempty" json:"contacts,omitempty" doc:"mail addresses of the people who care for it"`
	InitiateLogin string   `yaml:"initiate_login_uri,omitempty" json:"initiate_login_uri,omitempty" doc:"https address where a third party may start a sign-in"`

	ResponseTypes []string `yaml:"response_types,omitempty" json:"response_types,omitempty" doc:"code (default); all others need an exception"`
	MaxAge        *int64   `yaml:"default_max_age,omitempty" json:"default_max_age,omitempty" doc:"seconds since sign-in, where a request names no max_age"`
	AuthTime      bool     `yaml:"require_auth_time,omitempty" json:"require_auth_time,omitempty" doc:"auth_time in every ID token; it is there anyway"`
	ACRs          []string `yaml:"default_acr_values,omitempty" json:"default_acr_values,omitempty" doc:"levels to wish for where a request names none, by acr"`
	SubjectType   string   `yaml:"subject_type,omitempty" json:"subject_type,omitempty" doc:"public (default) or pairwise: another name for the person at each sector"`
	SectorURI     string   `yaml:"sector_identifier_uri,omitempty" json:"sector_identifier_uri,omitempty" doc:"https address of the list of redirect URIs that share one sector"`

	IDTokenEncryption  string `yaml:"id_token_encrypted_response_alg,omitempty" json:"id_token_encrypted_response_alg,omitempty" doc:"how the key of an encrypted ID token is wrapped, e.g. ECDH-ES or RSA-OAEP-256"`
	IDTokenContent     string `yaml:"id_token_encrypted_response_enc,omitempty" json:"id_token_encrypted_response_enc,omitempty" doc:"how its content is encrypted: A256GCM or A128GCM, A128CBC-HS256, A256CBC-HS512"`
	UserInfoAlg        string `yaml:"userinfo_signed_response_alg,omitempty" json:"userinfo_signed_response_alg,omitempty" doc:"userinfo as a signed JWT"`
	UserInfoEncryption string `yaml:"userinfo_encrypted_response_alg,omitempty" json:"userinfo_encrypted_response_alg,omitempty" doc:"as for ID tokens"`
	UserInfoContent    string `yaml:"userinfo_encrypted_response_enc,omitempty" json:"userinfo_encrypted_response_enc,omitempty" doc:"as for ID tokens"`
	IntrospectAlg      string `yaml:"introspection_signed_response_alg,omitempty" json:"introspection_signed_response_alg,omitempty" doc:"signature of JWT introspection answers (RFC 9701)"`
	IntrospectWrap     string `yaml:"introspection_encrypted_response_alg,omitempty" json:"introspection_encrypted_response_alg,omitempty" doc:"as for ID tokens"`
	IntrospectContent  string `yaml:"introspection_encrypted_response_enc,omitempty" json:"introspection_encrypted_response_enc,omitempty" doc:"as for ID tokens"`
	ResponseAlg        string `yaml:"authorization_signed_response_alg,omitempty" json:"authorization_signed_response_alg,omitempty" doc:"signature of JWT authorization answers (JARM)"`
	ResponseEncryption string `yaml:"authorization_encrypted_response_alg,omitempty" json:"authorization_encrypted_response_alg,omitempty" doc:"as for ID tokens"`
	ResponseContent    string `yaml:"authorization_encrypted_response_enc,omitempty" json:"authorization_encrypted_response_enc,omitempty" doc:"as for ID tokens"`

	RequestAlg        string   `yaml:"request_object_signing_alg,omitempty" json:"request_object_signing_alg,omitempty" doc:"the only signature that its request objects may have"`
	RequestEncryption string   `yaml:"request_object_encryption_alg,omitempty" json:"request_object_encryption_alg,omitempty" doc:"the only key wrapping that its request objects may have"`
	RequestContent    string   `yaml:"request_object_encryption_enc,omitempty" json:"request_object_encryption_enc,omitempty" doc:"the only content encryption that its request objects may have"`
	SignedRequest     bool     `yaml:"require_signed_request_object,omitempty" json:"require_signed_request_object,omitempty" doc:"its authorization requests must be signed (RFC 9101)"`
	RequestURIs       []string `yaml:"request_uris,omitempty" json:"request_uris,omitempty" doc:"addresses of request objects; needs the exception request_uri"`
	PAR               bool     `yaml:"require_pushed_authorization_requests,omitempty" json:"require_pushed_authorization_requests,omitempty" doc:"its authorization requests must be pushed (RFC 9126)"`
	Details           []string `yaml:"authorization_details_types,omitempty" json:"authorization_details_types,omitempty" doc:"rich authorization requests that it may make (RFC 9396)"`

	AuthAlg   string `yaml:"token_endpoint_auth_signing_alg,omitempty" json:"token_endpoint_auth_signing_alg,omitempty" doc:"the only signature that its assertions may have"`
	DPoP      bool   `yaml:"dpop_bound_access_tokens,omitempty" json:"dpop_bound_access_tokens,omitempty" doc:"its tokens are always bound to a DPoP key (RFC 9449)"`
	TLSBound  bool   `yaml:"tls_client_certificate_bound_access_tokens,omitempty" json:"tls_client_certificate_bound_access_tokens,omitempty" doc:"its tokens are always bound to its certificate (RFC 8705)"`
	SubjectDN string `yaml:"tls_client_auth_subject_dn,omitempty" json:"tls_client_auth_subject_dn,omitempty" doc:"subject of its certificate, as RFC 4514 writes it"`
	SANDNS    string `yaml:"tls_client_auth_san_dns,omitempty" json:"tls_client_auth_san_dns,omitempty" doc:"host name in its certificate"`
	SANURI    string `yaml:"tls_client_auth_san_uri,omitempty" json:"tls_client_auth_san_uri,omitempty" doc:"URI in its certificate"`
	SANIP     string `yaml:"tls_client_auth_san_ip,omitempty" json:"tls_client_auth_san_ip,omitempty" doc:"IP address in its certificate"`
	SANEmail  string `yaml:"tls_client_auth_san_email,omitempty" json:"tls_client_auth_san_email,omitempty" doc:"mail address in its certificate"`

	BackLogoutURI      string `yaml:"backchannel_logout_uri,omitempty" json:"backchannel_logout_uri,omitempty" doc:"where it hears of sign-outs, server to server"`
	BackLogoutSession  bool   `yaml:"backchannel_logout_session_required,omitempty" json:"backchannel_logout_session_required,omitempty" doc:"logout tokens name the session; they always do"`
	FrontLogoutURI     string `yaml:"frontchannel_logout_uri,omitempty" json:"frontchannel_logout_uri,omitempty" doc:"page of it that is loaded in a frame at sign-out"`
	FrontLogoutSession bool   `yaml:"frontchannel_logout_session_required,omitempty" json:"frontchannel_logout_session_required,omitempty" doc:"iss and sid are added to that address; they always are"`

	CIBADelivery string `yaml:"backchannel_token_delivery_mode,omitempty" json:"backchannel_token_delivery_mode,omitempty" doc:"poll, ping or push (CIBA)"`
	CIBANotify   string `yaml:"backchannel_client_notification_endpoint,omitempty" json:"backchannel_client_notification_endpoint,omitempty" doc:"where ping and push go"`
	CIBAAlg      string `yaml:"backchannel_authentication_request_signing_alg,omitempty" json:"backchannel_authentication_request_signing_alg,omitempty" doc:"the only signature that its backchannel requests may have; without one they are not signed"`
}

// Pairwise tells whether people bear another name at each sector (OpenID Connect Core section 8.1).
func (m Metadata) Pairwise() bool { return m.SubjectType == "pairwise" }
