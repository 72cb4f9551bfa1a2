package peers

import (
	"context"
	"fmt"

	"landbridge/bench/underlay"
)

// nebula is Slack's nebula, with AES-256-GCM. Each side is told where the other is, so
// that no lighthouse is in the path.
type nebula struct {
	ends
	programs Programs
}

const nebulaConfig = `pki: {ca: %[1]s/ca.crt, cert: %[1]s/node.crt, key: %[1]s/node.key}
static_host_map: {"%[2]v": ["%[3]v:4242"]}
lighthouse: {am_lighthouse: false, interval: 60, hosts: []}
listen: {host: 0.0.0.0, port: 4242}
punchy: {punch: false}
cipher: aes
tun: {dev: neb0, mtu: 1300}
logging: {level: error}
firewall:
  outbound: [{port: any, proto: any, host: any}]
  inbound: [{port: any, proto: any, host: any}]
`

func (n *nebula) Version(context.Context) (string, error) {
	return goVersion(n.programs.cached("nebula"))
}

func (n *nebula) Setup(ctx context.Context, pair *underlay.Pair) error {
	n.number(pair)
	ca, cert := pair.A.Dir(), n.programs.cached("nebula-cert")
	_, err := pair.A.Run(ctx, cert, "ca", "-name", "bench", "-out-crt", ca+"/ca.crt", "-out-key", ca+"/ca.key")
	if err != nil {
		return err
	}
	for _, s := range pair.Sides() {
		_, err := pair.A.Run(ctx, cert, "sign", "-name", s.Name, "-ip", n.prefix(s), "-ca-crt", ca+"/ca.crt", "-ca-key", ca+"/ca.key",
			"-out-crt", ca+"/"+s.Name+".crt", "-out-key", ca+"/"+s.Name+".key")
		if err != nil {
			return err
		}
		for from, to := range map[string]string{"ca.crt": "ca.crt", s.Name + ".crt": "node.crt", s.Name + ".key": "node.key"} {
			text, err := pair.A.ReadFile(ca + "/" + from)
			if err != nil {
				return err
			}
			if err := s.WriteFile(s.Dir()+"/"+to, text, 0o600); err != nil {
				return err
			}
		}
		other := pair.Other(s)
		config := fmt.Sprintf(nebulaConfig, s.Dir(), n.of(other), other.Addr)
		if err := s.WriteFile(s.Dir()+"/nebula.yml", []byte(config), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (n *nebula) Start(ctx context.Context, s *underlay.Side) error {
	_, err := s.Spawn(ctx, n.programs.cached("nebula"), "-config", s.Dir()+"/nebula.yml")
	return err
}
