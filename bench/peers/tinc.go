package peers

import (
	"context"
	"errors"
	"fmt"

	"landbridge/bench/underlay"
)

// tinc is tinc 1.0 as it comes: AES-256-CBC, SHA-256 cut to 4 bytes, UDP.
type tinc struct{ ends }

func (*tinc) Version(ctx context.Context) (string, error) { return debianVersion(ctx, "tinc") }

func (t *tinc) Setup(ctx context.Context, pair *underlay.Pair) error {
	t.number(pair)
	for _, s := range pair.Sides() {
		if err := t.configure(ctx, pair, s); err != nil {
			return err
		}
	}
	for _, s := range pair.Sides() {
		public, err := s.ReadFile(s.Dir() + "/hosts/" + s.Name)
		if err != nil {
			return err
		}
		other := pair.Other(s)
		if err := other.WriteFile(other.Dir()+"/hosts/"+s.Name, public, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (t *tinc) configure(ctx context.Context, pair *underlay.Pair, s *underlay.Side) error {
	if _, err := s.Run(ctx, "mkdir", s.Dir()+"/hosts"); err != nil {
		return err
	}
	config := fmt.Sprintf("Name = %s\nConnectTo = %s\nInterface = tinc0\nDeviceType = tun\n", s.Name, pair.Other(s).Name)
	script := fmt.Sprintf("#!/bin/sh\nip addr add %s dev $INTERFACE\nip link set $INTERFACE up\n", t.prefix(s))
	self := fmt.Sprintf("Address = %v\nPort = 655\nSubnet = %v/32\n", s.Addr, t.of(s))
	err := errors.Join(
		s.WriteFile(s.Dir()+"/tinc.conf", []byte(config), 0o600),
		s.WriteFile(s.Dir()+"/tinc-up", []byte(script), 0o700),
		s.WriteFile(s.Dir()+"/hosts/"+s.Name, []byte(self), 0o600))
	if err != nil {
		return err
	}
	_, err = s.Run(ctx, "tincd", "-c", s.Dir(), "-K", "2048") // adds its public key to hosts/NAME
	return err
}

func (t *tinc) Start(ctx context.Context, s *underlay.Side) error {
	_, err := s.Spawn(ctx, "tincd", "-c", s.Dir(), "-D", "--pidfile="+s.Dir()+"/tinc.pid")
	return err
}
