package web

import (
	"fmt"
	"math"
	"net/url"
	"slices"

	"landbridge/console/api"
)

// How many members a picture shows one by one; more are shown in groups. On a phone each takes a
// line of its own.
const most, mostNarrow = 40, 16

// picture is the overlay as this site sees it: this site, its hosts, and the way to each
// other member. Lengths are in the units of the picture's view box, which are pixels where
// there is room.
//
//	wide                                narrow (phones)
//	  a ●──╮  ┌───────────┐  ╭──● c       ┌────────────┐
//	       ├──┤ this site ├──┤            │ this site  │
//	  b ●──╯  └─────┬─────┘  ╰──● d       └┬───────────┘
//	            ▪ ▪ ▪ hosts                ├──● a
//	                                       ╰──● b
type picture struct {
	Narrow        bool
	Width, Height float64
	Self          box
	Name, Detail  string // of this site
	Hosts         []api.Lease
	MoreHosts     int
	HostsX        []float64
	HostsY        float64
	Trunk         string // narrow only: the line from which all others branch off
	Nodes         []node
}

type box struct{ X, Y, W, H float64 }

// Middle is where the box's text is centred.
func (b box) Middle() float64 { return b.X + b.W/2 }

// Bottom is the lower edge.
func (b box) Bottom() float64 { return b.Y + b.H }

// node is a member, or a group of members that are reached alike.
type node struct {
	Kind      kind
	X, Y      float64 // of its dot
	TextX     float64
	Anchor    string // start or end
	Name, Via string
	Latency   int64
	Rate      rate
	Why       string
	Line      string  // the path's d
	Thick     float64 // of the line
	Roomy     bool    // room for a second line of text
	Count     int     // of a group
	Dots      []dot   // a group's members
	Link      string
	members   []link // of a group
}

// dot is a member of a group.
type dot struct {
	X, Y    float64
	Name    string
	Latency int64
}

// site is what a picture shows of this site.
type site struct {
	Name, Detail string
	Hosts        []api.Lease
	Total        int
}

// Measures of the two pictures.
const (
	wideWidth, narrowWidth = 760.0, 340.0
	selfW, selfH           = 156.0, 62.0
	dotX                   = 190.0 // of the left column; the right one mirrors it
	hostPitch, hostMost    = 18.0, 9
	dotPitch, dotsInRow    = 9.0, 18
)

// draw makes the picture, wide or narrow.
func draw(s site, links []link, narrow bool) picture {
	alone := most
	if narrow {
		alone = mostNarrow
	}
	nodes := nodesOf(links, alone)
	p := picture{Narrow: narrow, Name: s.Name, Detail: s.Detail, Hosts: s.Hosts[:min(len(s.Hosts), hostMost)]}
	p.MoreHosts = s.Total - len(p.Hosts)
	if narrow {
		p.narrow(nodes)
	} else {
		p.wide(nodes)
	}
	for i := range p.Hosts {
		p.HostsX = append(p.HostsX, p.hostsFrom()+float64(i)*hostPitch)
	}
	return p
}

// HostsEnd is where the row of hosts is over.
func (p picture) HostsEnd() float64 { return p.hostsFrom() + float64(len(p.Hosts))*hostPitch + 4 }

// LANX is where the line to the hosts leaves this site.
func (p picture) LANX() float64 {
	if p.Narrow {
		return p.hostsFrom() + 6
	}
	return p.Self.Middle()
}

func (p picture) hostsFrom() float64 {
	if p.Narrow {
		return 54
	}
	return p.Self.Middle() - float64(len(p.Hosts))*hostPitch/2 + 3
}

// nodeOf makes a node of a member.
func nodeOf(l link) node {
	return node{
		Kind: l.Kind, Name: l.Name, Via: l.ViaName, Latency: l.RttMicroseconds, Rate: l.Rate, Why: l.Why,
		Link: "/members?" + url.Values{"search": {l.Name}}.Encode(),
	}
}

// nodesOf makes a node of each member where they are no more than alone, else of each way to
// reach members; who is the only one of its way is shown as itself.
func nodesOf(links []link, alone int) []node {
	var nodes []node
	if len(links) <= alone {
		for _, l := range links {
			nodes = append(nodes, nodeOf(l))
		}
		return nodes
	}
	for _, l := range links {
		i := slices.IndexFunc(nodes, func(n node) bool { return n.Kind == l.Kind })
		if i < 0 {
			i = len(nodes)
			nodes = append(nodes, node{Kind: l.Kind, Link: "/members?" + url.Values{"path": {string(l.Kind)}}.Encode()})
		}
		n := &nodes[i]
		n.Count++
		n.members = append(n.members, l)
		n.Rate.Sent += l.Rate.Sent
		n.Rate.Received += l.Rate.Received
		if l.RttMicroseconds > 0 && (n.Latency == 0 || l.RttMicroseconds < n.Latency) {
			n.Latency = l.RttMicroseconds
		}
	}
	for i, n := range nodes {
		if n.Count == 1 {
			nodes[i] = nodeOf(n.members[0])
		}
	}
	return nodes
}

// thickness of a line: a pixel and a half, and a pixel more for each tenfold of traffic from 10 kbit/s.
func thickness(r rate) float64 {
	if r.Sum() < 1e4 {
		return 1.5
	}
	return math.Min(1.5+math.Log10(r.Sum()/1e4)+1, 8)
}

// height of a node, with the space below it.
func (n node) height(single float64) float64 {
	if n.Count == 0 {
		return single
	}
	rows := math.Ceil(float64(n.Count) / dotsInRow)
	return 44 + rows*dotPitch + 18
}

// wide puts members in two columns beside this site.
func (p *picture) wide(nodes []node) {
	p.Width = wideWidth
	right := nodes[:(len(nodes)+1)/2]
	left := nodes[len(right):]
	single := 72.0
	if n := float64(len(right)); n > 0 {
		single = math.Max(24, math.Min(72, 460/n))
	}
	tall := func(column []node) (h float64) {
		for _, n := range column {
			h += n.height(single)
		}
		return h
	}
	p.Height = math.Max(math.Max(tall(left), tall(right))+16, 268)
	p.Self = box{(wideWidth - selfW) / 2, p.Height/2 - selfH/2 - 14, selfW, selfH}
	p.HostsY = p.Self.Bottom() + 34
	place := func(column []node, onRight bool) {
		y := math.Max(4, (p.Height-tall(column))/2-14)
		for _, n := range column {
			h := n.height(single)
			n.Roomy, n.Thick = single >= 38 || n.Count > 0, thickness(n.Rate)
			n.X, n.Y, n.TextX, n.Anchor = dotX, y+h/2, dotX-12, "end"
			from := p.Self.X
			if onRight {
				n.X, n.TextX, n.Anchor, from = wideWidth-dotX, wideWidth-dotX+12, "start", p.Self.X+p.Self.W
			}
			if n.Count > 0 {
				n.Y = y + 20
			}
			middle := p.Self.Y + p.Self.H/2
			bend := (from + n.X) / 2
			n.Line = fmt.Sprintf("M%.1f %.1f C%.1f %.1f %.1f %.1f %.1f %.1f", from, middle, bend, middle, bend, n.Y, n.X, n.Y)
			first := n.TextX
			if !onRight {
				first -= dotPitch * (dotsInRow - 1)
			}
			n.dots(first)
			p.Nodes = append(p.Nodes, n)
			y += h
		}
	}
	place(right, true)
	place(left, false)
}

// narrow puts members below this site, each on a branch of one line.
func (p *picture) narrow(nodes []node) {
	p.Width = narrowWidth
	p.Self = box{1, 1, narrowWidth - 2, selfH}
	const trunk, single = 18.0, 46.0
	p.HostsY = p.Self.Bottom() + 22
	y := p.HostsY + 22
	if len(p.Hosts) == 0 {
		y = p.Self.Bottom() + 8
	}
	end := y
	for _, n := range nodes {
		h := n.height(single)
		n.Roomy, n.Thick = true, thickness(n.Rate)
		n.X, n.Y, n.TextX, n.Anchor = 60, y+single/2, 74, "start"
		n.Line = fmt.Sprintf("M%.1f %.1f Q%.1f %.1f %.1f %.1f H%.1f", trunk, n.Y-12, trunk, n.Y, trunk+12, n.Y, n.X)
		n.dots(n.TextX)
		end = n.Y - 12
		p.Nodes = append(p.Nodes, n)
		y += h
	}
	p.Height = y + 4
	p.Trunk = fmt.Sprintf("M%.1f %.1f V%.1f", trunk, p.Self.Bottom(), end)
}

// dots places a group's members below its text.
func (n *node) dots(first float64) {
	for i, l := range n.members {
		n.Dots = append(n.Dots, dot{
			X: first + float64(i%dotsInRow)*dotPitch + 3, Y: n.Y + 30 + float64(i/dotsInRow)*dotPitch,
			Name: l.Name, Latency: l.RttMicroseconds,
		})
	}
}
