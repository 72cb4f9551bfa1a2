package bundle

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// The head of a bundle.
const (
	magic    = "LBUPDATE"
	version  = 1
	headSize = len(magic) + 4
)

// What can be wrong with a bundle. Each says what that means, for people.
var (
	ErrNoBundle  = errors.New("this is no update of Landbridge's image: want the landbridge.update that make image makes")
	ErrNewFormat = errors.New("this update has a later format than this version knows: update to a version between first")
	ErrForeign   = errors.New("this update isn't signed by a key that this appliance takes: it is somebody else's, or was changed on its way")
	ErrCut       = errors.New("this update is cut off: get it once more")
	ErrAltered   = errors.New("this update isn't what was signed: it was changed or damaged on its way; get it once more")
)

// Content is what Write writes as a file: read twice, from its beginning.
type Content struct {
	Name string
	Data io.ReadSeeker
}

// Write writes a bundle with these files, which the manifest needn't name, signed by a key.
func Write(w io.Writer, key ed25519.PrivateKey, m Manifest, files ...Content) error {
	m.Files = nil
	for _, f := range files {
		sum := sha256.New()
		if _, err := f.Data.Seek(0, io.SeekStart); err != nil {
			return err
		}
		n, err := io.Copy(sum, f.Data)
		if err != nil {
			return err
		}
		m.Files = append(m.Files, File{Name: f.Name, Size: n, SHA256: Sum(sum.Sum(nil))})
	}
	if err := m.check(); err != nil {
		return err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if len(text) > maxManifest {
		return fmt.Errorf("the manifest has %d bytes, more than %d", len(text), maxManifest)
	}
	head := binary.BigEndian.AppendUint32([]byte(magic), version<<24|uint32(len(text)))
	head = append(head, text...)
	if _, err := w.Write(append(head, ed25519.Sign(key, head)...)); err != nil {
		return err
	}
	for _, f := range files {
		if _, err := f.Data.Seek(0, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.Copy(w, f.Data); err != nil {
			return err
		}
	}
	return nil
}

// Reader reads a bundle. Its methods must not be called concurrently.
type Reader struct {
	r        io.Reader
	manifest Manifest
	key      Key
}

// Open reads a bundle up to its files, and believes no byte before the signature is good. It reads no
// further than 64 KiB and some.
func Open(r io.Reader, keys []Key) (*Reader, error) {
	head := make([]byte, headSize)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, broken(err, ErrNoBundle)
	}
	if !bytes.HasPrefix(head, []byte(magic)) {
		return nil, ErrNoBundle
	}
	said := binary.BigEndian.Uint32(head[len(magic):])
	if said>>24 != version {
		return nil, ErrNewFormat
	}
	n := int(said & 0xffffff)
	if n > maxManifest {
		return nil, ErrNoBundle
	}
	rest := make([]byte, n+ed25519.SignatureSize)
	if _, err := io.ReadFull(r, rest); err != nil {
		return nil, broken(err, ErrCut)
	}
	signed, signature := slices.Concat(head, rest[:n]), rest[n:]
	for _, k := range keys {
		if ed25519.Verify(k.Public, signed, signature) {
			m, err := parse(rest[:n])
			if err != nil {
				return nil, fmt.Errorf("this update was made wrong: %w", err)
			}
			return &Reader{r: r, manifest: m, key: k}, nil
		}
	}
	return nil, ErrForeign
}

// Manifest returns what the bundle is.
func (b *Reader) Manifest() Manifest { return b.manifest }

// Key returns the key by which the bundle is signed.
func (b *Reader) Key() Key { return b.key }

// Copy reads all files, and writes those for which to has a writer; the others it checks alone. What
// it has written is good once Copy has returned nil, and not before. It is called once.
func (b *Reader) Copy(to func(File) io.Writer) error {
	for _, f := range b.manifest.Files {
		sum := sha256.New()
		var w io.Writer = sum
		if into := to(f); into != nil {
			w = io.MultiWriter(sum, into)
		}
		n, err := io.CopyN(w, b.r, f.Size)
		if err != nil {
			if n < f.Size {
				err = broken(err, ErrCut)
			}
			return err
		}
		if Sum(sum.Sum(nil)) != f.SHA256 {
			return fmt.Errorf("%w (file %s)", ErrAltered, f.Name)
		}
	}
	if n, err := io.ReadFull(b.r, make([]byte, 1)); n > 0 {
		return fmt.Errorf("%w (there is something behind its end)", ErrAltered)
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// broken has the end of the input be what that means; another error is its reader's.
func broken(err, end error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return end
	}
	return err
}
