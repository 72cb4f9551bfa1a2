package group

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
	"unicode"
	"unicode/utf8"

	"landbridge/internal/store"
)

const (
	// MaxInvitationUses bounds how many nodes an invitation admits.
	MaxInvitationUses = 1000
	// MaxNote bounds what a person writes beside an invitation, in bytes.
	MaxNote = 200

	// maxInvitations bounds the invitations that an authority remembers.
	maxInvitations = 1024
	// rememberInvitation is how long after its end an invitation is remembered.
	rememberInvitation = 30 * 24 * time.Hour
)

// Terms are what an invitation is good for.
type Terms struct {
	Life time.Duration // MinInvitationLife to MaxInvitationLife
	Uses int           // how many nodes it admits, 1 to MaxInvitationUses; 0 is 1
	// Approval has who uses it wait until somebody says yes: see Approve.
	Approval bool
	Note     string // for those who look at the list: one line, at most MaxNote bytes
	// Addrs are multiaddrs with /p2p/ID, at most MaxInvitationAddrs, of this node first;
	// without any, the newcomer must find a member on its own LAN.
	Addrs []string
}

func (t Terms) validate() error {
	var faults []error
	if t.Life < MinInvitationLife || t.Life > MaxInvitationLife {
		faults = append(faults, fmt.Errorf("invitation: a life of %v; must be %v to %v", t.Life, MinInvitationLife, MaxInvitationLife))
	}
	if t.Uses < 1 || t.Uses > MaxInvitationUses {
		faults = append(faults, fmt.Errorf("invitation: %d uses; must be 1 to %d", t.Uses, MaxInvitationUses))
	}
	return errors.Join(append(faults, validateLine("note", t.Note))...)
}

// validateLine checks what a person wrote, for others to read in one line.
func validateLine(what, text string) error {
	switch {
	case len(text) > MaxNote:
		return fmt.Errorf("%s: %d bytes long, at most %d are allowed", what, len(text), MaxNote)
	case !utf8.ValidString(text):
		return fmt.Errorf("%s: must be UTF-8 text", what)
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			return fmt.Errorf("%s: must be one line of letters, digits, signs and spaces, and has %U", what, r)
		}
	}
	return nil
}

// InvitationID names an invitation to its authority. It tells nothing of the secret.
type InvitationID [invitationIDSize]byte

const invitationIDSize = 8

// ParseInvitationID reads the form that String writes: 16 hexadecimal digits.
func ParseInvitationID(s string) (id InvitationID, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return id, fmt.Errorf("invitation ID %.20q: want %d hexadecimal digits", s, 2*len(id))
	}
	copy(id[:], b)
	return id, nil
}

// String returns the ID as 16 hexadecimal digits.
func (id InvitationID) String() string { return hex.EncodeToString(id[:]) }

// Issued is an invitation as its authority remembers it.
type Issued struct {
	ID      InvitationID
	Made    time.Time // zero for one that an older version made
	Expires time.Time
	Limit   int // how many nodes it admits
	Uses    []Use
	Note    string
	Revoked time.Time // zero unless it was revoked

	Approval bool // who uses it waits for a yes
}

// Use is one admission by an invitation.
type Use struct {
	_  struct{} `cbor:",toarray"`
	By MemberID
	At time.Time
}

// Open reports whether the invitation admits another node at now.
func (i Issued) Open(now time.Time) bool {
	return i.Revoked.IsZero() && !now.After(i.Expires) && len(i.Uses) < i.Limit
}

// hashSecret is what the authority keeps of a secret; its first bytes are the ID.
func hashSecret(s Secret) []byte {
	sum := sha256.Sum256(append([]byte("landbridge secret 1\x00"), s[:]...))
	return sum[:]
}

func invitationKey(hash []byte) []byte { return hash[:invitationIDSize] }

// Invite is Issue of an invitation for one node; it returns the token alone.
func (a *Authority) Invite(ttl time.Duration, addrs []string, now time.Time) (string, error) {
	token, _, err := a.Issue(Terms{Life: ttl, Addrs: addrs}, now)
	return token, err
}

// Issue makes an invitation and returns its token, which is stored nowhere.
func (a *Authority) Issue(t Terms, now time.Time) (token string, made Issued, err error) {
	t.Uses = cmp.Or(t.Uses, 1)
	if err := t.validate(); err != nil {
		return "", Issued{}, err
	}
	inv := Invitation{Group: a.id, Addrs: t.Addrs, Expires: now.Add(t.Life).Truncate(time.Second)}
	if _, err := rand.Read(inv.Secret[:]); err != nil {
		return "", Issued{}, err
	}
	record := invitationRecord{Hash: hashSecret(inv.Secret), Expires: inv.Expires, Made: now, Limit: t.Uses, Note: t.Note, Approval: t.Approval}
	a.mu.Lock()
	defer a.mu.Unlock()
	err = a.db.Update(func(tx *store.Tx) error {
		d, err := a.load(tx)
		if err != nil {
			return err
		}
		inv.Authority, inv.Prefix = d.Authority, d.Prefix
		if token, err = inv.Token(); err != nil {
			return err
		}
		if err := forgetInvitations(tx, a.id, now); err != nil {
			return err
		}
		return invitations(a.id).Put(tx, invitationKey(record.Hash), record)
	})
	if err != nil {
		return "", Issued{}, fmt.Errorf("invite to group %s: %w", a.id.Short(), err)
	}
	return token, record.issued(), nil
}

// forgetInvitations makes room: those long over go, and where that isn't enough, all
// that are over or revoked.
func forgetInvitations(tx *store.Tx, group ID, now time.Time) error {
	bucket := invitations(group)
	for _, tight := range []bool{false, true} {
		var failed error
		left := 0
		for key, record := range bucket.Scan(tx, nil, &failed) {
			past := now.Sub(record.Expires)
			if past <= 0 && (record.Revoked.IsZero() || !tight) || past <= rememberInvitation && !tight {
				left++
			} else if err := bucket.Delete(tx, key); err != nil {
				return err
			}
		}
		if failed != nil || left < maxInvitations {
			return failed
		}
	}
	return fmt.Errorf("%d invitations are open: wait until one expires, or revoke some", maxInvitations)
}

// Invitations lists the invitations that are remembered: the open ones, and those that
// have ended within the last 30 days, in no order.
func (a *Authority) Invitations() (all []Issued, err error) {
	err = a.db.View(func(tx *store.Tx) (failed error) {
		for _, record := range invitations(a.id).Scan(tx, nil, &failed) {
			all = append(all, record.issued())
		}
		return failed
	})
	if err != nil {
		return nil, fmt.Errorf("invitations of group %s: %w", a.id.Short(), err)
	}
	return all, nil
}

// Revoke ends an invitation: it admits nobody any more, and who waits for approval by it
// is refused. Whom it has admitted stays a member. It fails with ErrUnknownInvitation; one that was revoked before stays as it is.
func (a *Authority) Revoke(id InvitationID, now time.Time) (gone Issued, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	err = a.db.Update(func(tx *store.Tx) error {
		record, ok, err := invitations(a.id).Get(tx, id[:])
		if err != nil {
			return err
		}
		if !ok {
			return ErrUnknownInvitation
		}
		gone, err = a.revoke(tx, record, now)
		return err
	})
	if err != nil {
		return Issued{}, fmt.Errorf("revoke invitation %v: %w", id, err)
	}
	a.asks.tell(struct{}{})
	return gone, nil
}

func (a *Authority) revoke(tx *store.Tx, record invitationRecord, now time.Time) (Issued, error) {
	if record.Revoked.IsZero() {
		record.Revoked = now
	}
	key := invitationKey(record.Hash)
	return record.issued(), errors.Join(a.dropRequests(tx, key), invitations(a.id).Put(tx, key, record))
}

// RevokeAll is Revoke of all that are open, in one transaction.
func (a *Authority) RevokeAll(now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.db.Update(func(tx *store.Tx) error {
		var open []invitationRecord
		var failed error
		for _, record := range invitations(a.id).Scan(tx, nil, &failed) {
			if record.issued().Open(now) {
				open = append(open, record)
			}
		}
		for _, record := range open {
			_, err := a.revoke(tx, record, now)
			failed = errors.Join(failed, err)
		}
		return failed
	})
	if err != nil {
		return fmt.Errorf("revoke the invitations of group %s: %w", a.id.Short(), err)
	}
	a.asks.tell(struct{}{})
	return nil
}
