package strangers

// Counts is what came of the hosts with an address of their own.
type Counts struct {
	Adopted       uint64 // leased the address that they use
	Renewed       uint64 // of these, renewed
	Refused       uint64 // not leased, as it can't be
	NotLookedInto uint64 // beyond what is looked into at a time
}

// Counts returns what was counted so far.
func (s *Strangers) Counts() Counts {
	t := s.statics
	t.mu.Lock()
	defer t.mu.Unlock()
	return Counts{Adopted: t.adopted.Load(), Renewed: t.renewed.Load(), Refused: t.refused.Load(), NotLookedInto: t.census.dropped}
}
