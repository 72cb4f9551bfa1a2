package web

import (
	"bytes"
	"context"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// postFiles sends a form with files.
func postFiles(t *testing.T, server http.Handler, path string, files map[string]string, fields ...string) answer {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for i := 0; i < len(fields); i += 2 {
		if err := form.WriteField(fields[i], fields[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range files {
		w, err := form.CreateFormFile(name, name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	return do(t, server, httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, &body), echo.HeaderContentType, form.FormDataContentType())
}

func (f *fake) certificate() api.ConsoleCertificate {
	c := api.ConsoleCertificate{
		Own: f.ownCertificate, Subject: "lisbon", Issuer: "lisbon", Names: []string{"lisbon", "lisbon.local", "localhost"}, Key: "ECDSA P-256",
		Fingerprint: strings.TrimSuffix(strings.Repeat("AB:", 32), ":"), Begins: start(), Ends: start().AddDate(20, 0, 0), Chain: 1,
	}
	if c.Own {
		c.Issuer, c.Chain = "Example CA", 2
	}
	return c
}

func (f *fake) GetCertificate(context.Context, api.GetCertificateRequestObject) (api.GetCertificateResponseObject, error) {
	return api.GetCertificate200JSONResponse(f.certificate()), f.err
}

func (f *fake) SetCertificate(_ context.Context, r api.SetCertificateRequestObject) (api.SetCertificateResponseObject, error) {
	if err := f.dangerous(); err != nil {
		return nil, err
	}
	if r.Body.Key != "the key" {
		return nil, &fieldError{"key", "is not the key of this certificate"}
	}
	f.ownCertificate = true
	return api.SetCertificate200JSONResponse(f.certificate()), nil
}

func (f *fake) ResetCertificate(context.Context, api.ResetCertificateRequestObject) (api.ResetCertificateResponseObject, error) {
	if err := f.dangerous(); err != nil {
		return nil, err
	}
	f.ownCertificate = false
	return api.ResetCertificate200JSONResponse(f.certificate()), nil
}

func (f *fake) RenewCertificate(context.Context, api.RenewCertificateRequestObject) (api.RenewCertificateResponseObject, error) {
	return api.RenewCertificate200JSONResponse(f.certificate()), f.dangerous()
}

func (f *fake) GetAcme(context.Context, api.GetAcmeRequestObject) (api.GetAcmeResponseObject, error) {
	return api.GetAcme200JSONResponse(f.byAcme()), f.err
}

// byAcme is how certificates are got by ACME.
func (f *fake) byAcme() api.Acme {
	if f.acme == nil {
		return api.Acme{State: api.AcmeStateOff}
	}
	a := api.Acme{State: api.AcmeStateGood, Settings: *f.acme, HasSecret: true, Tried: start().AddDate(0, 0, -2), Next: start().AddDate(0, 0, 58), Terms: "https://letsencrypt.org/documents/LE-SA-v1.5.pdf"}
	a.Settings.Secret, a.Settings.Password = "", ""
	if f.acmeFails {
		a.State, a.Failures, a.Next = api.AcmeStateFailing, 3, start().AddDate(0, 0, 1)
		a.Trouble, a.Remedy = "the TXT record can't be published at the DNS server ns1.example.com:53: the TSIG key's secret or algorithm is another there (BADSIG)", "See that the server can be reached from here and takes these settings, and mend them where they are wrong."
	}
	return a
}

func (f *fake) SetAcme(ctx context.Context, r api.SetAcmeRequestObject) (api.SetAcmeResponseObject, error) {
	if !api.IsCheck(ctx) {
		if err := f.dangerous(); err != nil {
			return nil, err
		}
	}
	if len(r.Body.Names) == 0 || !strings.Contains(r.Body.Names[0], ".") {
		return nil, &fieldError{"names", "no. 1 is no name in DNS with a domain, as console.example.com"}
	}
	if !api.IsCheck(ctx) {
		f.acme = r.Body
	}
	return api.SetAcme200JSONResponse(f.byAcme()), nil
}

func (f *fake) EndAcme(context.Context, api.EndAcmeRequestObject) (api.EndAcmeResponseObject, error) {
	if err := f.dangerous(); err != nil {
		return nil, err
	}
	f.acme = nil
	return api.EndAcme200JSONResponse(f.byAcme()), nil
}

func (f *fake) TryAcme(context.Context, api.TryAcmeRequestObject) (api.TryAcmeResponseObject, error) {
	return api.TryAcme200JSONResponse(f.byAcme()), f.err
}

func (f *fake) Restart(context.Context, api.RestartRequestObject) (api.RestartResponseObject, error) {
	return api.Restart202Response{}, f.dangerous()
}

func (f *fake) RenameAppliance(_ context.Context, r api.RenameApplianceRequestObject) (api.RenameApplianceResponseObject, error) {
	if strings.Contains(r.Body.Name, " ") {
		return nil, &fieldError{"name", "want letters, digits and hyphens"}
	}
	return api.RenameAppliance200JSONResponse(*r.Body), f.err
}

func (f *fake) GetSetup(context.Context, api.GetSetupRequestObject) (api.GetSetupResponseObject, error) {
	return api.GetSetup200JSONResponse{SetUp: !f.stranger, Name: "lisbon", MachineTrouble: f.stranger}, f.err
}
