package traffic

import "sync/atomic"

// counts is what has become of a direction's traffic.
type counts struct {
	transfers, transferBytes atomic.Uint64
	requests, requestBytes   atomic.Uint64
	connections              atomic.Uint64
	classes                  [numClasses]struct{ sent, received, bytes, late atomic.Uint64 }
}

// Totals is what has been verified.
type Totals struct {
	Transfers, TransferBytes uint64 // bytes: of those under way, too
	Requests, RequestBytes   uint64 // bytes: there and back, of connections' requests too
	Connections              uint64
	Classes                  [numClasses]Datagrams // by Class
}

// Datagrams counts datagrams of a stream, or of several.
type Datagrams struct {
	Sent, Received uint64
	Bytes          uint64 // received
	Late           uint64 // received after one that was sent later
}

// Loss returns the share of the sent datagrams that has not arrived.
func (d Datagrams) Loss() float64 { return share(d.Sent-min(d.Received, d.Sent), d.Sent) }

// LateShare returns the share of the received datagrams that came after a later one.
func (d Datagrams) LateShare() float64 { return share(d.Late, d.Received) }

func share(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func (d Datagrams) add(e Datagrams) Datagrams {
	return Datagrams{d.Sent + e.Sent, d.Received + e.Received, d.Bytes + e.Bytes, d.Late + e.Late}
}

// Datagrams returns the sum of all classes.
func (t Totals) Datagrams() (sum Datagrams) {
	for _, d := range t.Classes {
		sum = sum.add(d)
	}
	return sum
}

// Bytes returns the payload of all traffic.
func (t Totals) Bytes() uint64 { return t.TransferBytes + t.RequestBytes + t.Datagrams().Bytes }

// Add returns the sum of both.
func (t Totals) Add(u Totals) Totals {
	t.Transfers += u.Transfers
	t.TransferBytes += u.TransferBytes
	t.Requests += u.Requests
	t.RequestBytes += u.RequestBytes
	t.Connections += u.Connections
	for i := range t.Classes {
		t.Classes[i] = t.Classes[i].add(u.Classes[i])
	}
	return t
}

// Direction is what went from one end to another.
type Direction struct {
	From, To string
	Totals
}

// Directions returns what has been verified so far, one by one.
func (r *Run) Directions() []Direction {
	all := make([]Direction, 0, len(r.pairs))
	for _, p := range r.pairs {
		c := &p.counts
		d := Direction{From: p.from.Name, To: p.to.Name, Totals: Totals{
			Transfers: c.transfers.Load(), TransferBytes: c.transferBytes.Load(),
			Requests: c.requests.Load(), RequestBytes: c.requestBytes.Load(), Connections: c.connections.Load(),
		}}
		for i := range c.classes {
			k := &c.classes[i]
			// Received before sent, so that the loss isn't below what it is.
			d.Classes[i] = Datagrams{Received: k.received.Load(), Bytes: k.bytes.Load(), Late: k.late.Load()}
			d.Classes[i].Sent = k.sent.Load()
		}
		all = append(all, d)
	}
	return all
}

// Totals returns what has been verified so far, of all directions.
func (r *Run) Totals() (sum Totals) {
	for _, d := range r.Directions() {
		sum = sum.Add(d.Totals)
	}
	return sum
}
