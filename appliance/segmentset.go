package appliance

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/dhcp"
	"landbridge/internal/config"
	"landbridge/internal/division"
	"landbridge/internal/group"
	"landbridge/internal/registry"
)

// What the API takes of the rules of segments.

// PlanSegment tells what a change of a segment's rules would do, and does nothing.
func (n *node) PlanSegment(_ context.Context, ref string, req api.SegmentChange) (api.SegmentPlan, error) {
	c, err := n.readSegmentChange(ref, req, "")
	if err != nil {
		return api.SegmentPlan{}, err
	}
	return n.planSegment(c)
}

// SetSegment changes whom DHCP serves on a group's segment, or of which group the hosts there are that
// nobody named. Leases of hosts that are of another group then end.
func (n *node) SetSegment(_ context.Context, ref string, req api.SegmentChange, by string) (api.SegmentPlan, error) {
	c, err := n.readSegmentChange(ref, req, by)
	if err != nil {
		return api.SegmentPlan{}, err
	}
	plan, err := n.planSegment(c)
	if err != nil || len(plan.Changes) == 0 {
		return plan, err
	}
	if err := n.roll.setRules(c.apply, n.fits); err != nil {
		return api.SegmentPlan{}, err
	}
	n.divide()
	c.network.takeUpSettings()
	if a := c.network.attachment.Load(); a != nil && a.segment != nil {
		a.segment.lookAgain()
	}
	plan.Ended = len(n.endMoved(by, func(registry.Lease) bool { return true }))
	c.network.log.Info("whom DHCP serves has changed")
	return plan, nil
}

// segmentChange is a change of a segment's rules that was found to be right by itself.
type segmentChange struct {
	network *network
	segment *segment
	port    string // the segment's LAN port
	others  []division.Territory
	req     api.SegmentChange
	ports   dhcp.Ports // zero: they stay
	by      string
	now     time.Time
}

// readSegmentChange reads a request to change a segment's rules.
func (n *node) readSegmentChange(ref string, req api.SegmentChange, by string) (segmentChange, error) {
	nw, err := n.find(ref)
	if err != nil {
		return segmentChange{}, err
	}
	a := nw.attachment.Load()
	if a == nil || a.segment == nil {
		return segmentChange{}, console.Conflict(errors.New("this appliance isn't in router mode, in which alone it serves hosts of a LAN: landbridge mode set router --lan-port IFACE"))
	}
	c := segmentChange{network: nw, segment: a.segment, port: a.setup.LANPort, req: req, by: by, now: time.Now()}
	for _, t := range n.territories(nw.id) {
		if division.PortOf(n.cfg.Groups, n.setup(), t) == c.port {
			c.others = append(c.others, t)
		}
	}
	err = errors.Join(c.readRule(), c.readPorts(), c.readDefault())
	return c, err
}

// configured refuses to change what the configuration says.
func configured(field, says string) error {
	text := fmt.Sprintf("the configuration says %s: change it there, and start the appliance anew", says)
	return console.Conflict(errors.New(text), api.FieldError{Field: field, Detail: text})
}

func invalidField(field string, err error) error {
	return console.Invalid(fmt.Errorf("%s: %w", field, err), api.FieldError{Field: field, Detail: err.Error()})
}

// readRule judges whom DHCP is to serve.
func (c *segmentChange) readRule() error {
	now := c.network.dhcp()
	serve := dhcp.Serve(c.req.Serve)
	switch {
	case serve == "" && len(c.req.VendorClasses) == 0:
		return nil
	case serve == "":
		serve = now.Serve
	case !slices.Contains([]dhcp.Serve{dhcp.ServeOpen, dhcp.ServeVendorClass, dhcp.ServeRegistered}, serve):
		return invalidField("serve", fmt.Errorf("%q isn't one of open, vendor-class and registered", c.req.Serve))
	}
	for _, class := range c.req.VendorClasses {
		if _, err := config.ParseVendorClass(class); err != nil {
			return invalidField("vendorClasses", err)
		}
	}
	classes := c.req.VendorClasses
	if len(classes) == 0 && serve == dhcp.ServeVendorClass {
		classes = now.VendorClasses
	}
	switch {
	case len(c.req.VendorClasses) > config.MaxVendorClasses:
		return invalidField("vendorClasses", fmt.Errorf("want at most %d", config.MaxVendorClasses))
	case serve == dhcp.ServeVendorClass && len(classes) == 0:
		return invalidField("vendorClasses", errors.New("say how the vendor classes of the hosts begin, as PXEClient"))
	case serve != dhcp.ServeVendorClass && len(c.req.VendorClasses) > 0:
		return invalidField("vendorClasses", errors.New("they count only where hosts of vendor classes are served"))
	case now.ServeGiven && (serve != now.Serve || !slices.Equal(classes, now.VendorClasses)):
		return configured("serve", "which hosts get addresses (dhcp: "+string(now.Serve)+")")
	}
	c.req.Serve, c.req.VendorClasses = string(serve), classes
	return nil
}

// readPorts judges the UDP ports.
func (c *segmentChange) readPorts() (err error) {
	if c.req.DhcpPorts == "" {
		return nil
	}
	if c.ports, err = config.ParsePorts(c.req.DhcpPorts); err != nil {
		return invalidField("dhcpPorts", err)
	}
	if now := c.network.dhcp(); now.PortsGiven && c.ports != now.Ports {
		return configured("dhcpPorts", "at which ports hosts ask (dhcp-ports: "+config.PortsText(now.Ports)+")")
	}
	return nil
}

// readDefault judges of which group the hosts are to be that nobody names.
func (c *segmentChange) readDefault() error {
	n := c.network.node
	if c.req.Remainder == nil {
		return nil
	}
	for _, t := range append(c.others, territoryOf(c.network.membership)) {
		if division.IsDefault(n.cfg.Groups, t) && *c.req.Remainder != (t.ID == c.network.id) {
			return configured("remainder", "whose the hosts are that nobody names (default-group: "+n.cfg.Groups.Default+")")
		}
	}
	return nil
}

// errSegmentChanged refuses a change that starts from what isn't so any more.
var errSegmentChanged = errors.New("others have changed whom DHCP serves on this segment meanwhile: look at what it is now, and change that")

// apply makes the change, where it starts from what is.
func (c *segmentChange) apply(rules map[group.ID]ruleRecord) error {
	r, fixed := rules[c.network.id], c.network.node.cfg.DHCP
	if c.req.Version != nil && *c.req.Version != r.Version {
		return console.Conflict(errSegmentChanged)
	}
	r.Since, r.By, r.Version = c.now.UnixNano(), c.by, r.Version+1
	if c.req.Serve != "" && !fixed.ServeGiven {
		r.Serve, r.Classes = dhcp.Serve(c.req.Serve), c.req.VendorClasses
	}
	if c.ports.Server != 0 && !fixed.PortsGiven {
		r.Server, r.Client = c.ports.Server, c.ports.Client
	}
	if c.req.Remainder != nil {
		if r.Default = 0; *c.req.Remainder {
			r.Default = r.Since
			for _, t := range c.others {
				if other, known := rules[t.ID]; known && other.Default != 0 {
					other.Default, other.Since, other.By, other.Version = 0, r.Since, c.by, other.Version+1
					rules[t.ID] = other
				}
			}
		}
	}
	rules[c.network.id] = r
	return nil
}

// isHosts reports whether a lease is a host's that asks for it.
func (n *node) isHosts(l registry.Lease) bool {
	return !l.Found() && string(l.Client) != string(registry.OwnClient(n.state.self()))
}

// planSegment tells what a change does, or why it can't be.
func (n *node) planSegment(c segmentChange) (api.SegmentPlan, error) {
	plan := api.SegmentPlan{Changes: []api.SegmentPlanChange{}, Notices: []string{}}
	rules := maps.Clone(*n.roll.rules.Load())
	if err := c.apply(rules); err != nil {
		return plan, err
	}
	next, err := divide(n.cfg.Groups, division.Live{Hosts: n.roll.live().Hosts, Defaults: defaultsOf(rules)}, n.setup(), n.territories(group.ID{}))
	if err != nil {
		return plan, aboutField("remainder", err)
	}
	id := c.network.id
	if c.req.Remainder != nil && *c.req.Remainder != restIs(next, c.port, id) {
		const alone = "the group is alone on its LAN port, whose hosts are all its own; to serve only some of them, have registered hosts alone served"
		return plan, console.Conflict(errors.New(alone), api.FieldError{Field: "remainder", Detail: alone})
	}
	was, is := c.network.dhcp(), rules[id].over(n.cfg.DHCP)
	change := func(field, from, to string) {
		if from != to {
			plan.Changes = append(plan.Changes, api.SegmentPlanChange{Field: field, From: from, To: to})
		}
	}
	change("serve", ruleText(was), ruleText(is))
	change("dhcpPorts", config.PortsText(was.Ports), config.PortsText(is.Ports))
	from, to := n.restText(n.division.Load(), c), n.restText(next, c)
	if from == to && c.req.Remainder != nil && *c.req.Remainder && !n.saidDefault(c) {
		from += ", as the only group"
	}
	change("remainder", from, to)
	for _, changed := range plan.Changes {
		switch changed.Field {
		case "serve":
			plan.Notices = append(plan.Notices, c.network.ruleNotices(c.segment, is)...)
		case "dhcpPorts":
			plan.Notices = append(plan.Notices, c.network.portNotice(is.Ports))
		default:
			plan.Notices = append(plan.Notices, n.moveNotice(next, c.port))
		}
	}
	return plan, nil
}

// saidDefault reports whether somebody said that the hosts which nobody names are the group's, so that they stay so
// when other groups come to its LAN port.
func (n *node) saidDefault(c segmentChange) bool {
	return (*n.roll.rules.Load())[c.network.id].Default != 0 || division.IsDefault(n.cfg.Groups, territoryOf(c.network.membership))
}

// ruleText writes whom DHCP serves as the configuration does.
func ruleText(c config.DHCP) string {
	if c.Serve == dhcp.ServeVendorClass {
		return string(c.Serve) + " " + strings.Join(c.VendorClasses, ", ")
	}
	return string(c.Serve)
}

// restIs reports whether the hosts on a port that nobody named are a group's.
func restIs(d *division.Division, port string, id group.ID) bool {
	return d == nil || d.Rest(port) == id
}

// restText names the group whose the hosts are that nobody named.
func (n *node) restText(d *division.Division, c segmentChange) string {
	for _, t := range append(c.others, territoryOf(c.network.membership)) {
		if restIs(d, c.port, t.ID) {
			return t.Name
		}
	}
	return "no group"
}
