package portmap

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// device is a router that speaks UPnP alone, on an address of the loopback device.
type device struct {
	mu       sync.Mutex
	control  string // URL of its service, as it says
	outside  string // its address there, as it says
	refuses  map[string]int
	mappings []string // outer port, protocol, inner port, lease
}

func newDevice(t *testing.T, at string) *device {
	t.Helper()
	d := &device{control: "/control", outside: outside.String(), refuses: make(map[string]int)}
	l, err := net.Listen("tcp4", at+":0")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenPacket("udp4", fmt.Sprintf("%s:%d", at, ssdpPort))
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: d, ReadHeaderTimeout: time.Minute}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(l) })
	serving.Go(func() {
		var b [2048]byte
		for {
			n, from, err := conn.ReadFrom(b[:])
			if err != nil {
				return
			}
			if strings.HasPrefix(string(b[:n]), "M-SEARCH * HTTP/1.1\r\n") {
				_, _ = conn.WriteTo(fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nLOCATION: http://%v/root.xml\r\n\r\n", l.Addr()), from)
			}
		}
	})
	t.Cleanup(func() {
		_ = server.Close()
		_ = conn.Close()
		serving.Wait()
	})
	return d
}

// do changes the device.
func (d *device) do(change func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change()
}

const described = `<?xml version="1.0"?><root xmlns="urn:schemas-upnp-org:device-1-0"><device><serviceList>
<service><serviceType>urn:schemas-upnp-org:service:Layer3Forwarding:1</serviceType><controlURL>/other</controlURL></service></serviceList>
<deviceList><device><serviceList><service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1</serviceType>
<controlURL>%s</controlURL></service></serviceList></device></deviceList></device></root>`

func (d *device) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.URL.Path == "/root.xml" {
		_, _ = fmt.Fprintf(w, described, d.control)
		return
	}
	body, _ := io.ReadAll(r.Body)
	argument := func(name string) string {
		_, rest, _ := strings.Cut(string(body), "<"+name+">")
		value, _, _ := strings.Cut(rest, "<")
		return value
	}
	action := strings.Trim(strings.TrimPrefix(r.Header.Get("SOAPAction"), `"urn:schemas-upnp-org:service:WANIPConnection:1#`), `"`)
	key := action + " " + argument("NewExternalPort") + " " + argument("NewLeaseDuration")
	for refused, code := range d.refuses {
		if strings.HasPrefix(key, refused) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = fmt.Fprintf(w, `<Envelope><Body><Fault><detail><UPnPError><errorCode>%d</errorCode></UPnPError></detail></Fault></Body></Envelope>`, code)
			return
		}
	}
	extra := ""
	switch action {
	case "AddPortMapping":
		d.mappings = append(d.mappings, fmt.Sprint(argument("NewExternalPort"), argument("NewProtocol"), argument("NewInternalPort"), " ", argument("NewLeaseDuration")))
	case "DeletePortMapping":
		d.mappings = slices.DeleteFunc(d.mappings, func(m string) bool {
			return strings.HasPrefix(m, argument("NewExternalPort")+argument("NewProtocol"))
		})
	case "GetExternalIPAddress":
		extra = "<NewExternalIPAddress>" + d.outside + "</NewExternalIPAddress>"
	default:
		http.Error(w, "what is "+action, http.StatusBadRequest)
		return
	}
	_, _ = fmt.Fprintf(w, `<s:Envelope xmlns:s="x"><s:Body><u:%sResponse xmlns:u="y">%s</u:%[1]sResponse></s:Body></s:Envelope>`, action, extra)
}

func TestUPnPIsAskedWhereNothingElseIsSpoken(t *testing.T) {
	t.Parallel()
	d, at := newDevice(t, "127.0.52.1"), netip.MustParseAddr("127.0.52.1")
	k := keeperOf(&at, func(Mapped) {})
	for _, c := range []struct {
		name    string
		refuses map[string]int
		port    uint16
		want    string
	}{
		{"as asked", nil, 4860, "4860UDP4860 1200"},
		{"for good alone", map[string]int{"AddPortMapping 4860 1200": igdPermanentOnly}, 4860, "4860UDP4860 0"},
		{"the port is another's", map[string]int{"AddPortMapping 4860": igdConflict}, another(4860), fmt.Sprintf("%dUDP4860 1200", another(4860))},
	} {
		d.do(func() { d.refuses, d.mappings = c.refuses, nil })
		k.meet(place{})
		k.step(t.Context())
		d.do(func() {
			if len(d.mappings) != 1 || d.mappings[0] != c.want || k.mapped.UDP != netip.AddrPortFrom(outside, c.port) || k.mapped.Fault != "" {
				t.Errorf("%s: the device has %q, told %+v", c.name, d.mappings, k.mapped)
			}
		})
		k.leave()
		d.do(func() {
			if len(d.mappings) > 0 {
				t.Errorf("%s: not taken back: %q", c.name, d.mappings)
			}
		})
	}
}

func TestADeviceThatLiesIsNotBelieved(t *testing.T) {
	t.Parallel()
	d, at := newDevice(t, "127.0.52.2"), netip.MustParseAddr("127.0.52.2")
	for name, lie := range map[string]func(){
		"a service elsewhere":         func() { d.control = "http://127.0.52.9/control" },
		"a service by another scheme": func() { d.control = "https://127.0.52.2/control" },
		"a name":                      func() { d.outside = "router.example" },
		"loopback":                    func() { d.outside = "127.0.0.1" },
		"itself":                      func() { d.outside = "127.0.52.2" },
		"a refusal":                   func() { d.refuses = map[string]int{"AddPortMapping": 606} },
		"too much":                    func() { d.outside = strings.Repeat("1", igdSize) },
	} {
		d.do(func() {
			d.control, d.outside, d.refuses = "/control", outside.String(), nil
			lie()
		})
		k := keeperOf(&at, func(Mapped) {})
		k.step(t.Context())
		if k.mapped.UDP.IsValid() || k.mapped.TCP.IsValid() {
			t.Errorf("%s: mapped %+v", name, k.mapped)
		}
		if told := k.mapped.Fault != ""; told != (name == "loopback" || name == "itself") {
			t.Errorf("%s: told %+v", name, k.mapped)
		}
	}
}

func TestOnlyTheServiceThatMapsPortsIsTaken(t *testing.T) {
	service, control, err := mapper(fmt.Appendf(nil, described, " /ctl "))
	if err != nil || service != "urn:schemas-upnp-org:service:WANIPConnection:1" || control != "/ctl" {
		t.Errorf("%q %q %v", service, control, err)
	}
	for _, text := range []string{"", "<root>", "no XML", "<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:9</serviceType></service>",
		"<service><serviceType>urn:schemas-upnp-org:service:WANIPConnection:1"} {
		if service, _, err := mapper([]byte(text)); !errors.Is(err, errNoIGD) {
			t.Errorf("%q: %q, %v", text, service, err)
		}
	}
}

// Whatever a device says, it is taken or refused, and takes no more memory than it has.
func FuzzUPnP(f *testing.F) {
	f.Add("HTTP/1.1 200 OK\r\nLOCATION: http://192.0.2.1:5000/root.xml\r\n\r\n", fmt.Sprintf(described, "/control"), "<AddPortMappingResponse/>")
	f.Add("NOTIFY * HTTP/1.1\r\n\r\n", "<a/>", "<errorCode>718</errorCode>")
	f.Fuzz(func(t *testing.T, datagram, description, answer string) {
		if u := locationOf([]byte(datagram)); u != nil && of(u, netip.MustParseAddr("192.0.2.1")) && (u.Scheme != "http" || u.Hostname() != "192.0.2.1") {
			t.Errorf("taken: %v", u)
		}
		if service, _, err := mapper([]byte(description)); err == nil && !strings.Contains(service, ":WANIPConnection:") && !strings.Contains(service, ":WANPPPConnection:") {
			t.Errorf("a service that maps ports: %q", service)
		}
		if _, err := answerOf([]byte(answer), "AddPortMapping", ""); err == nil && !strings.Contains(answer, "AddPortMappingResponse") {
			t.Errorf("an answer: %q", answer)
		}
	})
}
