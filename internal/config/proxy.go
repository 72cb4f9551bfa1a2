package config

import (
	"cmp"
	"errors"
	"net/netip"
	"net/url"
)

// proxyOf returns the proxy that the environment names, as other programs take it. What names none for
// HTTP is left alone: it may be meant for others.
func proxyOf(env func(string) string) *url.URL {
	u, err := parseProxy(cmp.Or(env("HTTPS_PROXY"), env("https_proxy")))
	if err != nil {
		return nil
	}
	return u
}

func setProxy(c *Config, v string) (err error) {
	if v == "none" {
		c.Proxy = nil
		return nil
	}
	c.Proxy, err = parseProxy(v)
	return err
}

// parseProxy reads a proxy's URL. The error doesn't repeat it: it may hold a password.
func parseProxy(text string) (*url.URL, error) {
	want := errors.New("want none, or http://HOST:PORT or http://USER:PASSWORD@HOST:PORT of an HTTP proxy that allows CONNECT")
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return nil, want
	}
	if _, err := netip.ParseAddrPort("127.0.0.1:" + u.Port()); err != nil || u.Port() == "0" {
		return nil, want
	}
	return u, nil
}
