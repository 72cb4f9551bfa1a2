package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/labstack/echo/v4"
)

//go:embed assets/*.css assets/*.js assets/*.svg assets/vendor
var assetFiles embed.FS

// asset is one file, in both forms in which it is sent.
type asset struct {
	mediaType   string
	plain, gzip []byte // gzip is nil where it saves nothing
}

// assets are the files by name, and the hash of all of them.
type assets struct {
	files map[string]asset
	hash  string
}

func loadAssets() assets {
	a := assets{files: make(map[string]asset)}
	sum := sha256.New()
	err := fs.WalkDir(assetFiles, "assets", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := assetFiles.ReadFile(name)
		if err != nil {
			return err
		}
		name = strings.TrimPrefix(name, "assets/")
		sum.Write([]byte(name))
		sum.Write(content)
		a.files[name] = asset{mediaType: mediaType(name), plain: content, gzip: compressed(content)}
		return nil
	})
	if err != nil {
		panic(err) // the file system is part of the program
	}
	a.hash = hex.EncodeToString(sum.Sum(nil))[:16]
	return a
}

// mediaType tells what a file is.
func mediaType(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	}
	return "text/plain; charset=utf-8"
}

// compressed returns content in gzip's format, or nil if that isn't smaller.
func compressed(content []byte) []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is one that there is
	if _, err := w.Write(content); err != nil {
		return nil
	}
	if err := w.Close(); err != nil || b.Len() >= len(content) {
		return nil
	}
	return b.Bytes()
}

// path returns where the browser finds a file.
func (a assets) path(name string) string { return "/assets/" + a.hash + "/" + name }

// serve sends a file. One that is asked for by the hash of another version of the program
// is sent too, but not to be kept.
func (a assets) serve(c echo.Context) error {
	file, ok := a.files[c.Param("*")]
	if !ok {
		return echo.ErrNotFound
	}
	h := c.Response().Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	if c.Param("hash") == a.hash {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	h.Set("Vary", "Accept-Encoding")
	body := file.plain
	if file.gzip != nil && acceptsGzip(c.Request()) {
		h.Set("Content-Encoding", "gzip")
		body = file.gzip
	}
	return c.Blob(http.StatusOK, file.mediaType, body)
}

// acceptsGzip reports whether the client takes gzip: named, and not with the weight zero.
func acceptsGzip(r *http.Request) bool {
	for _, item := range strings.Split(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(item), ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			return strings.Trim(strings.ReplaceAll(weight, " ", ""), "0.") != "q="
		}
	}
	return false
}
