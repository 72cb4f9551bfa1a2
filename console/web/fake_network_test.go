package web

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"landbridge/console/api"
)

// attached is what a fake says of segments.
type attached struct {
	segments   []api.Segment
	registered []api.RegisterHostRequestObject
	ruled      []api.SetSegmentRequestObject
}

// PlanSegment refuses ports that aren't two.
func (f *fake) PlanSegment(ctx context.Context, r api.PlanSegmentRequestObject) (api.PlanSegmentResponseObject, error) {
	switch {
	case r.Body.DhcpPorts == "67":
		return nil, formError{{Field: "dhcpPorts", Detail: "\"67\" is not two UDP ports"}}
	case api.IsCheck(ctx):
		return nil, nil
	}
	return api.PlanSegment200JSONResponse{
		Changes: []api.SegmentPlanChange{{Field: "serve", From: "open", To: r.Body.Serve}, {Field: "remainder", From: "office", To: "lab"}},
		Notices: []string{"2 hosts aren't registered and lose their addresses when the lease ends, within 58 minutes, and aren't renewed before: printer-1 10.9.4.2, scanner 10.9.4.3."},
	}, f.err
}

func (f *fake) SetSegment(_ context.Context, r api.SetSegmentRequestObject) (api.SetSegmentResponseObject, error) {
	if f.refuse != nil {
		return nil, f.refuse
	}
	f.ruled = append(f.ruled, r)
	return api.SetSegment200JSONResponse{}, f.err
}

func (f *fake) ListSegments(context.Context, api.ListSegmentsRequestObject) (api.ListSegmentsResponseObject, error) {
	return api.ListSegments200JSONResponse{Items: f.segments}, nil
}

// someSegments are two groups on one trunk, one of which two routers serve.
func someSegments() []api.Segment {
	office, lab := api.Attachment{Tap: "lb0", Bridge: "lbbr0", LanPort: "enp3s0", GatewayMAC: "02:5e:10:00:00:01", MTU: 1376}, api.Attachment{Tap: "lb1", Bridge: "lbbr1", LanPort: "enp3s0.10", GatewayMAC: "02:5e:10:00:00:02", MTU: 1376}
	office.OtherDhcpServers = []api.OtherDhcpServer{{Address: netip.MustParseAddr("192.168.1.1"), MAC: "52:54:00:99:00:01", Since: start(), LastSeen: time.Now()}}
	return []api.Segment{
		{
			Unregistered: []api.SeenHost{{MAC: "52:54:00:99:00:32", Name: "printer-1", Address: netip.MustParseAddr("10.9.4.2"), Seen: start()}, {MAC: "52:54:00:99:00:33", Address: netip.MustParseAddr("10.9.4.3"), Seen: start()}},
			Dhcp:         api.SegmentDhcp{Serve: api.ServeRuleOpen, VendorClasses: []string{}, Ports: "67/68"},
			Group:        "aa01", GroupName: "office", Prefix: netip.MustParsePrefix("10.9.0.0/16"), ServiceAddress: netip.MustParseAddr("10.9.0.1"), Attachment: office, Hosts: 42, Remainder: true,
			Neighbours: []api.Neighbour{
				{MemberID: "12D3KooWself", Name: "lisbon", Self: true, Router: true, MAC: "02:5e:10:00:00:01", State: api.NeighbourStateServing, Percent: 50},
				{MemberID: "12D3KooW2", Name: "lisbon-2", Router: true, MAC: "02:5e:10:00:00:07", State: api.NeighbourStateServing, Percent: 50, Since: start()},
				{MemberID: "12D3KooW3", Name: "lisbon-3", Router: true, MAC: "02:5e:10:00:00:08", State: api.NeighbourStateWanDown, StandIn: "lisbon", Since: start()},
				{MemberID: "12D3KooW4", Name: "nas", MAC: "52:54:00:00:00:10", State: api.NeighbourStateHost, Since: start()},
			},
		},
		{
			Dhcp:  api.SegmentDhcp{Serve: api.ServeRuleVendorClass, VendorClasses: []string{"PXEClient"}, Ports: "1067/1068", ServeConfigured: true},
			Group: "aa02", GroupName: "lab", Prefix: netip.MustParsePrefix("10.30.0.0/16"), ServiceAddress: netip.MustParseAddr("10.30.0.1"), Attachment: lab,
			Unregistered: []api.SeenHost{{MAC: "52:54:00:99:00:31", Seen: start(), Why: api.SeenHostWhyNoGroup}, {MAC: "52:54:00:99:00:33", Seen: start(), Why: api.SeenHostWhyNoGroup}},
			Vlan:         10, Trunk: "enp3s0", Hosts: 1, Assigned: []string{"52:54:00:12:34:56", "52:54:00:12:34:57"},
			Neighbours: []api.Neighbour{{MemberID: "12D3KooWself", Name: "lisbon", Self: true, Router: true, MAC: "02:5e:10:00:00:02", State: api.NeighbourStateServing, Percent: 100}},
		},
	}
}

func (f *fake) ListenOnPort(_ context.Context, r api.ListenOnPortRequestObject) (api.ListenOnPortResponseObject, error) {
	if f.refuse != nil {
		return nil, f.refuse
	}
	h := api.PortHearing{
		Port: r.Port, Up: true, Seconds: 4, Frames: 41,
		DhcpServers: []api.HeardServer{{Address: netip.MustParseAddr("192.168.1.1"), MAC: "52:54:00:99:00:01"}},
		Gateways:    []api.HeardGateway{{Address: netip.MustParseAddr("192.168.1.1"), MAC: "52:54:00:99:00:01", Sign: api.HeardGatewaySignDhcp}},
		Appliances:  []api.HeardAppliance{{MAC: "02:5e:10:00:00:07", Group: "aa01", GroupName: "office", MemberID: "12D3KooW2", Name: "porto"}, {MAC: "02:5e:10:00:00:08", Group: "bb0123456789", MemberID: "12D3KooW9"}},
	}
	for i := range 20 {
		h.Stations = append(h.Stations, api.HeardStation{MAC: fmt.Sprintf("52:54:00:99:00:%02x", i+1), Addresses: []netip.Addr{netip.AddrFrom4([4]byte{192, 168, 1, byte(i + 1)})}})
	}
	return api.ListenOnPort200JSONResponse(h), nil
}
