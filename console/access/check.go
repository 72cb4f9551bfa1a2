package access

import (
	"slices"
	"strings"

	"landbridge/console/api"
)

// CheckUser says what would be wrong with a new user.
func CheckUser(req api.UserCreate) error {
	_, wrong := newRole(req.Role)
	return invalid(slices.Concat(checkName("name", req.Name), wrong, checkPassword("password", req.Password, req.Name))...)
}

// CheckPassword says what would be wrong with a user's new password; field is what it is called.
func CheckPassword(field, password, user string) error {
	return invalid(checkPassword(field, password, user)...)
}

// CheckToken says what would be wrong with an API token that id asks for.
func CheckToken(id Identity, req api.TokenCreate) error {
	role, wrong := newRole(req.Role)
	switch {
	case req.User == "" && id.How == BySocket:
		wrong = append(wrong, api.FieldError{Field: "user", Detail: "must be given here: whose the token shall be"})
	case req.User != "" && userKey(req.User) != userKey(id.Name) && id.Role < Administrator:
		return refuse(Forbidden, "only an administrator makes tokens for others: leave user out")
	}
	if printable(req.Name) != req.Name || strings.TrimSpace(req.Name) == "" {
		wrong = append(wrong, api.FieldError{Field: "name", Detail: "must say what the token is for, as backup of site A"})
	}
	if role > id.Role {
		wrong = append(wrong, api.FieldError{Field: "role", Detail: "want your own role at most, " + id.Role.String()})
	}
	return invalid(wrong...)
}
