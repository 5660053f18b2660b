package client

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
func (c *Client) push(ctx context.Context, known *server, address string) (string, error) {
	asked, err := url.Parse(address)
	if err != nil {
		return "", fmt.Errorf("push the request: %w", err)
	}
	body, err := c.post(ctx, known.meta.Pushed, asked.Query())
	if err != nil {
		return "", err
	}
	var told struct {
		URI string `json:"request_uri"`
	}
	if err := json.Unmarshal(body, &told); err != nil || told.URI == "" {
		return "", errors.New("the answer to the pushed request names no request_uri")
	}
	return known.endpoint.AuthURL + "?" + url.Values{"client_id": {c.ID}, "request_uri": {told.URI}}.Encode(), nil
}

// post sends a form, proved by the client's keys where it has some. Who is asked for a nonce asks again with it, once.
func (c *Client) post(ctx context.Context, address string, form url.Values) ([]byte, error) {
	body, err := c.postOnce(ctx, address, form)
	if no := (*Denied)(nil); c.Proof != nil && errors.As(err, &no) && no.Code == "use_dpop_nonce" {
		return c.postOnce(ctx, address, form)
	}
	return body, err
}

func (c *Client) postOnce(ctx context.Context, address string, form url.Values) ([]byte, error) {
	form.Set("client_id", c.ID)
	if c.Key != nil {
		proof, err := c.Key.assertion(c.ID, c.Issuer, c.Now())
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
	if c.Proof != nil {
		proof, err := c.prove(http.MethodPost, address, "")
		if err != nil {
			return nil, err
		}
		request.Header.Set("DPoP", proof)
	}
	response, err := c.HTTP.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("ask the server: %w", err)
	}
	c.nonces.learn(address, response.Header)
	if response.StatusCode == http.StatusOK || response.StatusCode == http.StatusCreated {
		return body, nil
	}
	no := Denied{Status: response.StatusCode, Code: "an error without a code"}
	var told struct {
		Code        string `json:"error"`
		Description string `json:"error_description"`
	}
	if kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); kind == "application/json" && json.Unmarshal(body, &told) == nil && told.Code != "" {
		no.Code, no.Description = told.Code, told.Description
	}
	return nil, &no
}
