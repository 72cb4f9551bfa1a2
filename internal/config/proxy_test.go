package config

import (
	"strings"
	"testing"
)

func TestAProxyIsChecked(t *testing.T) {
	for _, good := range []string{"http://proxy.example:3128", "http://lb:sesame@192.0.2.1:8080/", "http://[2001:db8::1]:3128"} {
		if u, err := parseProxy(good); err != nil || u.Host == "" {
			t.Errorf("%s: %v", good, err)
		}
	}
	for _, bad := range []string{
		"", "proxy.example:3128", "proxy.example", "http://proxy.example", "http://:3128", "http://proxy.example:0", "http://proxy.example:99999",
		"https://proxy.example:3128", "socks5://sesame@proxy.example:1080", "http://lb:sesame@proxy.example:3128/x", "http://proxy.example:3128?x", "http://lb:sesame@proxy.example:3128\r\nX: y",
	} {
		if _, err := parseProxy(bad); err == nil || strings.Contains(err.Error(), "sesame") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestTheEnvironmentsProxyIsTaken(t *testing.T) {
	for value, want := range map[string]string{"http://proxy.example:3128": "proxy.example:3128", "socks5://proxy.example:1080": "", "": ""} {
		got := ""
		if u := proxyOf(func(name string) string { return map[string]string{"https_proxy": value}[name] }); u != nil {
			got = u.Host
		}
		if got != want {
			t.Errorf("%q: %q", value, got)
		}
	}
}
