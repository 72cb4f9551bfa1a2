package beacon

import (
	"crypto/rand"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

const (
	// doubtLife is how long a member is doubted after somebody may have spoken in its name.
	doubtLife = 2 * time.Second
	// introductionTime is how long a router that is heard may take to answer before it is doubted.
	introductionTime = 100 * time.Millisecond
	// maxAppointments bounds those that wait.
	maxAppointments = 16
	// expectedAnswers is how many answers of a frame are looked at for what nobody else was told.
	expectedAnswers = 32
)

// Nonce is a number that is told to a member over another way than the segment.
type Nonce = [nonceLen]byte

// Appoint returns a nonce for another member, that is to be told it over a way on which nobody
// else hears it. Its answer on the segment, [Beacon.Answer], is verified however many frames
// somebody forges.
func (b *Beacon) Appoint() Nonce {
	var n nonce
	rand.Read(n[:])
	b.mu.Lock()
	defer b.mu.Unlock()
	b.m.issue(n, true, time.Now())
	return n
}

// Answer says a beacon to one station of the segment: it answers a nonce that a member has told
// us. Beyond some a second are left out.
func (b *Beacon) Answer(to frame.MAC, n Nonce) {
	b.mu.Lock()
	if to.IsUnicast() && len(b.m.appointments) < maxAppointments && b.m.appointed.spend(time.Now()) {
		b.m.appointments = append(b.m.appointments, appointment{to, n})
	}
	b.mu.Unlock()
	b.kick()
}

// Doubted returns the members of whom what is heard on the segment can't be the whole truth: frames
// in their names were forged of late, or more came than are verified; or they are routers that
// answer nothing of ours, or were silent a moment ago. They may be here though they are no neighbours, or silent;
// they may be elsewhere. Where we are one of them ourselves somebody plays back what we have said, or takes our MAC:
// no silence is to be trusted.
func (b *Beacon) Doubted() []group.MemberID {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.m.doubted(time.Now())
}

// doubt notes that a frame in a member's name was forged, or not looked at.
func (m *machine) doubt(id group.MemberID, now time.Time) {
	if _, known := m.doubts[id]; known || len(m.doubts) < MaxNeighbors {
		m.doubts[id] = now
	}
}

func (m *machine) doubted(now time.Time) (all []group.MemberID) {
	for id, at := range m.doubts {
		if now.Sub(at) < doubtLife {
			all = append(all, id)
		}
	}
	for id, p := range m.peers {
		if _, already := m.doubts[id]; !already && p.says.Router && !p.proven(now) && now.Sub(p.met) >= introductionTime {
			all = append(all, id)
		}
	}
	return all
}

// expects reports whether a frame answers a nonce of late that only other routers were told. It may do
// so again: where one frame was lost, both sides go on with what they have heard last.
func (m *machine) expects(msg message, now time.Time) bool {
	answers := msg.answers[:min(len(msg.answers), expectedAnswers*nonceLen)]
	for i := range m.issued {
		is := &m.issued[i]
		if !is.alone || now.Sub(is.at) >= ProofLife {
			continue
		}
		for a := answers; len(a) >= nonceLen; a = a[nonceLen:] {
			if is.nonce == nonce(a[:nonceLen]) {
				return true
			}
		}
	}
	return false
}
