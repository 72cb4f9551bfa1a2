package aesgcm

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

// A known is a message whose ciphertext and tag somebody else has computed.
type known struct {
	ID      int `json:"tcId"`
	Comment string
	Key     hexBytes
	Nonce   hexBytes `json:"iv"`
	Data    hexBytes `json:"aad"`
	Message hexBytes `json:"msg"`
	Text    hexBytes `json:"ct"`
	Tag     hexBytes
	Result  string
}

type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

func (k known) check(t *testing.T) {
	t.Helper()
	aead, err := New(k.Key)
	if err != nil {
		t.Fatal(err)
	}
	want := append(bytes.Clone(k.Text), k.Tag...)
	valid := k.Result == "valid"
	if got := aead.Seal(nil, k.Nonce, k.Message, k.Data); bytes.Equal(got, want) != valid {
		t.Errorf("%d %s: sealed: %x, in the file: %x, %s", k.ID, k.Comment, got, want, k.Result)
	}
	got, err := aead.Open(nil, k.Nonce, want, k.Data)
	if valid && (err != nil || !bytes.Equal(got, k.Message)) {
		t.Errorf("%d %s: opened: %x, %v, want %x", k.ID, k.Comment, got, err, k.Message)
	}
	if !valid && err == nil {
		t.Errorf("%d %s: opened what is %s", k.ID, k.Comment, k.Result)
	}
}

// The cases 13 to 16 of McGrew and Viega, The Galois/Counter Mode of Operation, appendix B.
func TestTheVectorsOfTheSpecificationHold(t *testing.T) {
	const (
		key     = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"
		nonce   = "cafebabefacedbaddecaf888"
		message = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72" +
			"1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
		text = "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa" +
			"8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
	)
	cases := []struct{ key, nonce, data, message, text, tag string }{
		{key: hex.EncodeToString(make([]byte, 32)), nonce: hex.EncodeToString(make([]byte, 12)),
			tag: "530f8afbc74536b9a963b4f1c4cb738b"},
		{key: hex.EncodeToString(make([]byte, 32)), nonce: hex.EncodeToString(make([]byte, 12)),
			message: hex.EncodeToString(make([]byte, 16)),
			text:    "cea7403d4d606b6e074ec5d3baf39d18", tag: "d0d1c8a799996bf0265b98b5d48ab919"},
		{key: key, nonce: nonce, message: message, text: text, tag: "b094dac5d93471bdec1a502270e3cc6c"},
		{key: key, nonce: nonce, data: "feedfacedeadbeeffeedfacedeadbeefabaddad2",
			message: message[:120], text: text[:120], tag: "76fc6ece0f4e1768cddf8853bb2d551b"},
	}
	for i, c := range cases {
		b := func(s string) hexBytes {
			decoded, err := hex.DecodeString(s)
			if err != nil {
				t.Fatal(err)
			}
			return decoded
		}
		known{ID: 13 + i, Key: b(c.key), Nonce: b(c.nonce), Data: b(c.data), Message: b(c.message),
			Text: b(c.text), Tag: b(c.tag), Result: "valid"}.check(t)
	}
}

func TestTheVectorsOfWycheproofHold(t *testing.T) {
	content, err := os.ReadFile("testdata/wycheproof.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Tests []known }
	if err := json.Unmarshal(content, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Tests) != 66 {
		t.Fatalf("%d vectors, want 66", len(file.Tests))
	}
	for _, k := range file.Tests {
		k.check(t)
	}
}
