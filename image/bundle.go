package image

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"landbridge/image/bundle"
	"landbridge/internal/store"
)

// architecture is what the image runs on, as runtime.GOARCH has it.
const architecture = "amd64"

// signer returns the key that signs updates, and whose public half the image has: that of the file,
// which is made where there is none, or the development key.
func (o Options) signer() (ed25519.PrivateKey, error) {
	if o.UpdateKey == "" {
		o.step("updates: signed by the development key, which everybody has (UPDATE_KEY=FILE: by one of your own)")
		return bundle.DevelopmentKey(), nil
	}
	text, err := os.ReadFile(o.UpdateKey)
	if errors.Is(err, fs.ErrNotExist) {
		o.step("updates: a new key in %s: keep it, as appliances of this image take no updates but by it", o.UpdateKey)
		return makeKey(o.UpdateKey)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s is no private key in PEM, as openssl genpkey -algorithm ed25519 makes one", o.UpdateKey)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.UpdateKey, err)
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is a key of another kind: want Ed25519, as openssl genpkey -algorithm ed25519 makes one", o.UpdateKey)
	}
	o.step("updates: signed by the key %s", bundle.KeyOf(key).Fingerprint())
	return key, nil
}

func makeKey(file string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)
}

// update makes the bundle by which appliances get this slot.
func (o Options) update(slot string, key ed25519.PrivateKey) error {
	o.step("update")
	m := bundle.Manifest{
		Version: o.Version, Built: o.Time, Arch: architecture, Changes: o.Changes,
		Schemas: bundle.Schemas{Min: 1, Max: store.Schema},
	}
	return writeUpdate(filepath.Join(o.Out, UpdateName), slot, m, key)
}

func writeUpdate(file, slot string, m bundle.Manifest, key ed25519.PrivateKey) error {
	data, err := os.Open(slot)
	if err != nil {
		return err
	}
	defer data.Close()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(bundle.Write(f, key, m, bundle.Content{Name: bundle.SlotFile, Data: data}), f.Close())
}
