package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRequestsThatFailDoNotFillTheLog(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		most int
	}{
		"given up by who asked":  {fmt.Errorf("log in: %w", context.Canceled), 0},
		"a fault, over and over": {errors.New("the disk is full"), logBurst},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			f := &fake{err: tt.err}
			s := New(f, newServer(t, f).users, slog.New(slog.NewTextHandler(&out, nil)))
			for i := range 2 * logBurst {
				path := []string{"/api/v1/status", "/", "/leases/10.9.0.7"}[i%3]
				w := httptest.NewRecorder()
				if s.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil)); w.Code < 500 {
					t.Fatalf("%s: %d", path, w.Code)
				}
			}
			if n := strings.Count(out.String(), "\n"); n != tt.most {
				t.Errorf("%d lines, want %d: %s", n, tt.most, out.String())
			}
		})
	}
}
