package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
)

// push tells the server beforehand what it will be asked for, and gives an address that says nothing of it (RFC 9126).
// The proof beside it binds the code to the key as well (RFC 9449 section 10.1).
func (p *party) push(ctx context.Context, known *server, address string) (string, error) {
	asked, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("push the request: %w", err)
	}
	body, err := p.post(ctx, known.meta.Pushed, asked.Query())
	if err != nil {
		return "", err
	}
	var told struct {
		URI string `json:"request_uri"`
	}
	if err := json.Unmarshal(body, &told); err != nil || told.URI == "" {
		return "", errors.New("the answer to the pushed request names no request_uri")
	}
	return known.endpoint.AuthURL + "?" + url.Values{"client_id": {p.id}, "request_uri": {told.URI}}.Encode(), nil
}

// post sends a form, proved by the client's keys where it has some. Who is asked for a nonce asks again with it, once.
func (p *party) post(ctx context.Context, address string, form url.Values) ([]byte, error) {
	body, err := p.postOnce(ctx, address, form)
	if no := (*denied)(nil); p.proof != nil && errors.As(err, &no) && no.Code == "use_dpop_nonce" {
		return p.postOnce(ctx, address, form)
	}
	return body, err
}

func (p *party) postOnce(ctx context.Context, address string, form url.Values) ([]byte, error) {
	form.Set("client_id", p.id)
	if p.key != nil {
		proof, err := p.key.assertion(p.id, p.issuer, p.now())
		if err != nil {
			return nil, err
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", proof)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Accept", "application/json")
	if p.proof != nil {
		proof, err := p.prove(http.MethodPost, address, "")
		if err != nil {
			return nil, err
		}
		request.Header.Set("DPoP", proof)
	}
	response, err := p.http.Do(request) //nolint:gosec // only to the issuer: discover has looked at every endpoint
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	p.nonces.learn(address, response.Header)
	if response.StatusCode == http.StatusOK || response.StatusCode == http.StatusCreated {
		return body, nil
	}
	no := denied{Status: response.StatusCode, Code: "an error without a code"}
	var told struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	if kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); kind == "application/json" && json.Unmarshal(body, &told) == nil && told.Code != "" {
		no.Code, no.Description = told.Code, told.Description
	}
	return nil, &no
}
