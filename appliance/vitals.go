package appliance

import (
	"context"
	"time"

	"landbridge/console/api"
	"landbridge/internal/doctor"
	"landbridge/internal/group"
	"landbridge/internal/health"
	"landbridge/internal/overlay"
)

const (
	vitalsInterval = time.Second
	// fewConnected: a member of a large group keeps some connections only, and one with
	// fewer than these must ask to know whether it reaches the others.
	fewConnected = 3
)

// healthItems tells the API what isn't as it should be.
func (n *node) healthItems() []api.HealthItem {
	n.updates.tell(&n.health)
	n.updates.tellMachine(&n.health)
	items := []api.HealthItem{}
	for _, i := range n.health.Items() {
		items = append(items, healthItem(i))
	}
	return items
}

func healthItem(i health.Item) api.HealthItem {
	level := api.HealthLevelWarning
	if i.Level == health.Error {
		level = api.HealthLevelError
	}
	return api.HealthItem{Level: level, Component: i.Component, Text: i.Text, Remedy: i.Remedy, Since: i.Since, Count: i.Count}
}

// health returns the part of the appliance's health that is the group's.
func (n *network) health() health.Part { return n.node.health.Of(n.membership.Group().Short()) }

// keepVitals looks after the group until ctx ends, and puts what is wrong into the
// appliance's health.
func (n *network) keepVitals(ctx context.Context) {
	v := health.NewVigil(time.Now())
	h := n.health()
	tick := time.NewTicker(vitalsInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			for _, t := range v.Told() {
				h.Clear(t.Component, t.Key)
			}
			return
		case <-tick.C:
		}
		now := time.Now()
		tell, ended := v.Step(n.look(ctx).Troubles(), now)
		for _, t := range tell {
			h.Report(t, now)
		}
		for _, t := range ended {
			h.Clear(t.Component, t.Key)
		}
	}
}

// look sees how the group fares here. A member that was removed has one trouble, which
// reportStanding tells.
func (n *network) look(ctx context.Context) doctor.Sight {
	if n.standing() != nil {
		return doctor.Sight{Claimable: true}
	}
	d := n.membership.Descriptor()
	s := doctor.Sight{Group: d.Name, Router: n.node.setup().AttachesLAN(), Authority: n.authority != nil, Claimable: true, Outlook: n.registry.Outlook()}
	up := n.node.overlay.Links()
	for _, m := range d.Current() {
		if m == n.membership.Self() {
			continue
		}
		s.Others++
		if _, ok := up[m]; ok {
			s.Connected++
		}
	}
	if overlay.KeepsAll(s.Others) || s.Connected < fewConnected {
		s.Claimable = n.registry.Claimable(func(m group.MemberID) bool { _, ok := up[m]; return ok })
	}
	if !s.Claimable && !overlay.KeepsAll(s.Others) {
		s.Claimable = n.registry.Answered(ctx)
	}
	return s
}
