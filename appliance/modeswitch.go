package appliance

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/iface"
)

const (
	defaultConfirmTime = time.Minute
	returnRetry        = time.Second // between attempts to go back
)

// modes switches how the appliance is attached: one switch at a time, which is applied,
// verified, and then undone by itself unless somebody confirms it in time. See
// modestate.go for what is on disk when.
//
// node.joining is held by whoever replaces attachments, so that no group comes or goes
// meanwhile; mu guards the fields, and is never held across a change to the system.
type modes struct {
	node   *node
	ctx    context.Context // ends what waits
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu       sync.Mutex
	record   modeRecord
	state    api.ModePendingState
	deadline time.Time   // for confirmation; zero until the switch is applied
	timer    *time.Timer // that rolls back then
}

func newModes(n *node, r modeRecord) *modes {
	m := &modes{node: n, record: r}
	m.ctx, m.cancel = context.WithCancel(n.base)
	return m
}

// close ends what waits. A switch that is pending stays so on disk: the next start goes
// back.
func (m *modes) close() {
	m.cancel()
	m.mu.Lock()
	m.stopTimer()
	m.mu.Unlock()
	m.work.Wait()
}

// stopTimer has nobody wait for confirmation any more. The caller holds mu.
func (m *modes) stopTimer() {
	if m.timer != nil && m.timer.Stop() {
		m.work.Done()
	}
	m.timer, m.deadline = nil, time.Time{}
}

// settled refuses what can't be done during a switch: groups come and go before or after.
func (m *modes) settled() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.record.Pending == nil {
		return nil
	}
	return console.Conflict(fmt.Errorf("the switch to %v is not ended: confirm it (landbridge mode confirm) or go back (landbridge mode rollback) first", m.record.Pending.To))
}

// run applies and verifies a switch, and has it wait for confirmation. What fails is
// undone when it returns. The caller holds node.joining.
func (m *modes) run(to setup, patience time.Duration, confirmed bool) error {
	n := m.node
	reached := n.reached(m.ctx)
	if err := m.begin(to); err != nil {
		return err
	}
	n.log.Info("mode switch begins", "mode", to.String())
	err := n.reattach(to)
	if err == nil {
		err = n.verify(m.ctx, reached)
	}
	if err != nil {
		return m.failed(to, err)
	}
	if confirmed {
		return m.commit()
	}
	m.await(patience)
	return nil
}

// begin puts the switch on disk.
func (m *modes) begin(to setup) error {
	m.mu.Lock()
	next := m.record.begin(m.node.setup(), to, m.node.cfg.configured())
	m.mu.Unlock()
	if err := m.store(next); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state = api.ModePendingStateApplying
	return nil
}

// store makes a record the one that counts, on disk first.
func (m *modes) store(r modeRecord) error {
	if err := m.node.state.setMode(r); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.record = r
	return nil
}

// failed goes back from a switch that came to nothing, and says why it did.
func (m *modes) failed(to setup, why error) error {
	if m.ctx.Err() != nil {
		return console.Unavailable(errors.New("the appliance is stopping: the next start goes back to the former mode"))
	}
	m.node.log.Warn("mode switch failed", "mode", to.String(), "err", why)
	if err := m.back(why.Error()); err != nil {
		return err
	}
	return console.Unavailable(fmt.Errorf("the switch to %v failed, and the appliance is in %v again: %w", to, m.node.setup(), why))
}

// await gives the operator time to confirm.
func (m *modes) await(patience time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.state, m.deadline = api.ModePendingStateWaiting, time.Now().Add(patience)
	if m.ctx.Err() != nil {
		return // the next start goes back
	}
	m.work.Add(1)
	m.timer = time.AfterFunc(patience, func() {
		defer m.work.Done()
		m.expire(patience)
	})
	m.node.health.report(api.HealthLevelWarning, "mode", "pending", fmt.Sprintf(
		"The switch to %v waits for confirmation until %s: landbridge mode confirm keeps it, otherwise the appliance goes back.", m.record.Pending.To, m.deadline.Format(time.TimeOnly)), time.Now())
}

// expire goes back, unless somebody was faster.
func (m *modes) expire(patience time.Duration) {
	m.node.joining.Lock()
	defer m.node.joining.Unlock()
	m.mu.Lock()
	due := m.record.Pending != nil && m.state == api.ModePendingStateWaiting && !time.Now().Before(m.deadline) && m.ctx.Err() == nil
	m.mu.Unlock()
	if !due {
		return
	}
	_ = m.back(fmt.Sprintf("nobody confirmed it within %v", patience)) // it has said so where it failed
}

// settle ends the waiting: nobody has to confirm any more.
func (m *modes) settle() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.stopTimer()
	m.node.health.clear("mode", "pending")
}

// commit keeps the mode that was switched to. The caller holds node.joining.
func (m *modes) commit() error {
	m.mu.Lock()
	next := m.record.commit(m.node.cfg.configured(), time.Now())
	m.mu.Unlock()
	if err := m.store(next); err != nil {
		return err // it waits on, and goes back
	}
	m.settle()
	m.node.log.Info("mode switch confirmed", "mode", next.Committed.Setup.String())
	return nil
}

// back attaches the appliance as it was before the switch. Where that fails it is tried
// until it succeeds, and the error says so. The caller holds node.joining.
func (m *modes) back(why string) error {
	m.settle()
	m.mu.Lock()
	m.state = api.ModePendingStateReturning
	to := m.record.Committed.Setup
	m.mu.Unlock()
	err := m.tryBack(to, why)
	if err == nil {
		return nil
	}
	m.work.Go(func() { m.keepTrying(to, why) })
	return console.Unavailable(fmt.Errorf("the switch was undone (%s), but %v can't be had again yet: %w; it is tried until it can", why, to, err))
}

func (m *modes) tryBack(to setup, why string) error {
	n := m.node
	if err := n.reattach(to); err != nil {
		n.log.Error("can't go back to the former mode yet", "mode", to.String(), "err", err)
		n.health.report(api.HealthLevelError, "mode", "return",
			fmt.Sprintf("No host is attached: going back to %v fails: %v. It is tried again every second.", to, err), time.Now())
		return err
	}
	n.health.clear("mode", "return")
	m.mu.Lock()
	next := m.record.undo(why, time.Now())
	m.mu.Unlock()
	if err := m.store(next); err != nil { // the next start goes back all the same
		n.log.Error("the end of the mode switch isn't on disk", "err", err)
		m.mu.Lock()
		m.record = next
		m.mu.Unlock()
	}
	n.log.Info("mode switch undone", "mode", to.String(), "why", why)
	return nil
}

func (m *modes) keepTrying(to setup, why string) {
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-time.After(returnRetry):
		}
		m.node.joining.Lock()
		err := m.ctx.Err()
		if err == nil {
			err = m.tryBack(to, why)
		}
		m.node.joining.Unlock()
		if err == nil {
			return
		}
	}
}

// reattach has all groups attached as the setup says, or, where one of them can't be, none.
// Whatever the former attachments left is put right between. The caller holds joining.
func (n *node) reattach(to setup) error {
	networks := n.running()
	for _, nw := range networks {
		if err := nw.detach(); err != nil {
			n.log.Warn("devices not all taken down", "group", nw.membership.Descriptor().Name, "err", err)
		}
	}
	if err := iface.Recover(n.state.owner(), n.log, n.keptPorts(to)...); err != nil {
		return err
	}
	n.setSetup(to)
	n.divide()
	for i, nw := range networks {
		if err := nw.attachAgain(to); err != nil {
			for _, done := range networks[:i] {
				err = errors.Join(err, done.detach())
			}
			return err
		}
	}
	return nil
}

// attachAgain attaches a group that was detached.
func (n *network) attachAgain(to setup) error {
	a, err := n.openAttachment(n.placed(to))
	if err != nil {
		return err
	}
	return n.enliven(n.base, a)
}
