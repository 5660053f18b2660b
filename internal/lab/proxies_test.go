package lab_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gardeauth/garde/internal/config"
	"github.com/gardeauth/garde/internal/jose"
	"github.com/gardeauth/garde/internal/lab"
	"github.com/gardeauth/garde/recipe"
)

// Where things stand on loopback: the proxy that is listed, another that is not, and a client.
const (
	listedProxy   = "127.0.0.7"
	unlistedProxy = "127.0.0.8"
	farClient     = "127.0.0.9"
)

// documented gives the first block of docs/proxies.md in a language: what people are told is what is tried.
func documented(t *testing.T, language string) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/proxies.md")
	must(t, err)
	found := regexp.MustCompile("(?s)```" + language + "\n(.*?)```").FindSubmatch(text)
	if found == nil {
		t.Fatalf("docs/proxies.md has no block of %s", language)
	}
	return string(found[1])
}

// freeAt finds an address that nobody listens at.
func freeAt(t *testing.T, host string) string {
	t.Helper()
	free, err := net.Listen("tcp", host+":0")
	must(t, err)
	defer func() { must(t, free.Close()) }()
	return free.Addr().String()
}

// proxies is what the proxies of a test share: a folder, and an authority for their certificates.
type proxies struct {
	t         *testing.T
	dir       string
	authority *lab.Authority
}

func newProxies(t *testing.T) *proxies {
	t.Helper()
	p := &proxies{t, t.TempDir(), lab.NewAuthority(t, "the proxies' authority")}
	pair := p.authority.Client(pkix.Name{CommonName: listedProxy}, func(c *x509.Certificate) {
		c.IPAddresses = []net.IP{net.ParseIP(listedProxy), net.ParseIP(unlistedProxy)}
		c.DNSNames = []string{"secure.example"}
	})
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	must(t, err)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]})
	private := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	p.write("cert.pem", string(certificate))
	p.write("key.pem", string(private))
	p.write("both.pem", string(certificate)+string(private))
	return p
}

func (p *proxies) write(name, text string) string {
	p.t.Helper()
	path := filepath.Join(p.dir, name)
	must(p.t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

// run starts a proxy and waits until it listens at an address.
func (p *proxies) run(at, name string, arguments ...string) {
	p.t.Helper()
	program, err := exec.LookPath(name)
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/" + name); err != nil { // the PATH of a user may lack it
			unable(p.t, err)
		}
	}
	var said strings.Builder
	command := exec.Command(program, arguments...)
	command.Stdout, command.Stderr = &said, &said
	must(p.t, command.Start())
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	p.t.Cleanup(func() {
		_ = command.Process.Kill()
		<-ended
	})
	for begun := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		if knock, err := net.Dial("tcp", at); err == nil {
			_ = knock.Close()
			return
		}
		select {
		case err := <-ended:
			ended <- err
			p.t.Fatalf("%s has ended: %v\n%s", name, err, said.String())
		default:
		}
		if time.Since(begun) > 10*time.Second {
			p.t.Fatalf("%s does not listen", name)
		}
	}
}

// nginx runs the documented server blocks at a host, before a node.
func (p *proxies) nginx(host, front, certified, node string) {
	p.t.Helper()
	blocks := strings.NewReplacer("192.0.2.1:443", front, "192.0.2.1:8443", certified, "10.0.0.20:8080", node,
		"/etc/nginx/login.pem", filepath.Join(p.dir, "cert.pem"), "/etc/nginx/login-key.pem", filepath.Join(p.dir, "key.pem"),
	).Replace(documented(p.t, "nginx"))
	var own strings.Builder
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		own.WriteString(kind + "_temp_path " + filepath.Join(p.dir, kind+host) + ";\n")
	}
	settings := "daemon off;\nmaster_process off;\npid " + filepath.Join(p.dir, host+".pid") + ";\nerror_log stderr;\nevents {}\n" +
		"http {\naccess_log off;\nproxy_bind " + host + ";\n" + own.String() + blocks + "}\n"
	p.run(front, "nginx", "-p", p.dir, "-c", p.write(host+".conf", settings))
}

// far is a client at an address of its own, with a certificate or none; it follows no redirect.
func (p *proxies) far(certificate *tls.Certificate) *http.Client {
	settings := &tls.Config{RootCAs: p.authority.Pool(), MinVersion: tls.VersionTLS12}
	if certificate != nil {
		settings.Certificates = []tls.Certificate{*certificate}
	}
	transport := &http.Transport{
		TLSClientConfig: settings,
		DialContext:     (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(farClient)}}).DialContext,
	}
	p.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

const tlsClient = "tls-client" // authenticates by a certificate of its own making

// behindNginx is a Server that believes one nginx, with a second before it that it does not know.
func behindNginx(t *testing.T) (h *lab.House, p *proxies, own tls.Certificate, mtls, unlisted string) {
	t.Helper()
	p = newProxies(t)
	own = lab.SelfSigned(t, pkix.Name{CommonName: tlsClient})
	set, err := jose.NewSet(jose.PublicKey{KeyID: "tls", Alg: jose.ES256, Key: own.Leaf.PublicKey})
	must(t, err)
	keys, err := set.MarshalJSON()
	must(t, err)
	front, certified := freeAt(t, listedProxy), freeAt(t, listedProxy)
	other, otherCertified := freeAt(t, unlistedProxy), freeAt(t, unlistedProxy)
	mtls = "https://" + certified
	h = lab.New(t, lab.Options{
		Front: "https://" + front,
		Settings: func(node *config.Node) {
			node.Proxies = []string{listedProxy + "/32"}
			node.MTLS = config.MTLS{URL: mtls}
			node.Shown = config.Shown{Header: "X-Client-Cert", Format: "pem"}
			node.Seed = filepath.Join(node.Dir, "people.yaml")
		},
		Recipe: func(r *recipe.Recipe) {
			r.Clients[tlsClient] = recipe.Client{Type: recipe.Service, Auth: "self_signed_tls_client_auth", JWKS: "tls.jwks.json", Scopes: []string{"accounts.read"}}
		},
		Files: map[string][]byte{
			"tls.jwks.json": keys,
			"people.yaml":   []byte("users:\n  - {username: paula, name: Paula, email: paula@people.example, email_verified: true, password: a pass phrase of paula}\n"),
		},
	})
	p.nginx(listedProxy, front, certified, h.Address())
	p.nginx(unlistedProxy, other, otherCertified, h.Address())
	return h, p, own, mtls, "https://" + otherCertified
}

// TestBehindNginx: a proxy that ends TLS before the Server, as docs/proxies.md has it.
func TestBehindNginx(t *testing.T) {
	h, p, own, mtls, unlisted := behindNginx(t)
	issuer, err := url.Parse(h.Issuer)
	must(t, err)
	at, err := url.Parse(mtls)
	must(t, err)
	t.Run("S19 sign-in, with the client's own address whatever it says", func(t *testing.T) {
		lies := []string{"X-Forwarded-For", "203.0.113.5", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "http", "Forwarded", "for=203.0.113.6;host=evil.example"}
		v := &visitor{t: t, client: p.far(nil), front: h.Issuer, host: issuer.Host, lies: lies}
		code := v.signIn("paula", "a pass phrase of paula")
		if address := v.addressOf(h, "paula"); address != farClient+"/32" {
			t.Errorf("the session came from %s", address)
		}
		form := lab.Form("grant_type", "authorization_code", "code", code, "redirect_uri", lab.Redirect(lab.WebA), "code_verifier", lab.Verifier)
		granted(t, h.Through(p.far(nil), formTo(h.Issuer+"/token", "", form, h.Prove(lab.WebA, form)...)))
	})
	t.Run("S19 a proxy that is not listed counts for the client", func(t *testing.T) {
		for from, where := range map[string]string{unlistedProxy: unlisted, farClient: "http://" + h.Address()} {
			v := &visitor{t: t, client: p.far(nil), front: where, host: issuer.Host, lies: []string{"X-Forwarded-For", "203.0.113.5"}}
			v.signIn("paula", "a pass phrase of paula")
			if address := v.addressOf(h, "paula"); address != from+"/32" {
				t.Errorf("the session came from %s, want %s", address, from)
			}
		}
	})
	t.Run("D06 a proof names the configured URL", func(t *testing.T) {
		key, form := h.NewKey(), lab.Form("grant_type", "client_credentials", "scope", "accounts.read")
		for place, status := range map[string]int{h.Issuer: 200, "http://" + h.Address(): 400, "https://evil.example": 400} {
			headers := append(h.Prove(lab.Job, form), "DPoP", key.Show("POST", place+"/token", ""), "X-Forwarded-Host", "evil.example")
			if reply := h.Through(p.far(nil), formTo(h.Issuer+"/token", "", form, headers...)); reply.Status != status {
				t.Errorf("%s: %d %s", place, reply.Status, reply.Body)
			}
		}
	})
	shown := url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Leaf.Raw})))
	other := lab.SelfSigned(t, pkix.Name{CommonName: tlsClient})
	spoof := []string{"X-Client-Cert", shown}
	for name, c := range map[string]struct {
		certificate *tls.Certificate
		where, host string
		headers     []string
		says        string
	}{
		"its certificate":                              {&own, mtls, at.Host, nil, "ok"},
		"its certificate, and a header beside it":      {&own, mtls, at.Host, []string{"X-Client-Cert", "x"}, "ok"},
		"D19 another certificate":                      {&other, mtls, at.Host, nil, "invalid_client"},
		"D19 another certificate, and its in a header": {&other, mtls, at.Host, spoof, "invalid_client"},
		"D18 its certificate in a header alone":        {nil, mtls, at.Host, spoof, "invalid_client"},
		"D18 with underscores":                         {nil, mtls, at.Host, []string{"X_Client_Cert", shown}, "invalid_client"},
		"D18 twice":                                    {nil, mtls, at.Host, append(spoof, spoof...), "invalid_client"},
		"D18 at the address for everybody":             {nil, h.Issuer, issuer.Host, spoof, "invalid_client"},
		"D18 past the proxy":                           {nil, "http://" + h.Address(), at.Host, spoof, "invalid_client"},
		"D18 its certificate, by an unlisted proxy":    {&own, unlisted, at.Host, nil, "invalid_client"},
	} {
		t.Run(name, func(t *testing.T) {
			form := lab.Form("grant_type", "client_credentials", "scope", "accounts.read", "client_id", tlsClient)
			if reply := h.Through(p.far(c.certificate), formTo(c.where+"/token", c.host, form, c.headers...)); reply.Says() != c.says {
				t.Errorf("%d %s", reply.Status, reply.Body)
			}
		})
	}
}

func formTo(address, host string, form url.Values, headers ...string) *http.Request {
	r := lab.Request(http.MethodPost, address, form.Encode(), append([]string{"Content-Type", lab.FormType}, headers...)...)
	r.Host = host
	return r
}

// visitor signs in without script, by way of a proxy.
type visitor struct {
	t           *testing.T
	client      *http.Client
	front, host string // where it goes, and under which name
	lies        []string
	cookies     map[string]string
}

var (
	hidden  = regexp.MustCompile(`name="(flow|csrf)" value="([^"]+)"`)
	postsTo = regexp.MustCompile(`<form method="post"[^>]* action="([^"]+)"`)
)

func (v *visitor) send(method, path, body string, headers ...string) *http.Response {
	v.t.Helper()
	for name, value := range v.cookies {
		headers = append(headers, "Cookie", name+"="+value)
	}
	r := lab.Request(method, v.front+path, body, append(headers, v.lies...)...)
	r.Header["Cookie"] = []string{strings.Join(r.Header["Cookie"], "; ")}
	r.Host = v.host
	answer, err := v.client.Do(r)
	must(v.t, err)
	for _, cookie := range answer.Cookies() {
		v.cookies[cookie.Name] = cookie.Value
	}
	return answer
}

// signIn goes from the request to the code for WebA.
func (v *visitor) signIn(name, password string) (code string) {
	v.t.Helper()
	v.cookies = map[string]string{}
	query := lab.Ask(lab.WebA)
	query.Set("scope", "openid")
	method, path, body, headers := http.MethodGet, "/authorize?"+query.Encode(), "", []string(nil)
	for range 10 {
		answer := v.send(method, path, body, headers...)
		text, err := io.ReadAll(answer.Body)
		must(v.t, errors.Join(err, answer.Body.Close()))
		page := string(text)
		to, err := answer.Location()
		if err == nil {
			if strings.HasPrefix(to.String(), lab.Redirect(lab.WebA)) {
				return to.Query().Get("code")
			}
			if to.Host != v.host && "https://"+to.Host != v.front && "http://"+to.Host != v.front {
				v.t.Fatalf("sent to %s", to)
			}
			method, path, body, headers = http.MethodGet, to.RequestURI(), "", nil
			continue
		}
		form := url.Values{"username": {name}, "password": {password}}
		if strings.Contains(page, `id="consent-allow"`) {
			form = url.Values{"decision": {"allow"}}
		}
		for _, field := range hidden.FindAllStringSubmatch(page, -1) {
			form.Set(field[1], field[2])
		}
		if action := postsTo.FindStringSubmatch(page); action != nil {
			path = html.UnescapeString(action[1])
		}
		method, body, headers = http.MethodPost, form.Encode(), []string{"Content-Type", lab.FormType}
		if answer.StatusCode != http.StatusOK {
			v.t.Fatalf("%d %s", answer.StatusCode, page)
		}
	}
	v.t.Fatal("the sign-in goes round in circles")
	return ""
}

// addressOf is where the newest session of somebody came from.
func (v *visitor) addressOf(h *lab.House, name string) string {
	v.t.Helper()
	user, err := h.Server.House.UserByName(v.t.Context(), name)
	must(v.t, err)
	sessions, err := h.Store().UserSessions(v.t.Context(), user.ID)
	must(v.t, err)
	newest := sessions[0]
	for _, session := range sessions {
		if session.Created.After(newest.Created) {
			newest = session
		}
	}
	return newest.Address
}

// TestBehindHAProxy: a proxy that ends TLS before the Gate, as docs/proxies.md has it.
func TestBehindHAProxy(t *testing.T) {
	p := newProxies(t)
	front, lax, unlisted := freeAt(t, listedProxy), freeAt(t, listedProxy), freeAt(t, unlistedProxy)
	h := lab.New(t, lab.Options{Gate: true, GateFront: "https://" + front, Proxies: []string{listedProxy + "/32"}, Recipe: func(r *recipe.Recipe) {
		accounts := r.APIs["accounts"]
		accounts.Bound = recipe.BoundOffered
		r.APIs["accounts"] = accounts
	}})
	blocks := documented(t, "haproxy")
	run := func(at, from, blocks string) {
		settings := strings.NewReplacer("192.0.2.1:443", at, "10.0.0.20:8081", h.GateAddress+" source "+from,
			"/etc/haproxy/api.pem", filepath.Join(p.dir, "both.pem")).Replace(blocks)
		p.run(at, "haproxy", "-db", "-f", p.write(at+".cfg", "defaults\n\ttimeout connect 5s\n\ttimeout client 20s\n\ttimeout server 20s\n"+settings))
	}
	run(front, listedProxy, blocks)
	run(unlisted, unlistedProxy, blocks)
	run(lax, listedProxy, strings.Replace(blocks, "http-request set-header X-Forwarded-For %[src]", "option forwardfor", 1))
	name := strings.TrimPrefix(h.GateURL, "https://")
	call := func(at, host, path string, headers ...string) lab.Reply {
		t.Helper()
		r := lab.Request(http.MethodGet, at+path, "", headers...)
		r.Host = host
		return h.Through(p.far(nil), r)
	}
	reached := func() http.Header {
		t.Helper()
		seen := h.Upstream.Seen()
		return seen[len(seen)-1]
	}
	lies := []string{
		"X-Forwarded-For", "203.0.113.5", "X-Forwarded-Host", "evil.example", "X-Forwarded-Proto", "http",
		"Forwarded", "for=203.0.113.6;proto=http", "X-Real-IP", "203.0.113.7",
	}
	t.Run("W16 the API hears the client's own address whatever it says", func(t *testing.T) {
		for _, headers := range [][]string{nil, lies} {
			if reply := call(h.GateURL, name, "/accounts/rates", headers...); reply.Status != 200 {
				t.Fatalf("%d %s", reply.Status, reply.Body)
			}
			seen := reached()
			if strings.Join(seen["X-Forwarded-For"], "|") != farClient || seen.Get("X-Forwarded-Host") != name || seen.Get("X-Forwarded-Proto") != "https" ||
				seen.Get("Forwarded") != "" || seen.Get("X-Real-Ip") != "" {
				t.Errorf("the API heard %v", seen)
			}
		}
	})
	t.Run("W16 a proxy that leaves the client's own word beside its own is refused", func(t *testing.T) {
		if reply := call("https://"+lax, name, "/accounts/rates"); reply.Status != 200 {
			t.Errorf("without one: %d %s", reply.Status, reply.Body)
		}
		before := len(h.Upstream.Seen())
		reply := call("https://"+lax, name, "/accounts/rates", "X-Forwarded-For", "203.0.113.5")
		if reply.Status != 400 || len(h.Upstream.Seen()) != before {
			t.Errorf("%d %s", reply.Status, reply.Body)
		}
	})
	t.Run("an API with https is served by the listed proxy alone", func(t *testing.T) {
		for at, status := range map[string]int{h.GateURL: 200, "https://" + unlisted: 421, "http://" + h.GateAddress: 421} {
			if reply := call(at, "secure.example", "/open", "X-Forwarded-Proto", "https"); reply.Status != status {
				t.Errorf("%s: %d %s", at, reply.Status, reply.Body)
			}
		}
	})
	t.Run("D06 a proof names the configured URL", func(t *testing.T) {
		key, form := h.NewKey(), lab.Form("grant_type", "client_credentials", "scope", "accounts.read")
		access := h.Post("/token", form, append(h.Prove(lab.Job, form), "DPoP", key.Show("POST", h.Issuer+"/token", ""))...).Text("access_token")
		for place, status := range map[string]int{h.GateURL: 200, "http://" + h.GateAddress: 401, "https://evil.example": 401} {
			reply := call(h.GateURL, name, "/accounts/report", "Authorization", "DPoP "+access, "DPoP", key.Show("GET", place+"/accounts/report", access),
				"X-Forwarded-Host", "evil.example")
			if reply.Status != status {
				t.Errorf("%s: %d %s", place, reply.Status, reply.Body)
			}
		}
	})
}
