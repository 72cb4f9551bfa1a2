package appliance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/internal/group"
	"landbridge/internal/health"
	"landbridge/internal/overlay"
	"landbridge/internal/sorting"
	"landbridge/internal/store"
)

// A newcomer whose invitation demands approval keeps it in the state, and asks the group's
// authority again and again, also after a restart, until it is let in or refused.

const (
	// maxApplications bounds the groups for which this appliance waits.
	maxApplications = 16
	// askSoon is how often the authority is asked while somebody is likely to look,
	// askLater how often after askSoonFor.
	askSoon    = 2 * time.Second
	askLater   = 10 * time.Second
	askSoonFor = 10 * time.Minute
)

// application is an invitation that waits for approval.
type application struct {
	Token   string    `cbor:"1,keyasint"`
	Name    string    `cbor:"2,keyasint"`
	Since   time.Time `cbor:"3,keyasint"`
	Refused string    `cbor:"4,keyasint,omitempty"` // why; empty while it waits

	id group.ID
}

func applicationBucket() store.Bucket[application] {
	return store.NewBucket[application]("applications")
}

// awaitsApproval reports whether err means: ask again.
func awaitsApproval(err error) bool {
	return errors.Is(err, group.ErrAwaitingApproval) || errors.Is(err, group.ErrCrowded)
}

// knock uses an invitation. Where it demands approval, what to ask again with is stored, and
// returned; else the authority's reply is, which the caller takes up.
func (s *state) knock(ctx context.Context, o *overlay.Overlay, token, name string, inv group.Invitation) (group.JoinReply, *application, error) {
	former, waited, err := s.application(inv.Group)
	if err != nil {
		return group.JoinReply{}, nil, err
	}
	waited = waited && former.Token == token && former.Refused == ""
	if err := inv.Check(time.Now()); err != nil && !waited { // it was used in time, if it was
		return group.JoinReply{}, nil, console.Invalid(err, api.FieldError{Field: "token", Detail: err.Error()})
	}
	reply, err := apply(ctx, s, o, name, inv)
	if err == nil {
		return reply, nil, nil
	}
	if !waited {
		former = application{Token: token, Name: group.NodeName(name), Since: time.Now(), id: inv.Group}
	}
	waiting, err := s.turnedAway(former, waited, err)
	return group.JoinReply{}, waiting, err
}

// turnedAway takes down what the authority said to who isn't let in, or not yet: what to ask with again is
// stored where it isn't yet, and returned; that one was refused is, unless it was withdrawn or replaced meanwhile.
func (s *state) turnedAway(a application, waited bool, said error) (*application, error) {
	switch {
	case awaitsApproval(said) && waited:
		return &a, nil
	case awaitsApproval(said):
		if err := s.keepApplication(a); err != nil {
			return nil, err
		}
		return &a, nil
	case refusesNewcomer(said) && waited:
		return nil, errors.Join(said, s.refuseApplication(a, said))
	}
	return nil, said
}

// application returns what this appliance waits for in a group.
func (s *state) application(id group.ID) (a application, ok bool, err error) {
	err = s.db.View(func(tx *store.Tx) error {
		a, ok, err = applicationBucket().Get(tx, id[:])
		return err
	})
	a.id = id
	return a, ok, err
}

// applications returns all that this appliance waits for, or was refused, the first first.
func (s *state) applications() (all []application, err error) {
	err = s.db.View(func(tx *store.Tx) (failed error) {
		for key, a := range applicationBucket().Scan(tx, nil, &failed) {
			if copy(a.id[:], key) == len(a.id) {
				all = append(all, a)
			}
		}
		return failed
	})
	sorting.By(all, func(x, y application) int { return x.Since.Compare(y.Since) })
	return all, err
}

func (s *state) keepApplication(a application) error {
	return s.db.Update(func(tx *store.Tx) error {
		if _, known, err := applicationBucket().Get(tx, a.id[:]); err != nil || !known && applicationBucket().Len(tx) >= maxApplications {
			return errors.Join(err, console.Conflict(fmt.Errorf("this appliance waits to be let into %d groups already: landbridge join cancel ends one", maxApplications)))
		}
		return applicationBucket().Put(tx, a.id[:], a)
	})
}

func (s *state) refuseApplication(a application, why error) error {
	return s.db.Update(func(tx *store.Tx) error {
		kept, known, err := applicationBucket().Get(tx, a.id[:])
		if err != nil || !known || kept.Token != a.Token {
			return err
		}
		kept.Refused = why.Error()
		return applicationBucket().Put(tx, a.id[:], kept)
	})
}

func (s *state) forgetApplication(id group.ID) error {
	return s.db.Update(func(tx *store.Tx) error { return applicationBucket().Delete(tx, id[:]) })
}

// waits tells of an application, if there is one, in answer to Join.
func (s *state) waits(a *application) api.Joined {
	if a == nil {
		return api.Joined{}
	}
	v := s.describeApplication(*a, "")
	return api.Joined{Waiting: &v}
}

func (s *state) describeApplication(a application, why string) api.JoinApplication {
	v := api.JoinApplication{
		Group: a.id.String(), State: api.JoinStateWaiting, Fingerprint: s.self().Fingerprint(), Name: a.Name, Since: a.Since.UTC(), Why: why,
	}
	if a.Refused != "" {
		v.State, v.Why = api.JoinStateRefused, a.Refused
	}
	return v
}

// pursuits are the applications that are asked for in the background.
type pursuits struct {
	mu      sync.Mutex
	ends    map[group.ID]context.CancelFunc
	why     map[group.ID]string // why the authority couldn't be asked last
	closed  bool
	running sync.WaitGroup
}

// resumeApplications goes on with what the state has.
func (n *node) resumeApplications() error {
	all, err := n.state.applications()
	for _, a := range all {
		_, already, err := n.state.alreadyIn(a.id)
		if err == nil && already {
			err = n.state.forgetApplication(a.id)
		}
		if err != nil {
			return err
		}
		if !already {
			n.pursue(a.id, &a)
		}
	}
	return err
}

// pursueKept goes on with what the state has of a group, if it has anything.
func (n *node) pursueKept(id group.ID) error {
	a, known, err := n.state.application(id)
	if err != nil || !known {
		return err
	}
	n.pursue(id, &a)
	return nil
}

// pursue has an application asked for from now on, and no more where it is nil.
func (n *node) pursue(id group.ID, a *application) {
	p := &n.pursuits
	p.mu.Lock()
	defer p.mu.Unlock()
	if end := p.ends[id]; end != nil {
		end()
	}
	delete(p.ends, id)
	delete(p.why, id)
	n.reportApplication(id, a)
	if a == nil || a.Refused != "" || p.closed {
		return
	}
	if p.ends == nil {
		p.ends, p.why = make(map[group.ID]context.CancelFunc), make(map[group.ID]string)
	}
	ctx, cancel := context.WithCancel(n.base)
	p.ends[id] = cancel
	p.running.Go(func() {
		defer cancel()
		n.askUntilDecided(ctx, *a)
	})
}

// unlessEnded does something for the pursuit that has this context, unless it was ended: withdrawn, or begun anew.
func (p *pursuits) unlessEnded(ctx context.Context, do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() == nil {
		do()
	}
}

// close ends all pursuits, for the next run to go on with.
func (p *pursuits) close() {
	p.mu.Lock()
	p.closed = true
	for _, end := range p.ends {
		end()
	}
	p.mu.Unlock()
	p.running.Wait()
}

func (n *node) askUntilDecided(ctx context.Context, a application) {
	for {
		wait := askSoon
		if time.Since(a.Since) > askSoonFor {
			wait = askLater
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		decided, err := n.askAgain(ctx, a)
		if decided || ctx.Err() != nil {
			return
		}
		n.pursuits.unlessEnded(ctx, func() {
			n.pursuits.why[a.id] = ""
			if err != nil {
				n.pursuits.why[a.id] = err.Error()
			}
		})
	}
}

// askAgain asks once, and takes up what comes of it. decided ends the asking.
func (n *node) askAgain(ctx context.Context, a application) (decided bool, err error) {
	inv, err := parseInvitation(a.Token)
	if err != nil {
		return true, err
	}
	reply, waiting, err := n.state.knock(ctx, n.overlay, a.Token, a.Name, inv)
	switch {
	case waiting != nil:
		return false, err
	case refusesNewcomer(err):
		a.Refused = err.Error()
		n.pursuits.unlessEnded(ctx, func() {
			n.log.Warn("not admitted to a group", "group", a.id.Short(), "err", err)
			n.reportApplication(a.id, &a)
		})
		return true, err
	case err != nil:
		return false, err
	}
	n.joining.Lock()
	defer n.joining.Unlock()
	if ctx.Err() != nil {
		return true, nil
	}
	if err := n.settled(); err != nil {
		return false, err
	}
	if _, already, err := n.state.alreadyIn(a.id); already || err != nil {
		return already, err
	}
	if _, err := n.enter(inv, reply); err != nil {
		return false, err
	}
	n.log.Info("admitted to a group", "group", a.id.Short())
	n.reportApplication(a.id, nil)
	return true, nil
}

// reportApplication says in words what this appliance waits for.
func (n *node) reportApplication(id group.ID, a *application) {
	t := health.Trouble{Level: health.Warning, Component: "group", Key: id.Short() + " application"}
	switch {
	case a == nil:
		n.health.Clear(t.Component, t.Key)
		return
	case a.Refused != "":
		t.Level, t.Text = health.Error, fmt.Sprintf("This appliance wasn't let into the group %s: %s.", id.Short(), a.Refused)
		t.Remedy = fmt.Sprintf("To be rid of this message: landbridge join cancel %s.", id.Short())
	default:
		t.Text = fmt.Sprintf("This appliance waits to be let into the group %s. Its fingerprint is %s.", id.Short(), n.state.self().Fingerprint())
		t.Remedy = "Have somebody approve of it at the appliance that invited it, who compares the fingerprint there with this one."
	}
	n.health.Report(t, time.Now())
}

// Applications lists what this appliance waits for, and what it was refused.
func (n *node) Applications(context.Context) ([]api.JoinApplication, error) {
	all, err := n.state.applications()
	n.pursuits.mu.Lock()
	defer n.pursuits.mu.Unlock()
	list := make([]api.JoinApplication, 0, len(all))
	for _, a := range all {
		list = append(list, n.state.describeApplication(a, n.pursuits.why[a.id]))
	}
	return list, err
}

// WithdrawApplication ends the wait for a group.
func (n *node) WithdrawApplication(_ context.Context, ref string) (api.JoinApplication, error) {
	n.joining.Lock() // it isn't being admitted just now
	defer n.joining.Unlock()
	a, err := n.state.withdraw(ref)
	if err == nil {
		n.pursue(a.id, nil)
	}
	return n.state.describeApplication(a, ""), err
}

// withdraw forgets the application for the group whose ID begins so.
func (s *state) withdraw(ref string) (application, error) {
	all, err := s.applications()
	if err != nil {
		return application{}, err
	}
	all = slices.DeleteFunc(all, func(a application) bool { return !strings.HasPrefix(a.id.String(), strings.ToLower(ref)) })
	switch len(all) {
	case 0:
		return application{}, console.NotFound(fmt.Errorf("this appliance waits to be let into no group %.64q", ref))
	case 1:
		return all[0], s.forgetApplication(all[0].id)
	}
	return application{}, console.NotFound(fmt.Errorf("this appliance waits to be let into %d groups whose IDs begin with %.64q: give more of the ID", len(all), ref))
}

// Applications asks once for each group that is waited for, as no daemon does, and lists
// what this appliance waits for still, and what it was refused.
func (o *Offline) Applications(ctx context.Context) ([]api.JoinApplication, error) {
	all, err := o.state.applications()
	if err != nil {
		return nil, err
	}
	list := make([]api.JoinApplication, 0, len(all))
	for _, a := range all {
		why := ""
		if a.Refused == "" {
			inv, err := parseInvitation(a.Token)
			if err != nil {
				return nil, err
			}
			if _, _, err = o.ask(ctx, a.Token, a.Name, inv); err != nil {
				why = err.Error()
			}
		}
		now, still, err := o.state.application(a.id)
		if err != nil {
			return nil, err
		}
		if still {
			list = append(list, o.state.describeApplication(now, why))
		}
	}
	return list, nil
}

// WithdrawApplication ends the wait for a group.
func (o *Offline) WithdrawApplication(_ context.Context, ref string) (api.JoinApplication, error) {
	a, err := o.state.withdraw(ref)
	return o.state.describeApplication(a, ""), err
}
