package main

import (
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
