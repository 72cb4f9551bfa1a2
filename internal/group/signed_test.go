package group

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

func TestADescriptorComesBackAsItWasSigned(t *testing.T) {
	l := newLab(t)
	l.join(1)
	l.join(2)
	l.remove(1)
	d := l.founder.Descriptor()
	got, err := ParseDescriptor(l.founder.Signed())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, d) {
		t.Errorf("got %+v, want %+v", got, d)
	}
	again, err := got.sign(l.authority.key)
	if err != nil || !bytes.Equal(again, l.founder.Signed()) {
		t.Errorf("signed again it differs (%v)", err)
	}
}

func TestNoByteOfADescriptorCanBeChanged(t *testing.T) {
	l := newLab(t)
	l.join(1)
	signed := l.founder.Signed()
	for i := range signed {
		for _, flip := range []byte{1, 0x80} {
			b := bytes.Clone(signed)
			b[i] ^= flip
			if _, err := ParseDescriptor(b); !errors.Is(err, ErrDescriptor) {
				t.Fatalf("byte %d of %d changed: %v", i, len(b), err)
			}
		}
		if _, err := ParseDescriptor(signed[:i]); !errors.Is(err, ErrDescriptor) {
			t.Fatalf("cut at %d: %v", i, err)
		}
	}
	if _, err := ParseDescriptor(append(bytes.Clone(signed), 0)); !errors.Is(err, ErrDescriptor) {
		t.Errorf("a byte appended: %v", err)
	}
	if _, err := ParseDescriptor(make([]byte, MaxDescriptorSize+1)); err == nil || !strings.Contains(err.Error(), "at most") {
		t.Errorf("too long: %v", err)
	}
}

func TestADescriptorOfAnotherCAIsRefused(t *testing.T) {
	l := newLab(t)
	d := *l.founder.Descriptor()
	other := testKey(77)
	forged, err := d.sign(other) // true CA certificate, other key
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ParseDescriptor(forged); !errors.Is(err, ErrSignature) {
		t.Errorf("another's signature: %v", err)
	}
	if d.CA, err = makeCA(other, "lab", start()); err != nil {
		t.Fatal(err)
	}
	if forged, err = d.sign(other); err != nil { // other CA, true group
		t.Fatal(err)
	}
	if _, err := ParseDescriptor(forged); !errors.Is(err, ErrDescriptor) || !strings.Contains(err.Error(), "is of group") {
		t.Errorf("another CA: %v", err)
	}
	d = *l.founder.Descriptor()
	d.CA = bytes.Clone(d.CA)
	d.CA[len(d.CA)-1] ^= 1 // the CA's signature over itself
	if forged, err = d.sign(l.authority.key); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseDescriptor(forged); !errors.Is(err, ErrDescriptor) {
		t.Errorf("a CA certificate with a torn signature: %v", err)
	}
	d.CA = l.founder.Certificate() // signed by the CA, but of a member
	d.Group = IDOf(publicKey(testKey(0)))
	if forged, err = d.sign(testKey(0)); err != nil {
		t.Fatal(err)
	}
	if _, err := ParseDescriptor(forged); !errors.Is(err, ErrDescriptor) || !strings.Contains(err.Error(), "doesn't say that it is a CA") {
		t.Errorf("a member as CA: %v", err)
	}
}

// A signature over a descriptor is none over a member's message, nor the other way.
func TestSignaturesOfDifferentUsesDoNotMix(t *testing.T) {
	key := testKey(1)
	var group ID
	body := []byte("body")
	if ed25519.Verify(publicKey(key), signedMessage(group, "", body), ed25519.Sign(key, descriptorMessage(body))) {
		t.Error("a descriptor's signature passes for a message's")
	}
	if bytes.Equal(signedMessage(group, "a", []byte("b")), signedMessage(group, "ab", nil)) {
		t.Error("domain and message run together")
	}
}

func TestImpossibleRostersAreRefused(t *testing.T) {
	l := newLab(t)
	l.join(1)
	l.join(2) // version 3: entries added at 1, 2, 3
	for name, change := range map[string]func(*Descriptor){
		"version 0":               func(d *Descriptor) { d.Version = 0 },
		"nobody":                  func(d *Descriptor) { d.Members = nil },
		"added at 0":              func(d *Descriptor) { d.Members[0].Added = 0 },
		"added in the future":     func(d *Descriptor) { d.Members[2].Added = 4 },
		"out of order":            func(d *Descriptor) { d.Members[1].Added, d.Members[2].Added = 3, 2 },
		"removed before added":    func(d *Descriptor) { d.Members[2].Removed = 2 },
		"removed when added":      func(d *Descriptor) { d.Members[2].Removed = 3 },
		"removed in the future":   func(d *Descriptor) { d.Members[2].Removed = 4 },
		"twice":                   func(d *Descriptor) { d.Members[2].ID = d.Members[1].ID },
		"twice, overlapping":      func(d *Descriptor) { d.Version = 5; d.Members[2].ID = d.Members[1].ID; d.Members[1].Removed = 4 },
		"authority a stranger":    func(d *Descriptor) { d.Authority = testMember(9) },
		"authority removed":       func(d *Descriptor) { d.Version, d.Members[0].Removed = 4, 4 },
		"member without a name":   func(d *Descriptor) { d.Members[1].Name = "" },
		"two of one name":         func(d *Descriptor) { d.Members[1].Name = d.Members[2].Name },
		"a prefix with host bits": func(d *Descriptor) { d.Prefix = netip.MustParsePrefix("10.9.0.1/16") },
		"no zone":                 func(d *Descriptor) { d.Zone = "" },
		"too many":                func(d *Descriptor) { d.Members = append(d.Members, make([]Entry, MaxMembers)...) },
	} {
		if _, err := ParseDescriptor(l.sign(change)); !errors.Is(err, ErrDescriptor) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ParseDescriptor(l.sign(func(*Descriptor) {})); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

// Another program may add fields; a later format is told apart from garbage.
func TestLaterDescriptors(t *testing.T) {
	l := newLab(t)
	resign := func(change func(map[uint64]any)) SignedDescriptor {
		var envelope wireEnvelope
		body := make(map[uint64]any)
		if err := errors.Join(unmarshal(l.founder.Signed(), &envelope), cbor.Unmarshal(envelope.Body, &body)); err != nil {
			t.Fatal(err)
		}
		change(body)
		raw, err := marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		signed, err := marshal(wireEnvelope{Body: raw, Signature: ed25519.Sign(l.authority.key, descriptorMessage(raw))})
		if err != nil {
			t.Fatal(err)
		}
		return signed
	}
	if _, err := ParseDescriptor(resign(func(m map[uint64]any) { m[99] = "policy" })); err != nil {
		t.Errorf("an unknown field: %v", err)
	}
	if _, err := ParseDescriptor(resign(func(m map[uint64]any) { m[0] = 2 })); err == nil || !strings.Contains(err.Error(), "update it") {
		t.Errorf("a later format: %v", err)
	}
	if _, err := ParseDescriptor(resign(func(m map[uint64]any) { m[1] = make([]byte, 31) })); !errors.Is(err, ErrDescriptor) {
		t.Errorf("a group ID of 31 bytes: %v", err)
	}
	if _, err := ParseDescriptor(resign(func(m map[uint64]any) { m[8] = 70000 })); !errors.Is(err, ErrDescriptor) {
		t.Errorf("an MTU beyond 16 bits: %v", err)
	}
}

func TestADescriptorThatContradictsIsNotTaken(t *testing.T) {
	l := newLab(t)
	m := l.join(1)
	l.join(2)
	l.remove(2)
	l.mustUpdate(m) // version 4: 0 since 1, 1 since 2, 2 from 3 to 4
	fork := func(change func(*Descriptor)) SignedDescriptor {
		return l.sign(func(d *Descriptor) { d.Version = 5; change(d) })
	}
	for name, signed := range map[string]SignedDescriptor{
		"another of this version": l.sign(func(d *Descriptor) { d.MTU = 1400 }),
		"prefix changed":          fork(func(d *Descriptor) { d.Prefix = netip.MustParsePrefix("10.8.0.0/16") }),
		"block size changed":      fork(func(d *Descriptor) { d.BlockBits = 7 }),
		"a member missing":        fork(func(d *Descriptor) { d.Members = d.Members[:2] }),
		"a member replaced":       fork(func(d *Descriptor) { d.Members[1].ID = testMember(9) }),
		"added earlier":           fork(func(d *Descriptor) { d.Members[2].Added = 2 }),
		"never removed":           fork(func(d *Descriptor) { d.Members[2].Removed = 0 }),
		"removed later":           fork(func(d *Descriptor) { d.Members[2].Removed = 5 }),
		"removed in the past":     fork(func(d *Descriptor) { d.Members[1].Removed = 3 }),
		"one more in the past":    fork(func(d *Descriptor) { d.Members = append(d.Members, Entry{ID: testMember(9), Name: "x", Added: 4}) }),
		"an old one of another":   l.sign(func(d *Descriptor) { d.Version = 3; d.Members[2] = Entry{ID: testMember(9), Name: "x", Added: 3} }),
	} {
		if changed, err := m.Update(signed); !errors.Is(err, ErrForked) || changed {
			t.Errorf("%s: %v, %v; want ErrForked", name, changed, err)
		}
	}
	if m.Descriptor().Version != 4 {
		t.Errorf("version %d", m.Descriptor().Version)
	}
	good := fork(func(d *Descriptor) {
		d.MTU, d.LeaseTime, d.Members[1].Removed = 1400, 2*d.LeaseTime, 5
		d.Members = append(d.Members, Entry{ID: testMember(2), Name: "back", Added: 5})
	})
	if changed, err := m.Update(good); err != nil || !changed {
		t.Errorf("one that continues: %v, %v", changed, err)
	}
}
