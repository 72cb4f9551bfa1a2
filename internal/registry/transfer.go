package registry

import "landbridge/internal/group"

// transferReply is what a sealed replica tells about one register. It is sent
// only after the replica has durably sealed the reader's version (or a later
// one), so nothing more can be accepted there under older versions.
type transferReply struct {
	Conf     uint64 `cbor:"1,keyasint"`
	Accepted Ballot `cbor:"2,keyasint"`
	Value    Grant  `cbor:"3,keyasint"`
}

// transfer reads a register out of the older configurations, for a replica that
// is to be put in charge under the newest. It is a pure machine: ask need(), give
// it the answers, until done.
//
// It walks from the newest older configuration down. At each it waits for a
// quorum of sealed answers. If one of those is in charge there, the highest
// accepted ballot among those in charge covers all that was ever chosen up to
// there (a chosen value was accepted by a quorum, which shares a member with
// ours; and a member in charge carries what came before). If none is, nothing
// was or can be chosen there any more, and it goes one configuration down. Under
// the group's first configuration everybody is in charge.
type transfer struct {
	target  uint64          // configuration to be put in charge under
	chain   []configuration // the older ones, oldest first
	answers map[group.MemberID]transferReply
	done    bool
	found   Ballot
	value   Grant
}

// newTransfer takes the block's whole chain; its last configuration is the target.
func newTransfer(chain []configuration) *transfer {
	n := len(chain) - 1
	t := &transfer{target: chain[n].first, chain: chain[:n], answers: make(map[group.MemberID]transferReply)}
	t.advance()
	return t
}

// need returns the members whose answers are still wanted.
func (t *transfer) need() []group.MemberID {
	if t.done {
		return nil
	}
	var ms []group.MemberID
	for _, m := range t.chain[len(t.chain)-1].members {
		if _, ok := t.answers[m]; !ok {
			ms = append(ms, m)
		}
	}
	return ms
}

// feed takes one answer and reports whether the transfer is complete.
func (t *transfer) feed(from group.MemberID, r transferReply) bool {
	if !t.done {
		t.answers[from] = r
		t.advance()
	}
	return t.done
}

func (t *transfer) advance() {
	for len(t.chain) > 0 {
		conf := t.chain[len(t.chain)-1]
		votes, charged := 0, false
		var found Ballot
		var value Grant
		for i, m := range conf.members {
			r, ok := t.answers[m]
			if !ok {
				continue
			}
			votes += conf.votes[i]
			if r.Conf < conf.first && !(len(t.chain) == 1 && r.Conf == 0) {
				continue
			}
			if !charged || found.less(r.Accepted) {
				charged, found, value = true, r.Accepted, r.Value
			}
		}
		if votes < conf.need {
			return
		}
		if charged {
			t.done, t.found, t.value = true, found, value
			return
		}
		t.chain = t.chain[:len(t.chain)-1]
	}
	t.done = true // no older configuration: the register starts free
}
