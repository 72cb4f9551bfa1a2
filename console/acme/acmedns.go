package acme

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Delegate is a user at an acme-dns server: whom a CNAME at _acme-challenge.NAME lets answer there.
type Delegate struct {
	Server    string `cbor:"1,keyasint,omitempty"` // URL
	User      string `cbor:"2,keyasint,omitempty"`
	Password  string `cbor:"3,keyasint,omitempty"`
	Subdomain string `cbor:"4,keyasint,omitempty"`
	Domain    string `cbor:"5,keyasint,omitempty"` // to which the CNAMEs lead; empty where nobody has said it
}

// Delegate returns the user at acme-dns that the settings name, or else the one that was registered for them.
func (s Settings) Delegate(registered Delegate) Delegate {
	switch {
	case s.Solver != ByAcmeDNS:
		return Delegate{}
	case s.User != "":
		return Delegate{Server: s.Server, User: s.User, Password: s.Secret, Subdomain: s.Subdomain}
	case registered.Server == s.Server:
		return registered
	}
	return Delegate{}
}

// acmeDNS sets records by the HTTP API of acme-dns (github.com/joohoi/acme-dns, README.md):
//
//	POST /register  -> {"username", "password", "fulldomain", "subdomain", "allowfrom"}
//	POST /update    X-Api-User, X-Api-Key, {"subdomain", "txt"} -> {"txt"}
//
// The server keeps the last two values of a subdomain and knows of no clearing.
type acmeDNS struct {
	client *http.Client
	at     Delegate
}

// register makes a user at an acme-dns server.
func register(ctx context.Context, client *http.Client, server string) (Delegate, error) {
	var given struct {
		User      string `json:"username"`
		Password  string `json:"password"`
		Domain    string `json:"fulldomain"`
		Subdomain string `json:"subdomain"`
	}
	if err := (&acmeDNS{client: client, at: Delegate{Server: server}}).post(ctx, "/register", nil, &given); err != nil {
		return Delegate{}, err
	}
	domain := strings.ToLower(strings.TrimSuffix(given.Domain, "."))
	if given.User == "" || given.Password == "" || !isDomain(domain) || !isDomain(given.Subdomain) || max(len(given.User), len(given.Password)) > 256 {
		return Delegate{}, &Error{Text: fmt.Sprintf("The server %s registers nobody as acme-dns does.", server), Remedy: "See that the URL is that of acme-dns' API."}
	}
	return Delegate{Server: server, User: given.User, Password: given.Password, Subdomain: given.Subdomain, Domain: domain}, nil
}

// Set has the subdomain hold the value; to where the record's name leads is the CNAME's affair.
func (a *acmeDNS) Set(ctx context.Context, r Record) error {
	return a.post(ctx, "/update", map[string]string{"subdomain": a.at.Subdomain, "txt": r.Value}, nil)
}

// Clear does nothing: the next two values take its place.
func (a *acmeDNS) Clear(context.Context, Record) error { return nil }

func (a *acmeDNS) post(ctx context.Context, path string, body, into any) error {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.at.Server+path, &content)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if a.at.User != "" {
		req.Header.Set("X-Api-User", a.at.User)
		req.Header.Set("X-Api-Key", a.at.Password)
	}
	res, err := a.client.Do(req)
	if err != nil {
		return explainConnection(fmt.Sprintf("acme-dns at %s", a.at.Server), err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body) // bounded by the transport
	if res.StatusCode/100 == 2 && err == nil {
		if into == nil {
			return nil
		}
		if err = json.Unmarshal(answer, into); err == nil {
			return nil
		}
		return &Error{Text: fmt.Sprintf("The answer of %s is not acme-dns'.", a.at.Server), Remedy: "See that the URL is that of acme-dns' API."}
	}
	e := &Error{Text: fmt.Sprintf("acme-dns at %s doesn't take the record: %s (%s).", a.at.Server, res.Status, short(string(answer), 120)), Remedy: "See in its log why."}
	switch {
	case res.StatusCode == http.StatusUnauthorized || res.StatusCode == http.StatusForbidden:
		e.Remedy = "Give its user, password and subdomain as it gave them when they were registered, and see that it allows this appliance's address."
	case path == "/register":
		e.Text = fmt.Sprintf("acme-dns at %s registers nobody: %s.", a.at.Server, res.Status)
		e.Remedy = "Have its administrator make a user, and give that in the settings."
	}
	return e
}

// hostOf names the server of a URL.
func hostOf(text string) string {
	if u, err := url.Parse(text); err == nil && u.Host != "" {
		return u.Host
	}
	return short(text, 80)
}
