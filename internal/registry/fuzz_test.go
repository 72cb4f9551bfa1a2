package registry

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"testing"

	"landbridge/internal/group"
)

func sampleRequests() []request {
	m := group.MemberID{7}
	b := Ballot{Conf: 2, Counter: 9, Member: m}
	return []request{
		{Kind: kindPrepare, Group: labGroup(), Version: 3, Block: 12, Ballot: b},
		{Kind: kindAccept, Group: labGroup(), Version: 3, Block: 12, Ballot: b, BaseBallot: b, Base: Grant{Holder: m, Epoch: 4}, Value: Grant{Holder: m, Epoch: 5}},
		{Kind: kindTransfer, Group: labGroup(), Version: 3, Blocks: []BlockID{1, 2, 3}, Descriptor: []byte("descriptor")},
		{Kind: kindStore, Group: labGroup(), Version: 3, Record: []byte("record"), Certificate: []byte("certificate")},
		{Kind: kindMove, Group: labGroup(), Version: 3, Block: 1, Move: &moveRequest{Kind: moveTake, Offset: 5, Name: "printer"}},
		{Kind: kindHint, Group: labGroup(), Version: 3, Hints: []hint{{Key: [32]byte{1}, Addr: [4]byte{10, 9, 0, 7}}}},
		{Kind: kindAsk, Group: labGroup(), Version: 3, Key: make([]byte, 32)},
		{Kind: kindStore, Group: labGroup(), Version: 3, Mark: mark{Run: 7, Opened: 8, Age: 9}, OfYou: seen{Run: 5, Age: 6}, Others: []testimony{{m, seen{Run: 3, Age: 4}}}},
	}
}

func sampleReplies() []reply {
	m := group.MemberID{7}
	b := Ballot{Conf: 2, Counter: 9, Member: m}
	return []reply{
		{Status: statusNack, Promised: b, Accepted: b, Value: Grant{Holder: m, Epoch: 4}, Lapsed: true},
		{States: []transferReply{{Conf: 2, Accepted: b, Value: Grant{Holder: m, Epoch: 4}}}, Descriptor: []byte("d")},
		{Record: []byte("record"), Addrs: [][4]byte{{10, 9, 0, 7}}, Grants: []Grant{{Holder: m, Epoch: 4}}, Mark: mark{Run: 7, Opened: 8, Age: 9}, OfYou: seen{Run: 5, Age: 6}},
	}
}

func sampleRecord() *Record {
	return &Record{
		Group: labGroup(), Block: 2, Holder: group.MemberID{7}, Epoch: 3, Seq: 4, Segment: SegmentID{9}, Leased: []byte{0x05, 0x80},
		Entries: []Entry{{Offset: 0, Client: clientHash{1}, Name: "a", Since: 1e9}, {Offset: 2, Client: clientHash{2}, Since: 1e9}, {Offset: 15, Client: clientHash{3}, Name: "c-3", Since: 2e9}},
		Moved:   []Moved{{Offset: 2, Member: group.MemberID{8}, Segment: SegmentID{10}}},
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func FuzzRequest(f *testing.F) {
	c := must(newCodec())
	for _, q := range sampleRequests() {
		f.Add(must(c.encode(q)))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		q, err := c.decodeRequest(raw)
		if err != nil {
			return
		}
		again, err := c.encode(q)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.decodeRequest(again); err != nil {
			t.Fatalf("what was read can't be read again: %v", err)
		}
	})
}

func FuzzReply(f *testing.F) {
	c := must(newCodec())
	for _, a := range sampleReplies() {
		f.Add(must(c.encode(a)))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if a, err := c.decodeReply(raw); err == nil {
			if _, err := c.encode(a); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzRecord(f *testing.F) {
	c := must(newCodec())
	g := must(newGeometry(netip.MustParsePrefix("10.9.0.0/24"), 4))
	body := must(c.encode(sampleRecord()))
	f.Add(must(c.encode(signedRecord{Body: body, Signature: make([]byte, 64), Certificate: []byte("c")})))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, _, err := parseRecord(c, labGroup(), g, raw)
		if err != nil {
			return
		}
		for off := range g.size() {
			if e, ok := r.entry(off); ok != r.leased(off) || ok && int(e.Offset) != off {
				t.Fatalf("offset %d: leased %v, entry %v", off, r.leased(off), ok)
			}
			if m, _ := r.at(off); m.IsZero() {
				t.Fatalf("offset %d is served by nobody", off)
			}
		}
	})
}

// FuzzServe sends whole requests to a running member: whatever comes, it answers or
// refuses, and goes on leasing.
func FuzzServe(f *testing.F) {
	l := newLab(f, "10.9.0.0/24", 4)
	ns := l.members(2)
	for _, q := range sampleRequests() {
		q.Version = 2
		f.Add(must(ns[0].reg.codec.encode(q)))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, _ = ns[0].reg.Serve(t.Context(), ns[1].id, raw)
	})
}

// The golden bytes of a record's body, assembled by hand from RFC 8949.
func TestARecordHasTheseBytes(t *testing.T) {
	c := must(newCodec())
	zeros := func(first byte, n int) string { return hex.EncodeToString(append([]byte{first}, make([]byte, n-1)...)) }
	id := labGroup()
	want := "a9" + "01" + "5820" + hex.EncodeToString(id[:]) + // group
		"0202" + // block
		"03" + "5820" + zeros(7, 32) + // holder
		"0403" + "0504" + // epoch, seq
		"06" + "50" + zeros(9, 16) + // segment
		"07" + "42" + "0580" + // bitmap
		"08" + "83" + // entries
		"a4" + "0100" + "02" + "48" + zeros(1, 8) + "03" + "6161" + "04" + "1a3b9aca00" +
		"a3" + "0102" + "02" + "48" + zeros(2, 8) + "04" + "1a3b9aca00" +
		"a4" + "010f" + "02" + "48" + zeros(3, 8) + "03" + "63632d33" + "04" + "1a77359400" +
		"09" + "81" + "a3" + "0102" + "02" + "5820" + zeros(8, 32) + "03" + "50" + zeros(10, 16)
	got := must(c.encode(sampleRecord()))
	if hex.EncodeToString(got) != want {
		t.Fatalf("got  %x\nwant %s", got, want)
	}
	var back Record
	if err := c.dec.Unmarshal(got, &back); err != nil || !bytes.Equal(must(c.encode(&back)), got) {
		t.Fatalf("not read back: %v", err)
	}
}

func TestARecordOfAnotherIsRefused(t *testing.T) {
	l := newLab(t, "10.9.0.0/22", 4)
	ns := l.members(3)
	lease := get(t, ns[0].reg, client(1))
	b, off, _ := ns[0].reg.geo.split(lease.Addr)
	rec := ns[0].reg.consult(t.Context(), b)
	forged := *rec
	forged.Seq += 1000
	forged.Moved = []Moved{{Offset: uint16(off), Member: ns[2].id}}
	c := must(newCodec())
	raw := must(signRecord(c, ns[2], &forged)) // signed by another than the holder it names
	if _, err := ns[1].reg.absorb(raw, false); err == nil {
		t.Error("absorbed")
	}
	tt := must(ns[1].terms())
	for _, n := range ns {
		if a := n.reg.keepRecord(t.Context(), tt, raw); a.Status == statusOK {
			t.Errorf("%s keeps it", n.name)
		}
	}
	forged.Holder = ns[2].id // its own name, but not the register's holder
	raw = must(signRecord(c, ns[2], &forged))
	if a := ns[1].reg.keepRecord(t.Context(), tt, raw); a.Status != statusRefused {
		t.Errorf("a record of one who doesn't hold the block: status %d", a.Status)
	}
	forged.Epoch += 7 // an epoch that the register never granted
	raw = must(signRecord(c, ns[2], &forged))
	if a := ns[1].reg.keepRecord(t.Context(), tt, raw); a.Status != statusRefused {
		t.Errorf("a record of an epoch never granted: status %d", a.Status)
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	l := newLab(t, "10.9.0.0/22", 6)
	ns := l.members(2)
	lease := get(t, ns[0].reg, client(1))
	if _, err := ns[1].reg.Resolve(t.Context(), lease.Addr); err != nil {
		t.Fatal(err)
	}
	absent := netip.MustParseAddr("10.9.3.200")
	_, _ = ns[1].reg.Resolve(t.Context(), absent)
	if n := testing.AllocsPerRun(1000, func() {
		ns[0].reg.Lookup(lease.Addr)
		ns[1].reg.Lookup(lease.Addr)
		ns[1].reg.Lookup(absent)
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkLookup(b *testing.B) {
	l := newLab(b, "10.9.0.0/16", 6)
	ns := l.members(2)
	var addrs []netip.Addr
	for i := range 50 {
		addrs = append(addrs, get(b, ns[0].reg, client(i)).Addr)
	}
	for _, a := range addrs {
		if _, err := ns[1].reg.Resolve(b.Context(), a); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.IntN(50); pb.Next(); i++ {
			if _, s := ns[1].reg.Lookup(addrs[i%50]); s != Known {
				b.Error(s)
			}
		}
	})
}

// BenchmarkOfferCommit is what a new client costs, without the address probe.
func BenchmarkOfferCommit(b *testing.B) {
	l := newLab(b, "10.8.0.0/13", 8)
	ns := l.members(4)
	get(b, ns[0].reg, client(0))
	i := 0
	for b.Loop() {
		i++
		get(b, ns[0].reg, client(i))
	}
}

func BenchmarkRenew(b *testing.B) {
	l := newLab(b, "10.9.0.0/16", 6)
	ns := l.members(4)
	lease := get(b, ns[0].reg, client(0))
	for b.Loop() {
		if _, err := ns[0].reg.Commit(b.Context(), client(0), lease.Addr); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkClaim(b *testing.B) {
	l := newLab(b, "10.0.0.0/8", 10)
	l.pace.tick = 1e12
	ns := l.members(5)
	i := BlockID(0)
	for b.Loop() {
		i++
		if _, _, err := ns[0].reg.change(b.Context(), i, opClaim, 0); err != nil {
			b.Fatal(err)
		}
	}
}
