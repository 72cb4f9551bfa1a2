package portmap

import (
	"bufio"
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// igd is the gateway's Internet Gateway Device (UPnP Forum, InternetGatewayDevice:1 and 2): the service that maps ports.
// The routers of homes speak it where they speak nothing better.
type igd struct {
	service string   // its type
	control *url.URL // where it takes orders
	http    *http.Client
}

const (
	searchTime = 2500 * time.Millisecond
	searchGap  = 700 * time.Millisecond // between two searches
	igdTime    = 4 * time.Second        // for one question by HTTP
	igdSize    = 128 << 10              // bytes at most of what it says
	ssdpPort   = 1900
)

// errNoIGD: the gateway has no such device.
var errNoIGD = errors.New("the gateway has no UPnP service that maps ports")

// igdError is the code of an order that was refused.
type igdError struct {
	action string
	code   int
}

// The codes that there is an answer to (WANIPConnection:2, section 2.5).
const (
	igdConflict      = 718 // the port is another host's
	igdPermanentOnly = 725
)

func (e *igdError) Error() string { return fmt.Sprintf("UPnP: %s is refused (%d)", e.action, e.code) }

// findIGD looks for the device of the gateway of a place. Whoever else answers isn't heard.
func findIGD(ctx context.Context, at place) (*igd, error) {
	location, err := search(ctx, at)
	if err != nil {
		return nil, err
	}
	d := &igd{http: &http.Client{
		Timeout:       igdTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DisableKeepAlives: true, Proxy: nil},
	}}
	text, err := d.ask(ctx, http.MethodGet, location, nil, "")
	if err != nil {
		return nil, err
	}
	service, control, err := mapper(text)
	if err != nil {
		return nil, err
	}
	d.service = service
	if d.control, err = location.Parse(control); err != nil || !of(d.control, at.gateway) {
		return nil, fmt.Errorf("UPnP: the gateway's service isn't the gateway's: %q", control)
	}
	return d, nil
}

// of reports whether a URL is of a gateway itself.
func of(u *url.URL, gateway netip.Addr) bool {
	addr, err := netip.ParseAddr(u.Hostname())
	return err == nil && addr == gateway && u.Scheme == "http"
}

// search asks the gateway by SSDP (UPnP Device Architecture 1.1, section 1.3) where its device is described: by multicast, as
// every device hears that, and straight, as some networks lose multicast.
func search(ctx context.Context, at place) (*url.URL, error) {
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at.own, 0)))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	ended := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer ended()
	var b [2048]byte
	for end := time.Now().Add(searchTime); time.Now().Before(end) && ctx.Err() == nil; {
		for _, to := range []netip.Addr{netip.AddrFrom4([4]byte{239, 255, 255, 250}), at.gateway} {
			const request = "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\n" +
				"ST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\r\n"
			_, _ = conn.WriteToUDPAddrPort([]byte(request), netip.AddrPortFrom(to, ssdpPort))
		}
		_ = conn.SetReadDeadline(time.Now().Add(searchGap))
		for {
			n, from, err := conn.ReadFromUDPAddrPort(b[:])
			if err != nil {
				break
			}
			if from.Addr().Unmap() != at.gateway {
				continue
			}
			if u := locationOf(b[:n]); u != nil && of(u, at.gateway) {
				return u, nil
			}
		}
	}
	return nil, errors.Join(errNoIGD, ctx.Err())
}

// locationOf reads the answer to a search; nil: it is none.
func locationOf(datagram []byte) *url.URL {
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(datagram)), nil)
	if err != nil {
		return nil
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		return nil
	}
	u, err := url.Parse(r.Header.Get("Location"))
	if err != nil {
		return nil
	}
	return u
}

// mapper finds the service that maps ports in a device's description, and the path of its control.
func mapper(description []byte) (service, control string, err error) {
	decoder := xml.NewDecoder(bytes.NewReader(description))
	for {
		token, err := decoder.Token()
		if err != nil {
			return "", "", errNoIGD // or what it says is no XML: then that isn't to be had either
		}
		start, ok := token.(xml.StartElement)
		if !ok || start.Name.Local != "service" {
			continue
		}
		var s struct {
			Type    string `xml:"serviceType"`
			Control string `xml:"controlURL"`
		}
		if err := decoder.DecodeElement(&s, &start); err != nil {
			return "", "", errNoIGD
		}
		kind, version, _ := strings.Cut(strings.TrimPrefix(s.Type, "urn:schemas-upnp-org:service:"), ":")
		if (kind == "WANIPConnection" || kind == "WANPPPConnection") && (version == "1" || version == "2") {
			return s.Type, strings.TrimSpace(s.Control), nil
		}
	}
}

// ask asks by HTTP, and returns the body of the answer, whatever its code: a refused order has one too.
func (d *igd) ask(ctx context.Context, method string, u *url.URL, body []byte, action string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, u.String(), bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if action != "" {
		request.Header.Set("Content-Type", `text/xml; charset="utf-8"`)
		request.Header.Set("SOAPAction", strconv.Quote(d.service+"#"+action))
	}
	answer, err := d.http.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, igdSize+1))
	if err == nil && len(text) > igdSize {
		err = errors.New("UPnP: the gateway says too much")
	}
	return text, err
}

// argument is one of an order's, by its name in the service's description. Values are numbers, addresses and fixed words.
type argument struct{ name, value string }

// order has the service do something, and returns the value of one of the answer's arguments.
func (d *igd) order(ctx context.Context, action, want string, arguments ...argument) (string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, `<?xml version="1.0"?>`+"\n"+`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" `+
		`s:encodingStyle="http://schemas.xmlsoap.org/soap/encoding/"><s:Body><u:%s xmlns:u="%s">`, action, d.service)
	for _, a := range arguments {
		fmt.Fprintf(&b, "<%s>%s</%[1]s>", a.name, a.value)
	}
	fmt.Fprintf(&b, "</u:%s></s:Body></s:Envelope>\n", action)
	text, err := d.ask(ctx, http.MethodPost, d.control, []byte(b.String()), action)
	if err != nil {
		return "", err
	}
	return answerOf(text, action, want)
}

// answerOf reads the answer to an order.
func answerOf(text []byte, action, want string) (value string, err error) {
	decoder := xml.NewDecoder(bytes.NewReader(text))
	done := false
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) && done {
			return value, nil
		}
		if err != nil {
			return "", fmt.Errorf("UPnP: the answer to %s is none", action)
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch start.Name.Local {
		case action + "Response":
			done = true
		case want:
			err = decoder.DecodeElement(&value, &start)
		case "errorCode":
			refused := &igdError{action: action}
			if err = decoder.DecodeElement(&refused.code, &start); err == nil {
				return "", refused
			}
		}
		if err != nil {
			return "", fmt.Errorf("UPnP: the answer to %s is none", action)
		}
	}
}

// obtain maps a port of ours, at the same outside, or at another where that one is somebody else's. What is mapped for good
// counts as mapped for the time that was asked for: it is renewed, and taken back, as any.
func (d *igd) obtain(ctx context.Context, own netip.Addr, t transport, port uint16, life time.Duration) (m mapping, err error) {
	seconds := int(life / time.Second)
	outer := port
	for tries := 0; ; tries++ {
		_, err = d.order(ctx, "AddPortMapping", "", argument{"NewRemoteHost", ""}, argument{"NewExternalPort", strconv.Itoa(int(outer))},
			argument{"NewProtocol", t.String()}, argument{"NewInternalPort", strconv.Itoa(int(port))}, argument{"NewInternalClient", own.String()},
			argument{"NewEnabled", "1"}, argument{"NewPortMappingDescription", "Landbridge"}, argument{"NewLeaseDuration", strconv.Itoa(seconds)})
		var refused *igdError
		if !errors.As(err, &refused) || tries == 3 {
			break
		}
		switch {
		case refused.code == igdPermanentOnly && seconds > 0:
			seconds = 0
		case refused.code == igdConflict:
			outer = another(outer)
		default:
			return m, err
		}
	}
	if err != nil {
		return m, err
	}
	text, err := d.order(ctx, "GetExternalIPAddress", "NewExternalIPAddress")
	if err != nil {
		return m, err
	}
	addr, err := netip.ParseAddr(strings.TrimSpace(text))
	if err != nil || !addr.Is4() {
		return m, fmt.Errorf("UPnP: the gateway has no IPv4 address outside, but %q", text)
	}
	return mapping{external: netip.AddrPortFrom(addr, outer), lifetime: life}, nil
}

// another returns the port to be tried after one that is somebody else's, above those of well-known services.
func another(port uint16) uint16 {
	const lowest, step = 20000, 7919
	return lowest + uint16((int(port)+step)%(1<<16-lowest))
}

// remove takes a mapping back.
func (d *igd) remove(ctx context.Context, t transport, outer uint16) {
	_, _ = d.order(ctx, "DeletePortMapping", "", argument{"NewRemoteHost", ""}, argument{"NewExternalPort", strconv.Itoa(int(outer))},
		argument{"NewProtocol", t.String()}) // else it ends by itself
}
