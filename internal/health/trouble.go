package health

// Level says how much of a trouble it is.
type Level uint8

// The levels.
const (
	Warning Level = iota
	Error         // somebody can't work
)

// Finding says in words what is wrong, in whole sentences. The zero Finding: nothing is.
type Finding struct {
	Text   string // what is wrong, and what it means
	Remedy string // what to do about it
}

// String returns it as a log has it.
func (f Finding) String() string {
	if f.Remedy == "" {
		return f.Text
	}
	return f.Text + " " + f.Remedy
}

// Trouble is a finding that lasts.
type Trouble struct {
	Level     Level
	Component string // the part of the appliance that says so
	Key       string // the same as long as it is the same trouble of the component
	Finding
}
