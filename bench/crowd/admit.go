package crowd

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/store"
)

const invitationLife = time.Hour

// stateFile and keyFile hold a member's state and the seed of its key.
func stateFile(dir string, n int) string { return filepath.Join(dir, fmt.Sprintf("m%d.db", n)) }
func keyFile(dir string, n int) string   { return filepath.Join(dir, fmt.Sprintf("m%d.key", n)) }

// newcomer is a member that has been admitted and doesn't know its descriptor yet.
type newcomer struct {
	key   ed25519.PrivateKey
	inv   group.Invitation
	reply group.JoinReply
}

// Admit makes so many members of the one group in the database of its authority, which must
// not run, and puts their states into dir. All of them know the descriptor that lists them all.
func Admit(authority, dir string, members int) (err error) {
	db, err := store.Open(authority)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	ids, err := group.Groups(db)
	if err != nil {
		return err
	}
	if len(ids) != 1 {
		return fmt.Errorf("%s holds %d groups: want one", authority, len(ids))
	}
	a, err := group.OpenAuthority(db, ids[0])
	if err != nil {
		return err
	}
	var all []newcomer
	for i := range members {
		n, err := admit(a, fmt.Sprintf("m%d", i+1))
		if err != nil {
			return err
		}
		all = append(all, n)
	}
	for i, n := range all {
		n.reply.Descriptor = all[members-1].reply.Descriptor
		if err := n.save(dir, i+1); err != nil {
			return err
		}
	}
	return nil
}

func admit(a *group.Authority, name string) (n newcomer, err error) {
	now := time.Now()
	if _, n.key, err = ed25519.GenerateKey(rand.Reader); err != nil {
		return n, err
	}
	token, err := a.Invite(invitationLife, nil, now)
	if err != nil {
		return n, err
	}
	if n.inv, err = group.ParseInvitation(token); err != nil {
		return n, err
	}
	n.reply, err = a.Admit(memberID(n.key), group.NewJoinRequest(n.inv, name), now)
	return n, err
}

func (n newcomer) save(dir string, number int) error {
	if err := os.WriteFile(keyFile(dir, number), n.key.Seed(), 0o600); err != nil {
		return err
	}
	db, err := store.Open(stateFile(dir, number))
	if err != nil {
		return err
	}
	_, err = group.SaveJoin(db, n.key, n.inv, n.reply, time.Now())
	return errors.Join(err, db.Close())
}

func memberID(key ed25519.PrivateKey) group.MemberID {
	return group.MemberOf(key.Public().(ed25519.PublicKey))
}
