package main

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
)

func TestHowACertificateIsGotIsToldInWords(t *testing.T) {
	at := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	settings := api.AcmeSettings{Directory: "https://acme.example.com/directory", Names: []string{"a.example.com", "b.example.com"}, Publish: api.AcmePublishRfc2136, Zone: "example.com", Server: "ns1.example.com:53"}
	for _, c := range []struct {
		a    api.Acme
		want []string
	}{
		{api.Acme{State: api.AcmeStateOff}, []string{"off: landbridge console certificate acme set --help"}},
		{api.Acme{State: api.AcmeStateGood, Settings: settings, Tried: at, Next: at.AddDate(0, 2, 0)}, []string{
			"is renewed by itself", "a.example.com, b.example.com", "updates of example.com at ns1.example.com:53", "Asked next     2030-03-02 03:04:05 UTC",
		}},
		{api.Acme{State: api.AcmeStateFailing, Settings: settings, Failures: 3, Trouble: "it\x1b[31m fails", Remedy: "Mend it."}, []string{"3 in a row", "fails.", "Mend it."}},
		{api.Acme{State: api.AcmeStateWorking, Settings: api.AcmeSettings{Publish: api.AcmePublishAcmeDNS, URL: "https://auth.example.com"}}, []string{"asked for now", "acme-dns at https://auth.example.com"}},
	} {
		var b strings.Builder
		if err := writeAcme(&b, c.a); err != nil {
			t.Fatal(err)
		}
		for _, want := range c.want {
			if !strings.Contains(b.String(), want) || strings.Contains(b.String(), "\x1b") {
				t.Errorf("%s: want %q in\n%s", c.a.State, want, b.String())
			}
		}
	}
}

func TestTheFileOfATSIGKeyMayBeAsTsigKeygenWritesIt(t *testing.T) {
	const block = "key \"console\" {\n\talgorithm hmac-sha256;\n\tsecret \"c2l4dGVlbiBieXRlcyEh\";\n};"
	for name, c := range map[string]struct {
		in, want api.AcmeSettings
		wrong    string
	}{
		"as it is written":     {api.AcmeSettings{Secret: block}, api.AcmeSettings{KeyName: "console", Algorithm: "hmac-sha256", Secret: "c2l4dGVlbiBieXRlcyEh"}, ""},
		"with flags that fit":  {api.AcmeSettings{Secret: block, KeyName: "Console", Algorithm: "hmac-sha256"}, api.AcmeSettings{KeyName: "Console", Algorithm: "hmac-sha256", Secret: "c2l4dGVlbiBieXRlcyEh"}, ""},
		"without quotes":       {api.AcmeSettings{Secret: "key console. {algorithm hmac-sha512; secret AAAA;}"}, api.AcmeSettings{KeyName: "console.", Algorithm: "hmac-sha512", Secret: "AAAA"}, ""},
		"the secret alone":     {api.AcmeSettings{Secret: "keyAAAA=", KeyName: "console"}, api.AcmeSettings{Secret: "keyAAAA=", KeyName: "console"}, ""},
		"none":                 {api.AcmeSettings{KeyName: "console"}, api.AcmeSettings{KeyName: "console"}, ""},
		"another name":         {api.AcmeSettings{Secret: block, KeyName: "else"}, api.AcmeSettings{}, "--key says else"},
		"another algorithm":    {api.AcmeSettings{Secret: block, Algorithm: "hmac-sha512"}, api.AcmeSettings{}, "--algorithm says hmac-sha512"},
		"two keys":             {api.AcmeSettings{Secret: block + "\n" + block}, api.AcmeSettings{}, "want one TSIG key"},
		"without an algorithm": {api.AcmeSettings{Secret: "key a { secret AAAA; };"}, api.AcmeSettings{}, "want one TSIG key"},
	} {
		got := c.in
		if err := readTSIGKey(&got); (err == nil) != (c.wrong == "") || err != nil && !strings.Contains(err.Error(), c.wrong) || err == nil && !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
