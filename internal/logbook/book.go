package logbook

import (
	"log/slog"
	"sync"
	"time"
)

// Bounds of one line, in bytes.
const (
	maxMessage = 4 << 10
	maxValue   = 4 << 10
	maxFields  = 32
	lineCost   = 96 // what a line takes beside its text
)

// Line is a record as it was logged.
type Line struct {
	ID      int64 // from 1, by one
	Time    time.Time
	Level   slog.Level
	Message string
	Fields  []Field
}

// Field is a name and a value as text.
type Field struct{ Name, Value string }

// Book keeps the last lines. Make one with New. Safe for concurrent use.
type Book struct {
	mu    sync.Mutex
	lines []Line // a ring of at most cap(lines)
	first int    // where the oldest is
	n     int
	last  int64 // ID of the youngest
	bytes int
	most  int // bytes
}

// New returns a book of at most lines lines and about bytes bytes.
func New(lines, bytes int) *Book {
	return &Book{lines: make([]Line, lines), most: bytes}
}

// add keeps a line and gives it its ID.
func (b *Book) add(l Line) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last++
	l.ID = b.last
	if b.n == len(b.lines) {
		b.forget()
	}
	b.lines[(b.first+b.n)%len(b.lines)] = l
	b.n++
	b.bytes += l.size()
	for b.bytes > b.most && b.n > 1 {
		b.forget()
	}
}

// forget drops the oldest line.
func (b *Book) forget() {
	b.bytes -= b.lines[b.first].size()
	b.lines[b.first] = Line{}
	b.first = (b.first + 1) % len(b.lines)
	b.n--
}

// Since returns the lines after the one with an ID, oldest first; 0 is before the first. last is
// the ID of the youngest line, whether it is returned or not; lost says that some after the one
// asked for are no longer kept. What is returned is the caller's, but for the fields, which nobody changes.
func (b *Book) Since(after int64) (lines []Line, last int64, lost bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	oldest := b.last - int64(b.n) + 1
	skip := min(max(after-oldest+1, 0), int64(b.n))
	for i := int(skip); i < b.n; i++ {
		lines = append(lines, b.lines[(b.first+i)%len(b.lines)])
	}
	return lines, b.last, after > 0 && after+1 < oldest
}

func (l Line) size() int {
	n := lineCost + len(l.Message)
	for _, f := range l.Fields {
		n += len(f.Name) + len(f.Value) + 32
	}
	return n
}
