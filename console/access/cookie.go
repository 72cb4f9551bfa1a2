package access

import "net/http"

// CookieName is the name of a session's cookie. Its prefix has browsers take it only from
// this very host, by HTTPS and for all paths (RFC 6265bis section 4.1.3.2).
const CookieName = "__Host-landbridge"

// CSRFHeader and CSRFField are where a request of a session carries its CSRF token.
const (
	CSRFHeader = "X-CSRF-Token"
	CSRFField  = "csrf"
)

// HTTPCookie returns the cookie that makes a browser's requests the session's. It ends with
// the browser; the session may end before.
func (s Session) HTTPCookie() *http.Cookie { return newCookie(s.Cookie) }

// EndCookie returns the cookie that has a browser forget its session.
func EndCookie() *http.Cookie {
	c := newCookie("")
	c.MaxAge = -1
	return c
}

func newCookie(value string) *http.Cookie {
	return &http.Cookie{Name: CookieName, Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
}
