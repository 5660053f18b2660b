package proxy

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gardeauth/garde/internal/binding"
	"github.com/gardeauth/garde/internal/gateway/route"
	"github.com/gardeauth/garde/internal/gateway/shield"
	"github.com/gardeauth/garde/internal/oauth"
	"github.com/gardeauth/garde/internal/verify"
	"github.com/gardeauth/garde/internal/web"
	"github.com/gardeauth/garde/recipe"
)

// door is one API, ready for requests.
type door struct {
	api      *route.API
	tokens   Tokens
	proxy    *httputil.ReverseProxy
	face     web.Face
	base     string // path of the upstream, as it is sent
	host     string // of the API, as its clients know it
	place    string // the API's base URL, as its clients know it
	metadata []byte
}

// door prepares an API: everything that can fail fails here, before anything is swapped.
func (g *Gate) door(api *route.API) (*door, error) {
	at, err := url.Parse(api.Audience)
	if err != nil {
		return nil, fmt.Errorf("apis.%s.at: %w", api.Name, err)
	}
	d := &door{api: api, base: api.Upstream.EscapedPath(), host: at.Host,
		place: at.Scheme + "://" + at.Host + strings.TrimSuffix(at.EscapedPath(), "/")}
	if d.tokens, err = g.tokens(api); err != nil {
		return nil, fmt.Errorf("apis.%s: %w", api.Name, err)
	}
	if d.metadata, err = json.Marshal(g.describe(api)); err != nil {
		return nil, err
	}
	told := refusals{metadata: func(*http.Request) string { return api.Metadata }}
	if api.Bound != recipe.BoundOff {
		told.dpop, told.bound = binding.Challenge(), g.onlyDPoP(api)
	}
	d.face = web.Face{As: told, Log: g.config.Log}
	d.proxy = &httputil.ReverseProxy{
		Rewrite:        d.rewrite,
		Transport:      g.transport(api.Timeout),
		BufferPool:     &g.buffers,
		ModifyResponse: modify,
		ErrorHandler:   d.failed,
		ErrorLog:       quiet,
	}
	return d, nil
}

func (g *Gate) tokens(api *route.API) (Tokens, error) {
	if api.Opaque {
		if g.config.Introspect == nil {
			return nil, errors.New("its tokens are opaque, and the Gate has no credentials to introspect them")
		}
		return &opaque{config: &g.config, verdicts: g.verdicts, audience: api.Audience}, nil
	}
	openers, err := g.openers(api)
	if err != nil {
		return nil, err
	}
	return verify.New(verify.Config{
		Issuer: g.config.Issuer, Keys: g.config.Keys, Audiences: []string{api.Audience}, Openers: openers,
		Revocations: g.config.Revocations, Fresh: g.config.Fresh, Cache: g.cache, Steps: g.config.TokenSteps, Now: g.config.Now,
	})
}

// openers are the keys of an API whose tokens are encrypted. A Gate that has none that fits would refuse every token: it says so
// before anything is swapped.
func (g *Gate) openers(api *route.API) (verify.Openers, error) {
	if !api.Sealed {
		return verify.Openers{}, nil
	}
	if g.config.Openers == nil {
		return verify.Openers{}, errors.New("its tokens are encrypted, and this Gate has no keys")
	}
	openers, err := g.config.Openers(api.Name)
	if err == nil && openers.Len() == 0 {
		err = errors.New("there are no private keys")
	}
	if err != nil {
		return verify.Openers{}, fmt.Errorf("its tokens are encrypted: %w", err)
	}
	return openers, nil
}

// transport gives the connections to upstreams, shared by all APIs that wait equally long. The default transport keeps two
// idle connections per host, which costs more than half of the throughput.
func (g *Gate) transport(timeout time.Duration) *http.Transport {
	if known := g.transports[timeout]; known != nil {
		return known
	}
	dialer := &net.Dialer{Timeout: min(timeout, dialTime), KeepAlive: 30 * time.Second}
	made := &http.Transport{
		Proxy:                  nil, // nothing of the environment decides where tokens' facts go
		DialContext:            dialer.DialContext,
		TLSClientConfig:        g.config.Upstream,
		TLSHandshakeTimeout:    dialTime,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           0,
		MaxIdleConnsPerHost:    idleConns,
		IdleConnTimeout:        90 * time.Second,
		ResponseHeaderTimeout:  timeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // bodies pass as they are
		WriteBufferSize:        8 << 10,
		ReadBufferSize:         8 << 10,
	}
	if g.config.Upstream != nil {
		made.TLSClientConfig = g.config.Upstream.Clone()
	}
	g.transports[timeout] = made
	return made
}

const (
	dialTime  = 5 * time.Second
	idleConns = 512
)

// forward sends the call upstream and its answer back.
func (d *door) forward(w http.ResponseWriter, call *Call) {
	r := call.prepared()
	if (call.asks == nil || call.asks.body == nil) && r.Body != nil && r.Body != http.NoBody && r.ContentLength != 0 {
		call.body = body{from: r.Body, left: d.api.Body, pace: &call.pace}
		r.Body = &call.body
	}
	if len(r.Header["Upgrade"]) > 0 {
		// An offer that shield has let pass, to be ignored: the copy that goes upstream must not hold it.
		r.Header = r.Header.Clone()
		delete(r.Header, "Upgrade")
	}
	// The upstream's answer brings the trace id back; copying adds, it does not replace.
	w.Header().Del(web.TraceHeader)
	call.back = answer{ResponseWriter: w, pace: &call.pace}
	d.proxy.ServeHTTP(&call.back, r)
}

// The places of the words that go upstream.
const (
	wordPeer = iota
	wordHost
	wordScheme
	wordTrace
	wordSubject
	wordClient
	wordScope
	wordACR
	wordAuthTime
	wordSession
	wordDetails
	words
)

// rewrite makes the request that goes upstream. All that the client could have said in the Gate's name is taken away
// before the Gate speaks, and hop-by-hop headers were removed before: no Connection header reaches what is set here (W15).
func (d *door) rewrite(p *httputil.ProxyRequest) {
	call := callOf(p.In.Context())
	out := p.Out
	shield.Strip(out.Header)
	path := d.base + call.Path
	if path == "" {
		path = "/"
	}
	// Opaque is sent as it is: the bytes that were matched, not what url.URL would make of them.
	*out.URL = url.URL{Scheme: d.api.Upstream.Scheme, Host: d.api.Upstream.Host, Opaque: path, RawQuery: call.Query, ForceQuery: call.Asked}
	out.Host = d.api.Upstream.Host
	out.Trailer = nil // headers that come after every check
	call.speak(out.Header)
}

// speak sets the headers of the Gate. What is not known is absent, never empty.
func (c *Call) speak(header http.Header) {
	scheme := "http"
	if c.API.Secure {
		scheme = "https"
	}
	c.say(header, "X-Forwarded-For", wordPeer, c.Peer.String())
	c.say(header, "X-Forwarded-Host", wordHost, c.door.host)
	c.say(header, "X-Forwarded-Proto", wordScheme, scheme)
	c.say(header, web.TraceHeader, wordTrace, web.Trace(c.In.Context()))
	if c.Operation.Open {
		return
	}
	c.say(header, "Garde-Subject", wordSubject, c.Claims.Subject)
	c.say(header, "Garde-Client", wordClient, c.Claims.ClientID)
	c.say(header, "Garde-Scope", wordScope, c.Claims.Scope.String())
	c.say(header, "Garde-Acr", wordACR, c.Claims.ACR)
	c.say(header, "Garde-Session", wordSession, c.Claims.SessionID)
	c.say(header, "Garde-Authorization-Details", wordDetails, string(c.Claims.Details))
	if c.Claims.AuthTime > 0 {
		c.say(header, "Garde-Auth-Time", wordAuthTime, strconv.FormatInt(int64(c.Claims.AuthTime), 10))
	}
}

// say sets one header. The names are canonical already, and the values share one array: that saves an allocation each.
func (c *Call) say(header http.Header, name string, at int, value string) {
	if value == "" {
		return
	}
	c.words[at] = value
	header[name] = c.words[at : at+1 : at+1]
}

// modify cleans an answer of an upstream.
func modify(response *http.Response) error {
	call := callOf(response.Request.Context())
	if response.StatusCode == http.StatusSwitchingProtocols {
		return errors.New("the upstream switched protocols unasked")
	}
	shield.Answer(response.Header, call.Operation.Open)
	call.share(response.Header)
	response.Header[web.TraceHeader] = call.words[wordTrace : wordTrace+1 : wordTrace+1]
	return nil
}

// failed answers when no answer of the upstream came.
func (d *door) failed(w http.ResponseWriter, r *http.Request, cause error) {
	call := callOf(r.Context())
	call.release()
	w.Header().Set(web.TraceHeader, web.Trace(r.Context()))
	d.face.Show(w, call.In, call.failure(cause))
}

// StatusClientGone is what the log says of a client that did not wait for its answer.
const StatusClientGone = 499

func (c *Call) failure(cause error) error {
	fault := &oauth.Error{Code: "temporarily_unavailable"}
	var network net.Error
	switch broken := c.body.broken(); {
	case c.body.exceeded():
		fault = tooLarge(c.API.Body)
	// net/http ends the context at a failed read too, so this comes before the client that is gone.
	case broken != nil && errors.As(broken, &network) && network.Timeout():
		fault.Code, fault.Status, fault.Description = "invalid_request", http.StatusRequestTimeout, "the body came too slowly"
	case c.In.Context().Err() != nil:
		fault.Code, fault.Status, fault.Description = "invalid_request", StatusClientGone, "the client is gone"
	case broken != nil:
		fault.Code, fault.Status, fault.Description = "invalid_request", http.StatusBadRequest, "the body could not be read to its end"
	case errors.As(cause, &network) && network.Timeout():
		fault.Status, fault.Description = http.StatusGatewayTimeout, "the API did not answer in time"
	default:
		fault.Status, fault.Description = http.StatusBadGateway, "the API can't be reached, or its answer is broken"
	}
	return fault.Because(cause)
}

// resource is the metadata of a protected resource (RFC 9728 section 2).
type resource struct {
	Resource string   `json:"resource"`
	Servers  []string `json:"authorization_servers"`
	Scopes   []string `json:"scopes_supported,omitempty"`
	Methods  []string `json:"bearer_methods_supported"`
	Name     string   `json:"resource_name,omitempty"`
	Details  []string `json:"authorization_details_types_supported,omitempty"`
	Algs     []string `json:"dpop_signing_alg_values_supported,omitempty"`
	OnlyDPoP bool     `json:"dpop_bound_access_tokens_required,omitempty"`
	TLSBound bool     `json:"tls_client_certificate_bound_access_tokens,omitempty"`
	Told     string   `json:"resource_documentation"` // the Server's page about its operations
}

// describe says of an API what a client must know before it asks for a token.
func (g *Gate) describe(api *route.API) resource {
	about := resource{
		Resource: api.Audience, Servers: []string{g.config.Issuer}, Scopes: api.Scopes, Methods: []string{"header"}, Name: api.Name,
		Details: api.Details, Told: strings.TrimSuffix(g.config.Issuer, "/") + "/apis/" + url.PathEscape(api.Name),
	}
	if api.Bound != recipe.BoundOff {
		about.Algs, about.OnlyDPoP, about.TLSBound = strings.Fields(binding.Challenge()), g.onlyDPoP(api), g.config.CertificatesAsked
	}
	return about
}

// onlyDPoP tells whether a proof is the only way in: where tokens must be bound and nobody can show a certificate.
func (g *Gate) onlyDPoP(api *route.API) bool {
	return api.Bound == recipe.BoundRequired && !g.config.CertificatesAsked
}

// document answers with the API's metadata, which every origin may read.
func (d *door) document(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return web.MethodNotAllowed(http.MethodGet, http.MethodHead)
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "public, max-age=300")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Access-Control-Allow-Origin", "*")
	_, _ = w.Write(d.metadata)
	return nil
}
