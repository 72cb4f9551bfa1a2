package appliance

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/internal/group"
	"landbridge/internal/store"
)

func TestEachFieldOfANewGroupIsToldWhatIsWrongWithIt(t *testing.T) {
	for name, c := range map[string]struct {
		req    api.GroupCreate
		fields string
	}{
		"no network":      {api.GroupCreate{Name: "office", Prefix: "10.9"}, "prefix"},
		"name and prefix": {api.GroupCreate{Name: "no good", Prefix: "x"}, "name prefix"},
		"host bits":       {api.GroupCreate{Name: "office", Prefix: "10.9.0.1/16"}, "prefix"},
		"public":          {api.GroupCreate{Name: "office", Prefix: "8.8.0.0/16"}, "prefix"},
		"lease time":      {api.GroupCreate{Name: "office", Prefix: "10.9.0.0/16", LeaseSeconds: 1}, "leaseSeconds"},
		"good":            {api.GroupCreate{Name: "office", Prefix: "10.9.0.0/16"}, ""},
	} {
		_, err := groupParams(c.req)
		var refused *console.Error
		got := make(map[string]bool)
		if errors.As(err, &refused) {
			for _, f := range refused.Fields() {
				got[f.Field] = true
			}
		}
		for _, want := range strings.Fields(c.fields) {
			if !got[want] {
				t.Errorf("%s: %v, of the fields %v, want %s", name, err, got, c.fields)
			}
		}
		if len(got) != len(strings.Fields(c.fields)) || (err == nil) != (c.fields == "") {
			t.Errorf("%s: %v, of the fields %v, want %s", name, err, got, c.fields)
		}
	}
}

func TestAnInvitationAndAHostAreToldWhatIsWrongWithThemBeforeAnybodyIsAsked(t *testing.T) {
	db, err := store.Open(filepath.Join(t.TempDir(), "landbridge.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	key, err := nodeKey(db)
	if err != nil {
		t.Fatal(err)
	}
	roll, err := openRoll(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{state: &state{db: db, key: key}, roll: roll}
	absent, long := "absent", strings.Repeat("x", 201)
	token := func(ends time.Time) string {
		text, err := group.Invitation{Group: group.ID{1}, Expires: ends}.Token()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	for name, c := range map[string]struct {
		err         error
		field, says string
	}{
		"no invitation":  {n.CheckJoin(t.Context(), api.JoinRequest{Token: "hello"}), "token", "not an invitation"},
		"cut off":        {n.CheckJoin(t.Context(), api.JoinRequest{Token: token(time.Now().Add(time.Hour))[:60]}), "token", ""},
		"ended":          {n.CheckJoin(t.Context(), api.JoinRequest{Token: token(time.Now().Add(-time.Hour))}), "token", "has expired"},
		"a good one":     {n.CheckJoin(t.Context(), api.JoinRequest{Token: token(time.Now().Add(time.Hour))}), "", ""},
		"no host":        {n.CheckHost(t.Context(), "52:54", api.HostRegistration{}), "mac", "hardware address"},
		"a host":         {n.CheckHost(t.Context(), "52:54:00:12:34:56", api.HostRegistration{}), "", ""},
		"of no group":    {n.CheckHost(t.Context(), "52:54:00:12:34:56", api.HostRegistration{Group: &absent}), "group", "in no group"},
		"a long note":    {n.CheckHost(t.Context(), "52:54:00:12:34:56", api.HostRegistration{Note: &long}), "note", "200 bytes"},
		"nobody's alone": {n.CheckHost(t.Context(), "01:00:5e:00:00:01", api.HostRegistration{}), "mac", "no single host's"},
	} {
		var refused *console.Error
		switch {
		case c.field == "" && c.err != nil:
			t.Errorf("%s: %v", name, c.err)
		case c.field != "" && (!errors.As(c.err, &refused) || len(refused.Fields()) != 1 || refused.Fields()[0].Field != c.field || !strings.Contains(c.err.Error(), c.says)):
			t.Errorf("%s: %v", name, c.err)
		}
	}
}

func TestAMembersCertificateIsLateWhereNobodyRenewsIt(t *testing.T) {
	db, err := store.Open(filepath.Join(t.TempDir(), "landbridge.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	key, err := nodeKey(db)
	if err != nil {
		t.Fatal(err)
	}
	m := (&testGroup{t: t}).create(db, key)
	v, _ := m.ValidityOf(m.Self())
	for at, want := range map[time.Time]api.MemberCertificateState{
		v.From: api.MemberCertificateStateGood, v.Renewal: api.MemberCertificateStateDue, v.Renewal.Add(renewalPatience + time.Second): api.MemberCertificateStateLate, v.Until.Add(time.Second): api.MemberCertificateStateExpired,
	} {
		if got := certificateOf(m, m.Self(), at); got.State != want || len(got.Fingerprint) != 64 || !got.Expires.Equal(v.Until) {
			t.Errorf("%v: %+v, want %s", at.Sub(v.From), got, want)
		}
	}
	if got := certificateOf(m, group.MemberID{9}, v.From); got != (api.MemberCertificate{}) {
		t.Errorf("of one that has shown none: %+v", got)
	}
}
