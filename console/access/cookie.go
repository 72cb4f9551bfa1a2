package access

import "net/http"

// CookieName is what the name of a session's cookie begins with. Its prefix has browsers take it only from
// this very host, by HTTPS and for all paths (RFC 6265bis section 4.1.3.2).
const CookieName = "__Host-landbridge"

// CookieName returns the name of this appliance's session cookies. It is the appliance's own, as cookies know no ports:
// of two that are reached under one host name, by SSH tunnels for instance, neither ends the other's session.
func (s *Service) CookieName() string {
	if s.appliance == "" {
		return CookieName
	}
	return CookieName + "-" + s.appliance
}

// CSRFHeader and CSRFField are where a request of a session carries its CSRF token.
const (
	CSRFHeader = "X-CSRF-Token"
	CSRFField  = "csrf"
)

// SessionCookie returns the cookie that makes a browser's requests the session's. It ends with
// the browser; the session may end before.
func (s *Service) SessionCookie(of Session) *http.Cookie { return s.newCookie(of.Cookie) }

// EndCookie returns the cookie that has a browser forget its session.
func (s *Service) EndCookie() *http.Cookie {
	c := s.newCookie("")
	c.MaxAge = -1
	return c
}

func (s *Service) newCookie(value string) *http.Cookie {
	return &http.Cookie{Name: s.CookieName(), Value: value, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode}
}
