package web

import (
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// Who is the person at the other end of a request.
type Who struct {
	Name string // empty: nobody has logged in
	Role string // viewer, operator or administrator
	CSRF string // what a form must send back, and htmx as X-CSRF-Token
}

// Can reports whether the person may do what needs role.
func (w Who) Can(role string) bool {
	rank := map[string]int{"viewer": 1, "operator": 2, "administrator": 3}
	return rank[w.Role] >= rank[role]
}

// Options are what the pages need.
type Options struct {
	// API is asked with the context of the request that a page answers: it knows from that who
	// asks, and refuses what they may not.
	API api.StrictServerInterface
	Log *slog.Logger
	// Who tells who asks. Without it everybody is an administrator without a name.
	Who func(echo.Context) Who
	// Problem says what an error of the API means to who asked.
	Problem func(error) api.Problem
}

// Pages serves the console's pages. It is safe for concurrent use.
type Pages struct {
	api     api.StrictServerInterface
	log     *slog.Logger
	who     func(echo.Context) Who
	problem func(error) api.Problem
	looks   func() looks
	meter   meter
	deeds   deeds
	now     func() time.Time
}

// looks are what all pages are made of.
type looks struct {
	assets assets
	views  views
}

// New makes the pages. Their looks are loaded when the first is asked for: 4 MB that an appliance
// which nobody looks at doesn't spend. A template that can't be parsed panics then, which any
// test of a page would show.
func New(o Options) *Pages {
	p := &Pages{log: o.Log, who: o.Who, now: time.Now}
	p.api = api.Guarded(o.API, p.watch)
	if p.who == nil {
		p.who = func(echo.Context) Who { return Who{Role: "administrator"} }
	}
	if p.problem = o.Problem; p.problem == nil {
		p.problem = plainProblem
	}
	p.looks = sync.OnceValue(func() looks {
		static := loadAssets()
		return looks{static, parseViews(p.now, static)}
	})
	return p
}

// Register adds the pages' routes.
func (p *Pages) Register(e *echo.Echo) {
	e.GET("/assets/:hash/*", func(c echo.Context) error { return p.looks().assets.serve(c) })
	e.GET("/favicon.ico", func(c echo.Context) error {
		return c.Redirect(http.StatusMovedPermanently, p.looks().assets.path("icon.svg"))
	})
	// Not by a group: one with a middleware answers for every path.
	e.POST("/theme", p.setTheme, p.headers)
	e.GET("/login", p.askLogin, p.headers)
	e.POST("/login", p.login, p.headers)
	e.POST("/logout", p.logout, p.headers)
	e.GET("/setup", p.askSetup, p.headers)
	e.POST("/setup", p.doSetup, p.headers)
	e.GET("/start", p.start, p.headers)
	e.POST("/start/create", p.createGroup, p.headers)
	e.POST("/start/join", p.joinGroup, p.headers)
	e.POST("/start/plan", p.planMode, p.headers)
	e.POST("/start/switch", p.switchMode, p.headers)
	e.POST("/start/confirm", p.confirmMode, p.headers)
	e.POST("/start/rollback", p.rollbackMode, p.headers)
	e.GET("/", p.overview, p.headers)
	p.registerLeases(e)
	e.GET("/api", p.document, p.headers)
	e.GET("/members", p.listMembers, p.headers)
	e.POST("/members/invite", p.invite, p.headers)
	e.POST("/members/invitations/revoke", p.revokeInvitation, p.headers)
	e.POST("/members/requests/approve", p.approveRequest, p.headers)
	e.POST("/members/requests/deny", p.denyRequest, p.headers)
	e.POST("/members/withdraw", p.withdraw, p.headers)
	e.GET("/members/remove", p.askRemoval, p.headers)
	e.POST("/members/remove", p.dangerous(p.remove), p.headers)
	e.GET("/groups", p.listGroups, p.headers)
	e.GET("/groups/settings", p.showSettings, p.headers)
	e.POST("/groups/settings", p.planSettings, p.headers)
	e.POST("/groups/settings/apply", p.setSettings, p.headers)
	e.GET("/groups/leave", p.askLeave, p.headers)
	e.POST("/groups/leave", p.dangerous(p.leave), p.headers)
	e.GET("/network", p.network, p.headers)
	e.POST("/network/plan", p.planMode, p.headers)
	e.POST("/network/switch", p.switchMode, p.headers)
	e.POST("/network/confirm", p.confirmMode, p.headers)
	e.POST("/network/rollback", p.rollbackMode, p.headers)
	e.POST("/network/listen", p.listen, p.headers)
	e.POST("/start/listen", p.listen, p.headers)
	e.GET("/network/segment", p.showSegment, p.headers)
	e.POST("/network/segment", p.planSegment, p.headers)
	e.POST("/network/segment/apply", p.setSegment, p.headers)
	e.POST("/network/hosts", p.registerHost, p.headers)
	e.POST("/network/hosts/forget", p.forgetHost, p.headers)
	e.GET("/diagnostics", p.diagnostics, p.headers)
	e.POST("/diagnostics/reach", p.reach, p.headers)
	e.POST("/diagnostics/dns", p.queryDNS, p.headers)
	e.POST("/diagnostics/capture", p.capture, p.headers)
	e.GET("/diagnostics/support", p.supportBundle, p.headers)
	p.registerDNS(e)
	p.registerSystem(e)
}

// registerSystem adds the routes of the page of the system, and those below it.
func (p *Pages) registerSystem(e *echo.Echo) {
	e.GET("/system", p.system, p.headers)
	e.GET("/system/audit", p.audit, p.headers)
	e.GET("/system/restart", p.askRestart, p.headers)
	e.POST("/system/restart", p.dangerous(p.restart), p.headers)
	e.GET("/system/name", p.askName, p.headers)
	e.POST("/system/name", p.renameAppliance, p.headers)
	e.GET(RestorePath, p.restoreState, p.headers)
	e.POST(RestorePath, p.uploadRestore, p.headers)
	e.POST(RestorePath+"/forget", p.dangerous(p.forgetRestore), p.headers)
	e.POST(RestorePath+"/apply", p.dangerous(p.applyRestore), p.headers)
	e.GET(UpdatePath, p.showUpdates, p.headers)
	e.POST(UpdatePath, p.uploadUpdate, p.headers)
	e.POST(UpdatePath+"/forget", p.dangerous(p.forgetUpdate), p.headers)
	e.POST(UpdatePath+"/apply", p.dangerous(p.applyUpdate), p.headers)
	e.POST(UpdatePath+"/rollback", p.dangerous(p.rollbackUpdate), p.headers)
	e.GET("/system/certificate", p.certificate, p.headers)
	e.POST("/system/certificate", p.setCertificate, p.headers)
	e.POST("/system/certificate/reset", p.dangerous(p.resetCertificate), p.headers)
	e.POST("/system/certificate/renew", p.dangerous(p.renewCertificate), p.headers)
	e.GET(AcmePath, p.showAcme, p.headers)
	e.POST(AcmePath, p.setAcme, p.headers)
	e.POST(AcmePath+"/try", p.tryAcme, p.headers)
	e.POST(AcmePath+"/end", p.dangerous(p.endAcme), p.headers)
	e.POST("/system/backup", p.dangerous(p.backup), p.headers)
	e.POST("/system/password", p.changePassword, p.headers)
	e.POST("/system/totp", p.dangerous(p.enrollTOTP), p.headers)
	e.POST("/system/totp/confirm", p.dangerous(p.confirmTOTP), p.headers)
	e.POST("/system/totp/remove", p.dangerous(p.removeTOTP), p.headers)
	e.POST("/system/users", p.dangerous(p.createUser), p.headers)
	e.GET("/system/users/:name", p.showUser, p.headers)
	e.POST("/system/users/:name", p.dangerous(p.changeUser), p.headers)
	e.POST("/system/users/:name/remove", p.dangerous(p.removeUser), p.headers)
	e.POST("/system/tokens", p.dangerous(p.createToken), p.headers)
	e.GET("/system/tokens/:id", p.askRevocation, p.headers)
	e.POST("/system/tokens/:id", p.dangerous(p.revokeToken), p.headers)
}

// headers says of a page what it depends on; SetHeaders has said the rest.
func (p *Pages) headers(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		c.Response().Header().Add("Vary", "HX-Request, HX-Target, Accept-Encoding")
		if c.Request().Method == http.MethodPost && c.Request().Header.Get(api.CheckHeader) != "" {
			return p.checkForm(c, next)
		}
		return next(c)
	}
}
