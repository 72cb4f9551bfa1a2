package web

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// certificatePage is what the page of the console's certificate shows. A key is never written into
// it.
type certificatePage struct {
	Now   api.ConsoleCertificate
	Acme  api.Acme // how it is got by ACME
	Sent  string   // the certificate, as it was sent
	Flaws flaws
	Again againFields
	Done  string // what was done just now
}

// certificate shows what the console shows of itself.
func (p *Pages) certificate(c echo.Context) error {
	again, err := p.againFields(c)
	if err != nil {
		return p.fail(c, err)
	}
	return p.showCertificate(c, http.StatusOK, certificatePage{Done: c.QueryParam("done"), Again: again})
}

func (p *Pages) showCertificate(c echo.Context, status int, page certificatePage) error {
	now, err := ask[api.GetCertificateRequestObject, api.GetCertificateResponseObject, api.GetCertificate200JSONResponse](
		c, p.api.GetCertificate, api.GetCertificateRequestObject{})
	if err != nil {
		return p.fail(c, err)
	}
	page.Now = api.ConsoleCertificate(now)
	if page.Acme, err = p.acme(c); err != nil {
		return p.fail(c, err)
	}
	return p.show(c, status, "certificate", page)
}

// setCertificate has the console show a certificate that was uploaded, or pasted.
func (p *Pages) setCertificate(c echo.Context) error {
	certificate, key := sentText(c, "certificate"), sentText(c, "key")
	again, err := p.certainly(c, func() error {
		_, err := ask[api.SetCertificateRequestObject, api.SetCertificateResponseObject, api.SetCertificate200JSONResponse](
			c, p.api.SetCertificate, api.SetCertificateRequestObject{Body: &api.CertificateUpload{Certificate: certificate, Key: key}})
		return err
	})
	page := certificatePage{Sent: certificate, Again: again}
	switch {
	case errors.Is(err, errAgainWanted):
		return p.showCertificate(c, http.StatusUnprocessableEntity, page)
	case err != nil:
		page.Flaws, _ = p.flawsOf(err)
		return p.showCertificate(c, http.StatusUnprocessableEntity, page)
	}
	return c.Redirect(http.StatusSeeOther, "/system/certificate?done=set")
}

// sentText returns what a form has for a field: as a file, else as text.
func sentText(c echo.Context, name string) string {
	file, err := c.FormFile(name + "File")
	if err != nil || file.Size == 0 {
		return strings.TrimSpace(c.FormValue(name))
	}
	f, err := file.Open()
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(f) // of memory, and bounded as the body is
	return string(b)
}

// resetCertificate has the console show the appliance's own certificate again.
func (p *Pages) resetCertificate(c echo.Context) error {
	_, err := ask[api.ResetCertificateRequestObject, api.ResetCertificateResponseObject, api.ResetCertificate200JSONResponse](
		c, p.api.ResetCertificate, api.ResetCertificateRequestObject{})
	return p.certificateDone(c, err, "reset")
}

// renewCertificate makes the appliance's own certificate anew.
func (p *Pages) renewCertificate(c echo.Context) error {
	_, err := ask[api.RenewCertificateRequestObject, api.RenewCertificateResponseObject, api.RenewCertificate200JSONResponse](
		c, p.api.RenewCertificate, api.RenewCertificateRequestObject{})
	return p.certificateDone(c, err, "renewed")
}

func (p *Pages) certificateDone(c echo.Context, err error, done string) error {
	switch {
	case p.wantsPassword(err):
		return err
	case err != nil:
		return p.fail(c, err)
	}
	return c.Redirect(http.StatusSeeOther, "/system/certificate?done="+done)
}
