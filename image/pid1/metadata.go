package pid1

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"time"
)

// metadata is the service by which clouds tell a machine what it was given: that of EC2, which OpenStack
// and others have, too. Versions 2 (a token is asked for first) and 1.
type metadata struct {
	url   string // without a path
	do    func(*http.Request) (*http.Response, error)
	pause func(context.Context, time.Duration)
}

// How the service is asked.
const (
	dmi            = "/sys/class/dmi/id" // what the hypervisor says of the machine (SMBIOS)
	metadataAt     = "http://169.254.169.254"
	metadataWithin = 2 * time.Minute // then there is none
	metadataAnswer = 5 * time.Second // for one answer, whole
	largestToken   = 4 << 10         // bytes
	tokenLasts     = "60"            // seconds
)

var errNoUserData = errors.New("the cloud has no user-data for this machine")

// newMetadata returns the service of this machine's cloud. It is asked directly, and sends nobody elsewhere.
func newMetadata() metadata {
	c := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true, MaxResponseHeaderBytes: 16 << 10},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return metadata{url: metadataAt, do: c.Do, pause: pause}
}

// seed asks until there is an answer, or it has taken too long. errNoUserData is an answer.
func (m metadata) seed(ctx context.Context) (s seed, err error) {
	ctx, cancel := context.WithTimeout(ctx, metadataWithin)
	defer cancel()
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		if s, err = m.once(ctx); err == nil || errors.Is(err, errNoUserData) {
			return s, err
		}
		if m.pause(ctx, wait); ctx.Err() != nil {
			return seed{}, err
		}
	}
}

func (m metadata) once(ctx context.Context) (seed, error) {
	token, err := m.token(ctx)
	if err != nil {
		return seed{}, err
	}
	text, err := m.get(ctx, "/latest/user-data", token, largestText)
	if err != nil {
		return seed{}, err
	}
	if len(text) == 0 {
		return seed{}, errNoUserData
	}
	s := seed{from: "metadata of the cloud", userData: text}
	if name, err := m.get(ctx, "/latest/meta-data/local-hostname", token, largestHostName); err == nil && len(name) <= largestHostName {
		s.hostName = string(name)
	}
	return s, nil
}

// token returns what questions of version 2 are asked with, or nothing where the service has version 1 alone.
func (m metadata) token(ctx context.Context) (string, error) {
	status, text, err := m.ask(ctx, http.MethodPut, "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds", tokenLasts, largestToken)
	switch {
	case err != nil:
		return "", err
	case status == http.StatusOK && len(text) <= largestToken:
		return strings.TrimSpace(string(text)), nil
	case status >= http.StatusInternalServerError:
		return "", fmt.Errorf("the metadata service answers %d", status)
	}
	return "", nil
}

func (m metadata) get(ctx context.Context, path, token string, limit int64) ([]byte, error) {
	status, text, err := m.ask(ctx, http.MethodGet, path, "X-aws-ec2-metadata-token", token, limit)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusNotFound:
		return nil, errNoUserData
	case status != http.StatusOK:
		return nil, fmt.Errorf("the metadata service answers %d", status)
	}
	return text, nil
}

// ask sends one question, with a header where it has a value, and reads no more than one byte over the limit.
func (m metadata) ask(ctx context.Context, method, path, header, value string, limit int64) (status int, text []byte, err error) {
	ctx, cancel := context.WithTimeout(ctx, metadataAnswer)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, m.url+path, nil)
	if err != nil {
		return 0, nil, err
	}
	if value != "" {
		req.Header.Set(header, value)
	}
	res, err := m.do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	text, err = io.ReadAll(io.LimitReader(res.Body, limit+1))
	return res.StatusCode, text, err
}

// inCloud reports whether the machine says of itself, by what its hypervisor tells (SMBIOS), that there is
// such a service. On others it isn't asked: whoever is on the network could answer.
func inCloud(dmi string) bool {
	says := func(name string) string { return strings.ToLower(contents(filepath.Join(dmi, name))) }
	serial := says("product_serial")
	return says("sys_vendor") == "amazon ec2" || strings.HasPrefix(says("product_name"), "openstack") ||
		strings.HasPrefix(says("product_uuid"), "ec2") && strings.HasPrefix(serial, "ec2") || strings.Contains(serial, "ds=ec2")
}
