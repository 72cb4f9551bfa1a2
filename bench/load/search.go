package load

import "time"

// Plan says how a rate is searched.
type Plan struct {
	Size   int           // bytes of a datagram's payload, 8 at least
	Flood  time.Duration // of the unpaced trial
	Trial  time.Duration // of a paced one
	Trials int           // at most

	Unconnected bool // the socket, though there be a single destination
}

// Trial is what became of datagrams sent at one rate.
type Trial struct {
	Sent     float64 // datagrams
	Offered  float64 // datagrams per second, handed to the socket or refused by it
	Received float64 // datagrams per second
	Loss     float64 // share of the offered ones that didn't arrive
}

// Rates is what a search has found, in datagrams per second.
type Rates struct {
	Flood Trial
	OK    Trial   // the highest rate received of those with less than maxLoss lost
	Max   float64 // the highest rate received, whatever was lost
	Sent  float64 // datagrams, in all trials
}

const (
	maxLoss   = 0.01
	precision = 0.04 // of the found rate
)

// search floods, and then looks for the highest rate at which little is lost: up from
// just below what arrived of the flood, then between what was well and what wasn't.
func search(most int, try func(rate float64) (Trial, error)) (Rates, error) {
	flood, err := try(unpaced)
	if err != nil {
		return Rates{}, err
	}
	found := Rates{Flood: flood, Max: flood.Received, Sent: flood.Sent}
	rate := flood.Received * 0.9
	if rate < 1000 {
		rate = 5000 // the flood drowned everything
	}
	var well, ill float64 // the highest rate that was well, the lowest that wasn't
	for range most {
		t, err := try(rate)
		if err != nil {
			return found, err
		}
		found.Sent += t.Sent
		found.Max = max(found.Max, t.Received)
		if t.Loss < maxLoss {
			if t.Received > found.OK.Received {
				found.OK = t
			}
			well = rate
		} else {
			ill = rate
		}
		switch {
		case ill == 0 && rate >= flood.Offered:
			return found, nil // the sender is the limit
		case ill == 0:
			rate = min(rate*1.35, flood.Offered)
		case well == 0:
			rate *= 0.6
		case (ill-well)/ill < precision:
			return found, nil
		default:
			rate = (well + ill) / 2
		}
	}
	return found, nil
}
