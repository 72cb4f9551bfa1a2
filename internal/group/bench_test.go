package group

import (
	"fmt"
	"testing"
	"time"
)

func BenchmarkParseDescriptor(b *testing.B) {
	for _, n := range []int{5, 100, MaxMembers} {
		b.Run(fmt.Sprintf("members=%d", n), func(b *testing.B) {
			l := newLab(b)
			signed := l.sign(func(d *Descriptor) {
				d.Version = 2
				for i := len(d.Members); i < n; i++ {
					d.Members = append(d.Members, Entry{ID: MemberID{1, byte(i), byte(i >> 8)}, Name: fmt.Sprint("node", i), Added: 2})
				}
			})
			b.SetBytes(int64(len(signed)))
			for b.Loop() {
				if _, err := ParseDescriptor(signed); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkCheckCertificate(b *testing.B) {
	l := newLab(b)
	m := l.join(1)
	b.Run("first", func(b *testing.B) {
		for b.Loop() {
			clear(l.founder.learnt)
			if err := l.founder.CheckCertificate(m.Self(), m.Certificate(), l.now); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("again", func(b *testing.B) {
		for b.Loop() {
			if err := l.founder.CheckCertificate(m.Self(), m.Certificate(), l.now); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("authorized", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := l.founder.Authorized(m.Self(), l.now); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAdmit(b *testing.B) {
	l := newLab(b)
	n := 0
	for b.Loop() {
		b.StopTimer()
		n++
		if n == MaxMembers-1 {
			l, n = newLab(b), 1
		}
		token, err := l.authority.Invite(time.Hour, nil, l.now)
		if err != nil {
			b.Fatal(err)
		}
		inv, err := ParseInvitation(token)
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if _, err := l.authority.Admit(testMember(n), NewJoinRequest(inv, "node"), l.now); err != nil {
			b.Fatal(err)
		}
	}
}
