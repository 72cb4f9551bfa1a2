package appliance

import (
	"strings"
	"testing"

	"landbridge/console/api"
	"landbridge/internal/group"
)

func TestNobodyIsApprovedByTheFingerprintOrMemberIDOfAnother(t *testing.T) {
	expected, thief := group.MemberID{1}, group.MemberID{2}
	applicant := func(m group.MemberID, name string) api.Applicant {
		return api.Applicant{MemberID: m.String(), Fingerprint: m.Fingerprint(), Name: name}
	}
	for _, ref := range []string{expected.Fingerprint(), strings.ToUpper(expected.Fingerprint()), expected.String()} {
		thieves := []api.Applicant{applicant(thief, strings.ToLower(ref))}
		if got := meant(thieves, ref); len(got) != 0 {
			t.Errorf("%s: %+v is taken for it", ref, got)
		}
		if got := meant(append(thieves, applicant(expected, "site-b")), ref); len(got) != 1 || got[0].MemberID != expected.String() {
			t.Errorf("%s, which waits itself: %+v", ref, got)
		}
	}
	if got := meant([]api.Applicant{applicant(thief, "other"), applicant(expected, "site-b")}, "Site-B"); len(got) != 1 || got[0].Name != "site-b" {
		t.Errorf("by name: %+v", got)
	}
}
