package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const maxAnswer = 1 << 20

// Discovery asks the issuer for its metadata, and looks whether it is what the issuer must say of itself (RFC 8414
// section 3.3), whether its keys are served, and whether the clocks agree.
func Discovery(name, issuer string, client *http.Client, now func() time.Time) Check {
	return Check{name, func(ctx context.Context, found *Findings) {
		where := issuer + "/.well-known/openid-configuration"
		answer, err := get(ctx, client, where)
		if err != nil {
			found.Bad(err.Error(), "clients find everything by it", "start garde serve; look whether the issuer's name leads here, and at the proxy before it")
			return
		}
		if answer.code != http.StatusOK {
			found.Bad(fmt.Sprintf("%s answers %s", where, answer.status), "clients find everything by it", "look at the log of the node, and at the proxy before it")
			return
		}
		var metadata struct {
			Issuer string `json:"issuer"`
			JWKS   string `json:"jwks_uri"`
		}
		if err := json.Unmarshal(answer.body, &metadata); err != nil {
			found.Bad("the metadata can't be read: "+err.Error(), "clients find everything by it", "something else answers at the issuer")
			return
		}
		if metadata.Issuer != issuer {
			found.Bad(fmt.Sprintf("the metadata says issuer %q, node.yaml says %q", metadata.Issuer, issuer), "clients compare them byte for byte", "write the same issuer in both")
			return
		}
		found.Good("%s says the same of itself", issuer)
		clocks(answer.date, now(), found)
		keySet(ctx, client, metadata.JWKS, found)
	}}
}

// reply is an answer that was read.
type reply struct {
	code         int
	status, date string
	body         []byte
}

func get(ctx context.Context, client *http.Client, address string) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return reply{}, err
	}
	return send(client, request)
}

func send(client *http.Client, request *http.Request) (reply, error) {
	response, err := client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	return reply{response.StatusCode, response.Status, response.Header.Get("Date"), body}, err
}

// clockSkew is what tokens forgive.
const clockSkew = 30 * time.Second

func clocks(date string, now time.Time, found *Findings) {
	theirs, err := http.ParseTime(date)
	if err != nil {
		return
	}
	if apart := now.Sub(theirs).Abs(); apart > clockSkew {
		found.Bad(fmt.Sprintf("this machine's clock and the Server's are %s apart", apart.Round(time.Second)), "tokens live for minutes", "let both follow a time server")
		return
	}
	found.Good("the clocks agree")
}

func keySet(ctx context.Context, client *http.Client, address string, found *Findings) {
	answer, err := get(ctx, client, address)
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	switch {
	case err != nil:
		found.Bad(err.Error(), "nobody can verify a token", "look whether "+address+" leads to the Server")
	case answer.code != http.StatusOK || json.Unmarshal(answer.body, &set) != nil || len(set.Keys) == 0:
		found.Bad(address+" serves no keys", "nobody can verify a token", "garde key list; garde key rotate --now")
	default:
		found.Good("%d keys are served", len(set.Keys))
	}
}

// Reachable looks whether somebody listens at an address.
func Reachable(name, address, why, todo string) Check {
	return Check{name, func(ctx context.Context, found *Findings) {
		conn, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
		if err != nil {
			found.Bad(err.Error(), why, todo)
			return
		}
		_ = conn.Close() // nothing was said
		found.Good("%s answers", address)
	}}
}

// Feed looks whether the Gate's client may follow what the Server revokes: the credentials give a token, and the feed
// opens by it.
func Feed(name, issuer, id string, secret func() (string, error), client *http.Client) Check {
	return Check{name, func(ctx context.Context, found *Findings) {
		value, err := secret()
		if err != nil {
			found.Bad(err.Error(), "the Gate proves itself by it", "write the reference of the secret under gate: in node.yaml")
			return
		}
		token, err := tokenFor(ctx, client, issuer, id, value)
		if err != nil {
			todo := "declare the client " + id + " in the recipe: type service, scope garde.gate, and this secret"
			switch unreached := (*url.Error)(nil); {
			case errors.As(err, &unreached):
				todo = "start garde serve; look whether the issuer's name leads here, and at the proxy before it"
			case errors.Is(err, errUnwell):
				todo = "look at /readyz and at the log of the Server"
			}
			found.Bad(err.Error(), "the Gate answers 503 when it can't follow what was revoked", todo)
			return
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer+"/signals/revocations?after=0", nil)
		if err != nil {
			found.Bad(err.Error(), "", "")
			return
		}
		request.Header.Set("Authorization", "Bearer "+token)
		response, err := client.Do(request)
		if err != nil {
			found.Bad(err.Error(), "the Gate answers 503 when it can't follow what was revoked", "look at the proxy before the Server: it must not buffer")
			return
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			found.Bad("the feed of revocations answers "+response.Status, "the Gate answers 503 when it can't follow", "give the client "+id+" the scope garde.gate")
			return
		}
		found.Good("%s may follow what is revoked", id)
	}}
}

var errUnwell = errors.New("the Server can't answer now")

func tokenFor(ctx context.Context, client *http.Client, issuer, id, secret string) (string, error) {
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"garde.gate"}}
	given, err := post(ctx, client, issuer+"/token", id, secret, form)
	if err != nil {
		return "", err
	}
	var answer struct {
		Token       string `json:"access_token"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	if err := json.Unmarshal(given.body, &answer); err != nil || answer.Token == "" {
		if given.code >= http.StatusInternalServerError {
			return "", fmt.Errorf("%w: %s", errUnwell, given.status)
		}
		return "", fmt.Errorf("the client %s gets no token: %s %s %s", id, given.status, answer.Error, answer.Description)
	}
	return answer.Token, nil
}

func post(ctx context.Context, client *http.Client, address, id, secret string, form url.Values) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return reply{}, err
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	return send(client, request)
}
