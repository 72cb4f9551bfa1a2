package appliance

import (
	"bytes"
	"testing"
	"time"

	"landbridge/internal/group"
)

// serveJoins opens the member's overlay for newcomers and renewals.
func (m *member) serveJoins() { m.node.overlay.Handle(group.Protocol, m.node.serveJoin) }

func TestACertificateIsRenewedByTheAuthority(t *testing.T) {
	g := &testGroup{t: t}
	founder := newMember(t, g.create)
	founder.authority = g.authority
	founder.serveJoins()
	second := newMember(t, g.join)
	second.node.overlay.Add(founder.node.overlay.Addrs())

	for name, m := range map[string]*member{"the authority itself": founder, "a member": second} {
		before := m.membership.Certificate()
		if err := m.renew(t.Context(), time.Now()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if bytes.Equal(before, m.membership.Certificate()) {
			t.Errorf("%s has the old certificate", name)
		}
	}
	// The authority takes the new one where it knows the old.
	if _, err := second.call(t, founder); err != nil {
		t.Error(err)
	}
}

func TestARemovedMemberGetsNoCertificate(t *testing.T) {
	g := &testGroup{t: t}
	founder := newMember(t, g.create)
	founder.authority = g.authority
	founder.serveJoins()
	second := newMember(t, g.join)
	second.node.overlay.Add(founder.node.overlay.Addrs())
	if _, err := g.authority.Remove(second.membership.Self()); err != nil {
		t.Fatal(err)
	}
	if err := second.renew(t.Context(), time.Now()); err == nil {
		t.Error("a removed member got a certificate")
	}
}

func TestADescriptorUnderAnotherGroupsKeyIsRefused(t *testing.T) {
	g, other := &testGroup{t: t}, &testGroup{t: t}
	ours, theirs := newMember(t, g.create), newMember(t, other.create)
	if v, err := validateDescriptor(ours.id, ours.membership.Signed()); err != nil || v != 1 {
		t.Errorf("our own: version %d, %v", v, err)
	}
	if _, err := validateDescriptor(ours.id, theirs.membership.Signed()); err == nil {
		t.Error("another group's descriptor passed under our ID")
	}
	torn := bytes.Clone(ours.membership.Signed())
	torn[len(torn)/2] ^= 1
	if _, err := validateDescriptor(ours.id, torn); err == nil {
		t.Error("a torn descriptor passed")
	}
}
