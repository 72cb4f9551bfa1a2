package group

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
)

func FuzzParseInvitation(f *testing.F) {
	g := readGolden(f)
	f.Add(g.Token)
	f.Add(strings.ToUpper(g.Token[:80]) + "\n" + g.Token[80:])
	f.Add(g.Token[:len(g.Token)-2])
	f.Add("lb2abc")
	f.Fuzz(func(t *testing.T, token string) {
		inv, err := ParseInvitation(token)
		if err != nil {
			if !errors.Is(err, ErrTornToken) && !errors.Is(err, ErrNotInvitation) && !errors.Is(err, ErrNewerInvitation) {
				t.Errorf("an error without a name: %v", err)
			}
			return
		}
		checkInvitation(t, inv)
	})
}

// FuzzInvitationPayload gets past the checksum.
func FuzzInvitationPayload(f *testing.F) {
	b, err := tokenEncoding().DecodeString(readGolden(f).Token[len(tokenPrefix):])
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b[:len(b)-checksumSize])
	f.Add(b[:invitationHead])
	f.Fuzz(func(t *testing.T, b []byte) {
		token := tokenPrefix + tokenEncoding().EncodeToString(append(bytes.Clone(b), checksum(b)...))
		if inv, err := ParseInvitation(token); err == nil {
			checkInvitation(t, inv)
		}
	})
}

// checkInvitation: what was read is small, and written it is read the same.
func checkInvitation(t *testing.T, inv Invitation) {
	if len(inv.Addrs) > MaxInvitationAddrs {
		t.Fatalf("%d addresses", len(inv.Addrs))
	}
	token, err := inv.Token()
	if err != nil {
		return // an address that can be read but doesn't lead to anybody
	}
	if again, err := ParseInvitation(token); err != nil || !reflect.DeepEqual(again, inv) {
		t.Errorf("read %+v, written and read again %+v (%v)", inv, again, err)
	}
}

func FuzzParseDescriptor(f *testing.F) {
	g := readGolden(f)
	f.Add([]byte(g.Descriptor))
	f.Add([]byte(g.Certificate))
	f.Add([]byte(newLab(f).founder.Signed()))
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := ParseDescriptor(b); err == nil {
			checkDescriptor(t, d)
		} else if !errors.Is(err, ErrDescriptor) {
			t.Errorf("an error without a name: %v", err)
		}
	})
}

// FuzzDescriptorBody gets past the signature: what is decoded and found valid must be
// safe to use.
func FuzzDescriptorBody(f *testing.F) {
	var envelope wireEnvelope
	if err := unmarshal(readGolden(f).Descriptor, &envelope); err != nil {
		f.Fatal(err)
	}
	f.Add(envelope.Body)
	f.Fuzz(func(t *testing.T, body []byte) {
		var w wireDescriptor
		if unmarshal(body, &w) != nil {
			return
		}
		if d := w.descriptor(); d.validate() == nil && d.tell(w.Removals) == nil {
			d.derive(nil)
			checkDescriptor(t, d)
		}
	})
}

func checkDescriptor(t *testing.T, d *Descriptor) {
	if err := d.follows(d); err != nil {
		t.Errorf("doesn't follow itself: %v", err)
	}
	members := d.Current()
	if len(members) == 0 || len(d.Members) > MaxMembers {
		t.Fatalf("%d members", len(members))
	}
	for _, m := range members {
		if err := d.Check(m); err != nil {
			t.Error(err)
		}
	}
	last := d.BlockPrefix(uint32(d.Blocks() - 1))
	if index, ok := d.BlockOf(d.Broadcast()); !ok || int(index) != d.Blocks()-1 || !last.Contains(d.Broadcast()) {
		t.Errorf("%v: broadcast %v is in block %d, the last is %v", d.Prefix, d.Broadcast(), index, last)
	}
	if !d.Reserved(d.ServiceAddr()) || !d.Prefix.Contains(d.ServiceAddr()) {
		t.Errorf("%v: service address %v", d.Prefix, d.ServiceAddr())
	}
}

func FuzzParseJoinRequest(f *testing.F) {
	g := readGolden(f)
	f.Add([]byte(g.Join))
	f.Add([]byte(g.Renew))
	l := newLab(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := l.authority.Serve(testMember(1), "192.0.2.7:4860", b, l.now); err == nil && l.founder.Descriptor().Version != 1 {
			t.Fatal("admitted without an invitation")
		}
		r, err := ParseJoinRequest(b)
		if err != nil {
			return
		}
		again, err := r.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		if r2, err := ParseJoinRequest(again); err != nil || r2 != r {
			t.Errorf("read %+v, written and read again %+v (%v)", r, r2, err)
		}
	})
}

func FuzzParseJoinReply(f *testing.F) {
	g := readGolden(f)
	f.Add([]byte(g.Reply))
	f.Add([]byte(g.Refusal))
	l := newLab(f)
	inv := l.invite()
	db := openDB(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		reply, err := ParseJoinReply(b)
		if err != nil {
			return
		}
		if _, err := SaveJoin(db, testKey(1), inv, reply, l.now); err == nil {
			t.Fatal("joined by a made-up reply")
		}
	})
}

func FuzzCertificate(f *testing.F) {
	g := readGolden(f)
	d, err := ParseDescriptor(SignedDescriptor(g.Descriptor))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte(g.Certificate))
	f.Add(d.CA)
	f.Fuzz(func(t *testing.T, der []byte) {
		cert, err := checkCertificate(d.ca, d.Group, g.member(1), der, start().Add(time.Hour))
		switch {
		case err != nil && !errors.Is(err, ErrCertificate):
			t.Errorf("an error without a name: %v", err)
		case err == nil && !bytes.Equal(cert.Raw, g.Certificate):
			t.Errorf("a certificate that the CA never signed: %x", der)
		}
		if ca, err := parseCA(der, d.Group); err == nil && !bytes.Equal(ca.Raw, d.CA) {
			t.Errorf("a CA certificate that the CA never signed: %x", der)
		}
	})
}
