package image

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"landbridge/image/bundle"
)

func TestAnUpdateIsOfTheSlotAndSignedByTheKeyThatTheImageHas(t *testing.T) {
	dir := t.TempDir()
	slot := filepath.Join(dir, "slot")
	if err := os.WriteFile(slot, []byte("hsqs and the rest"), 0o600); err != nil {
		t.Fatal(err)
	}
	o := Options{Version: "v1", Time: commitTime(), Out: dir, UpdateKey: filepath.Join(dir, "key.pem")}
	var before []byte
	for range 2 { // the key is made, then taken
		key, err := o.signer()
		if err == nil {
			err = o.update(slot, key)
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(filepath.Join(dir, UpdateName))
		if err != nil {
			t.Fatal(err)
		}
		if before != nil && !bytes.Equal(text, before) {
			t.Error("two updates of the same slot are not the same")
		}
		before = text
		r, err := bundle.Open(bytes.NewReader(text), []bundle.Key{bundle.KeyOf(key)})
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := r.Copy(func(bundle.File) io.Writer { return &got }); err != nil || got.String() != "hsqs and the rest" {
			t.Errorf("%q, %v", got.String(), err)
		}
		if r.Key().Development {
			t.Error("a key of one's own is taken for the development key")
		}
	}
	if st, err := os.Stat(o.UpdateKey); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", st.Mode(), err)
	}
}

func TestAKeyThatIsNoneIsRefused(t *testing.T) {
	file := write(t, "key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
	if _, err := (Options{UpdateKey: file}).signer(); err == nil {
		t.Error("it is taken")
	}
	if _, err := (Options{UpdateKey: write(t, "key.pem", "secret")}).signer(); err == nil {
		t.Error("a text is taken")
	}
}
