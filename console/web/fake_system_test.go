package web

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"landbridge/console/api"
)

// people is what the fake knows of users, and what was asked about them.
type people struct {
	careful, trusted bool // whether dangerous acts need a password, and one was given
	totp             bool
	ownCertificate   bool
	acme             *api.AcmeSettings // by which certificates are got
	acmeFails        bool
	waiting          *api.Restore
	update           api.Update
	users            []api.User
	tokens           []api.Token
	created          []api.UserCreate
	changes          []api.UserChange
	made             []api.TokenCreate
}

func somePeople() people {
	return people{
		users: []api.User{
			{Name: "admin", Role: api.RoleAdministrator, Created: start(), PasswordChanged: start(), Sessions: 2, Totp: true, RecoveryCodes: 9},
			{Name: "vera", Role: api.RoleViewer, Created: start(), PasswordChanged: start()},
		},
		tokens: []api.Token{
			{ID: "t1", Name: "prometheus", User: "admin", Role: api.RoleViewer, Created: start(), LastUsed: start().Add(time.Hour)},
			{ID: "t2", Name: "backup script", User: "vera", Role: api.RoleViewer, Created: start(), Expires: time.Now().Add(30 * 24 * time.Hour)},
		},
	}
}

// dangerous refuses until the password was given.
func (f *fake) dangerous() error {
	if f.careful && !f.trusted {
		return errAgain
	}
	return f.err
}

func (f *fake) Reauthenticate(_ context.Context, r api.ReauthenticateRequestObject) (api.ReauthenticateResponseObject, error) {
	if r.Body.Password != "correct horse" && r.Body.Code != "123456" {
		return nil, &fieldError{"password", "is not your password"}
	}
	f.trusted = true
	return api.Reauthenticate200JSONResponse{}, nil
}

// shown is when the password was given.
func (f *fake) shown() time.Time {
	if f.careful && !f.trusted {
		return start()
	}
	return time.Now()
}

func (f *fake) GetSession(context.Context, api.GetSessionRequestObject) (api.GetSessionResponseObject, error) {
	return api.GetSession200JSONResponse{Name: "admin", Role: api.RoleAdministrator, How: api.CredentialSession, Began: start(), Totp: f.totp, Reauthenticated: f.shown()}, f.err
}

func (f *fake) GetConsole(context.Context, api.GetConsoleRequestObject) (api.GetConsoleResponseObject, error) {
	return api.GetConsole200JSONResponse{
		SetUp: true, Listen: []netip.AddrPort{netip.MustParseAddrPort("192.168.7.2:4861")}, Urls: []string{"https://192.168.7.2:4861/"},
		Fingerprint: "AB:" + fmt.Sprintf("%X", "0123456789abcdef0123456789abcde"),
	}, f.err
}

func (f *fake) ListUsers(context.Context, api.ListUsersRequestObject) (api.ListUsersResponseObject, error) {
	return api.ListUsers200JSONResponse{Items: f.users}, f.err
}

func (f *fake) CreateUser(_ context.Context, r api.CreateUserRequestObject) (api.CreateUserResponseObject, error) {
	if err := f.dangerous(); err != nil {
		return nil, err
	}
	if len(r.Body.Password) < 10 {
		return nil, &fieldError{"password", "want at least 10 characters"}
	}
	f.created = append(f.created, *r.Body)
	return api.CreateUser201JSONResponse{Name: r.Body.Name}, nil
}

func (f *fake) ChangeUser(_ context.Context, r api.ChangeUserRequestObject) (api.ChangeUserResponseObject, error) {
	if r.Body.Role == "king" {
		return nil, &fieldError{"role", "want viewer, operator or administrator"}
	}
	f.changes = append(f.changes, *r.Body)
	return api.ChangeUser200JSONResponse{Name: r.User}, f.dangerous()
}

func (f *fake) RemoveUser(_ context.Context, r api.RemoveUserRequestObject) (api.RemoveUserResponseObject, error) {
	if err := f.dangerous(); err != nil {
		return nil, err
	}
	f.users = slices.DeleteFunc(f.users, func(u api.User) bool { return u.Name == r.User })
	return api.RemoveUser204Response{}, nil
}

func (f *fake) ChangePassword(_ context.Context, r api.ChangePasswordRequestObject) (api.ChangePasswordResponseObject, error) {
	if r.Body.Current != "correct horse" {
		return nil, &fieldError{"current", "is not your password"}
	}
	return api.ChangePassword200JSONResponse{Headers: api.ChangePassword200ResponseHeaders{SetCookie: "__Host-landbridge=new"}}, nil
}

func (f *fake) EnrollTOTP(context.Context, api.EnrollTOTPRequestObject) (api.EnrollTOTPResponseObject, error) {
	return api.EnrollTOTP201JSONResponse{Secret: "JBSWY3DPEHPK3PXP", URI: "otpauth://totp/Landbridge%20lisbon:admin?secret=JBSWY3DPEHPK3PXP"}, f.dangerous()
}

func (f *fake) ConfirmTOTP(_ context.Context, r api.ConfirmTOTPRequestObject) (api.ConfirmTOTPResponseObject, error) {
	if r.Body.Code != "123456" {
		return nil, &fieldError{"code", "is not what the app shows now"}
	}
	return api.ConfirmTOTP200JSONResponse{Codes: []string{"abcd-efgh", "ijkl-mnop"}}, nil
}

func (f *fake) RemoveTOTP(context.Context, api.RemoveTOTPRequestObject) (api.RemoveTOTPResponseObject, error) {
	return api.RemoveTOTP204Response{}, f.dangerous()
}

func (f *fake) ListTokens(context.Context, api.ListTokensRequestObject) (api.ListTokensResponseObject, error) {
	return api.ListTokens200JSONResponse{Items: f.tokens}, f.err
}

func (f *fake) CreateToken(_ context.Context, r api.CreateTokenRequestObject) (api.CreateTokenResponseObject, error) {
	if err := f.dangerous(); err != nil {
		return nil, err
	}
	f.made = append(f.made, *r.Body)
	return api.CreateToken201JSONResponse{Secret: "lbt_0123456789", Token: api.Token{ID: "t3", Name: r.Body.Name, Role: r.Body.Role, User: "admin"}}, nil
}

func (f *fake) RevokeToken(_ context.Context, r api.RevokeTokenRequestObject) (api.RevokeTokenResponseObject, error) {
	if err := f.dangerous(); err != nil {
		return nil, err
	}
	f.tokens = slices.DeleteFunc(f.tokens, func(t api.Token) bool { return t.ID == r.Token })
	return api.RevokeToken204Response{}, f.err
}

func (f *fake) ListAudit(_ context.Context, r api.ListAuditRequestObject) (api.ListAuditResponseObject, error) {
	last := int64(150)
	if r.Params.Before > 0 {
		last = r.Params.Before - 1
	}
	l := api.ListAudit200JSONResponse{}
	for id := last; id > max(0, last-100); id-- {
		l.Items = append(l.Items, api.AuditEntry{ID: id, At: start(), User: "admin", How: "session", Remote: "192.168.7.9", Operation: "switchMode", Target: "router", Done: id%7 != 0, Why: "", Count: id % 3})
	}
	if last > 100 {
		l.Next = last - 99
	}
	return l, f.err
}

func (f *fake) GetBackup(context.Context, api.GetBackupRequestObject) (api.GetBackupResponseObject, error) {
	if err := f.dangerous(); err != nil {
		return nil, err
	}
	return backupFile{}, nil
}

// backupFile is an answer that is a file.
type backupFile struct{}

func (backupFile) VisitGetBackupResponse(w http.ResponseWriter) error {
	_, err := io.WriteString(w, "the state")
	return err
}
