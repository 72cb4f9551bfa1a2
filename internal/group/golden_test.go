package group

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"
)

// golden is what testdata/golden.py made with another CBOR, X.509 and Ed25519.
type golden struct {
	Group       ID
	Members     []hexBytes
	PeerIDs     []string `json:"peer_ids"`
	CASeed      hexBytes `json:"ca_seed"`
	Descriptor  hexBytes
	Certificate hexBytes
	Token       string
	Signature   hexBytes
	Join        hexBytes
	Renew       hexBytes
	Reply       hexBytes
	Refusal     hexBytes
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(b []byte) (err error) {
	*h, err = hex.DecodeString(string(b))
	return err
}

func readGolden(t testing.TB) golden {
	t.Helper()
	b, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(b, &g); err != nil {
		t.Fatal(err)
	}
	return g
}

func (g golden) member(n int) MemberID { return MemberID(g.Members[n]) }

func TestGoldenDescriptor(t *testing.T) {
	g := readGolden(t)
	d, err := ParseDescriptor(SignedDescriptor(g.Descriptor))
	if err != nil {
		t.Fatal(err)
	}
	want := []Entry{{ID: g.member(0), Name: "one", Added: 1}, {ID: g.member(1), Name: "two", Added: 2}, {ID: g.member(2), Name: "three", Added: 3, Removed: 4}}
	if d.Group != g.Group || d.Version != 4 || d.Params != testParams() || d.Authority != g.member(0) || !slices.Equal(d.Members, want) {
		t.Errorf("got %+v", d)
	}
	again, err := d.sign(ed25519.NewKeyFromSeed(g.CASeed))
	if err != nil || !bytes.Equal(again, g.Descriptor) {
		t.Errorf("we write it as %x (%v)", again, err)
	}
}

func TestGoldenCertificate(t *testing.T) {
	g := readGolden(t)
	d, err := ParseDescriptor(SignedDescriptor(g.Descriptor))
	if err != nil {
		t.Fatal(err)
	}
	cert, err := checkCertificate(d.ca, d.Group, g.member(1), g.Certificate, start())
	if err != nil || !cert.NotAfter.Equal(start().Add(CertificateLife)) {
		t.Errorf("%v, %v", cert, err)
	}
	if _, err := checkCertificate(d.ca, d.Group, g.member(0), g.Certificate, start()); !errors.Is(err, ErrCertificate) {
		t.Errorf("for another member: %v", err)
	}
}

func TestGoldenInvitation(t *testing.T) {
	g := readGolden(t)
	want := Invitation{
		Group: g.Group, Authority: g.member(0), Expires: time.Unix(1_800_000_000, 0),
		Secret: Secret{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
		Addrs:  []string{"/ip4/192.0.2.1/udp/4242/quic-v1/p2p/" + g.PeerIDs[0], "/ip6/2001:db8::1/tcp/4242/p2p/" + g.PeerIDs[1]},
	}
	got, err := ParseInvitation(g.Token)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v (%v), want %+v", got, err, want)
	}
	if token, err := want.Token(); err != nil || token != g.Token {
		t.Errorf("we write %s (%v), want %s", token, err, g.Token)
	}
}

func TestGoldenMessages(t *testing.T) {
	g := readGolden(t)
	inv, err := ParseInvitation(g.Token)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		golden []byte
		want   JoinRequest
	}{{g.Join, NewJoinRequest(inv, "two")}, {g.Renew, NewRenewRequest(g.Group)}} {
		got, err := ParseJoinRequest(test.golden)
		if err != nil || got != test.want {
			t.Errorf("request: got %+v (%v), want %+v", got, err, test.want)
		}
		if b, err := test.want.Marshal(); err != nil || !bytes.Equal(b, test.golden) {
			t.Errorf("request: we write %x (%v), want %x", b, err, test.golden)
		}
	}
	want := JoinReply{Descriptor: SignedDescriptor(g.Descriptor), Certificate: g.Certificate}
	if got, err := ParseJoinReply(g.Reply); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("reply: got %+v (%v)", got, err)
	}
	if b, err := want.Marshal(); err != nil || !bytes.Equal(b, g.Reply) {
		t.Errorf("reply: we write %x (%v)", b, err)
	}
	if _, err := ParseJoinReply(g.Refusal); err != ErrUsed {
		t.Errorf("refusal: %v", err)
	}
	if err := VerifySignature(g.Group, "registry grant", g.member(1), []byte("block 7"), Signature(g.Signature)); err != nil {
		t.Error(err)
	}
	for i, id := range g.PeerIDs {
		if got := g.member(i).String(); got != id {
			t.Errorf("member %d is %s, want %s", i, got, id)
		}
	}
}

// The refusals' numbers are the protocol: they may be added to, not moved.
func TestGoldenRefusals(t *testing.T) {
	for code, want := range []error{1: ErrUsed, 2: ErrExpired, 3: ErrUnknownInvitation, 4: ErrOtherGroup, 5: ErrRemoved, 6: ErrNotMember, 7: ErrFull, 8: ErrNotAuthority, 9: ErrRevoked, 10: ErrAwaitingApproval, 12: ErrCrowded, 13: ErrNameOfNode} {
		if want == nil {
			continue
		}
		b, ok := MarshalRefusal(want)
		if !ok || !bytes.Equal(b, []byte{0xa1, 0, byte(code)}) {
			t.Errorf("%v is written %x", want, b)
		}
		if _, err := ParseJoinReply(b); err != want {
			t.Errorf("%d is read as %v", code, err)
		}
	}
	if b, ok := MarshalRefusal(errors.New("disk full")); ok {
		t.Errorf("an inner fault is told as %x", b)
	}
	if _, err := ParseJoinReply([]byte{0xa1, 0, 23}); err == nil {
		t.Error("an unknown refusal is a yes")
	}
}
