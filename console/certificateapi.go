package console

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"slices"
	"strings"

	"landbridge/console/access"
	"landbridge/console/api"
	"landbridge/console/issuance"
)

var errNoDoor = errors.New("this appliance has no HTTPS door, and so no certificate: name an address for it with --console-listen")

// certificates returns those of the door.
func (h *handlers) certificates() (*Certificates, error) {
	d := h.door.Load()
	if d == nil {
		return nil, Conflict(errNoDoor)
	}
	return d.Certificates, nil
}

// GetCertificate tells what the door shows of itself.
func (h *handlers) GetCertificate(context.Context, api.GetCertificateRequestObject) (api.GetCertificateResponseObject, error) {
	c, err := h.certificates()
	if err != nil {
		return nil, err
	}
	return api.GetCertificate200JSONResponse(c.describe()), nil
}

// SetCertificate has the door show an uploaded certificate.
func (h *handlers) SetCertificate(ctx context.Context, req api.SetCertificateRequestObject) (api.SetCertificateResponseObject, error) {
	var check checker
	check.length(certificateField, req.Body.Certificate, 1, 32768)
	check.length(keyField, req.Body.Key, 0, 16384)
	if err := check.err(); err != nil {
		return nil, err
	}
	c, err := h.certificates()
	if err != nil {
		return nil, err
	}
	if err := c.upload(req.Body.Certificate, req.Body.Key); err != nil {
		return nil, err
	}
	now := c.describe()
	access.About(ctx, now.Fingerprint)
	return api.SetCertificate200JSONResponse(now), nil
}

// ResetCertificate has the door show the appliance's own certificate again.
func (h *handlers) ResetCertificate(context.Context, api.ResetCertificateRequestObject) (api.ResetCertificateResponseObject, error) {
	c, err := h.certificates()
	if err != nil {
		return nil, err
	}
	if err := c.reset(); err != nil {
		return nil, err
	}
	return api.ResetCertificate200JSONResponse(c.describe()), nil
}

// RenewCertificate makes the appliance's own certificate anew.
func (h *handlers) RenewCertificate(context.Context, api.RenewCertificateRequestObject) (api.RenewCertificateResponseObject, error) {
	c, err := h.certificates()
	if err != nil {
		return nil, err
	}
	if err := c.renew(); err != nil {
		return nil, err
	}
	return api.RenewCertificate200JSONResponse(c.describe()), nil
}

// GetAcme tells how certificates are got by ACME.
func (h *handlers) GetAcme(context.Context, api.GetAcmeRequestObject) (api.GetAcmeResponseObject, error) {
	c, err := h.certificates()
	if err != nil {
		return nil, err
	}
	return api.GetAcme200JSONResponse(c.describeAcme()), nil
}

// SetAcme has certificates be got by ACME.
func (h *handlers) SetAcme(ctx context.Context, req api.SetAcmeRequestObject) (api.SetAcmeResponseObject, error) {
	c, noDoor := h.certificates()
	var former issuance.Settings
	if noDoor == nil {
		former = c.acme.record.Load().Settings
	}
	var check checker
	check.bounds(req.Body)
	settings, wrong := issuance.Read(*req.Body, former)
	for _, w := range wrong {
		if !slices.ContainsFunc(check.fields, func(f api.FieldError) bool { return f.Field == w.Field }) {
			check.fields = append(check.fields, w)
		}
	}
	if err := check.err(); err != nil {
		return nil, err
	}
	if noDoor != nil || api.IsCheck(ctx) {
		return nil, noDoor
	}
	access.About(ctx, strings.Join(settings.Names, ", "))
	if err := c.setAcme(settings); err != nil {
		return nil, err
	}
	return api.SetAcme200JSONResponse(c.describeAcme()), nil
}

// EndAcme ends that certificates are got by ACME; the one that is shown stays.
func (h *handlers) EndAcme(context.Context, api.EndAcmeRequestObject) (api.EndAcmeResponseObject, error) {
	c, err := h.certificates()
	if err != nil {
		return nil, err
	}
	if !c.acme.record.Load().on() {
		return nil, Conflict(errNoAcme)
	}
	if err := c.change(c.endAcme); err != nil {
		return nil, err
	}
	return api.EndAcme200JSONResponse(c.describeAcme()), nil
}

// TryAcme has a certificate be asked for now.
func (h *handlers) TryAcme(context.Context, api.TryAcmeRequestObject) (api.TryAcmeResponseObject, error) {
	c, err := h.certificates()
	if err != nil {
		return nil, err
	}
	if err := c.tryNow(); err != nil {
		return nil, err
	}
	return api.TryAcme200JSONResponse(c.describeAcme()), nil
}

// describe tells the API of the certificate that is shown.
func (c *Certificates) describe() api.ConsoleCertificate {
	shown := c.current.Load()
	leaf := shown.Leaf
	return api.ConsoleCertificate{
		Own: shown.own, Acme: shown.acme, Subject: describeName(leaf.Subject), Issuer: describeName(leaf.Issuer), Names: orEmpty(namesOf(leaf)),
		Key: describeKey(leaf), Fingerprint: fingerprint(leaf.Raw), Begins: leaf.NotBefore.UTC(), Ends: leaf.NotAfter.UTC(), Chain: len(shown.Certificate.Certificate),
	}
}

// describeName names somebody of a certificate, in few words.
func describeName(n pkix.Name) string {
	return cmp.Or(n.CommonName, n.String(), "nobody by name")
}

func describeKey(c *x509.Certificate) string {
	switch key := c.PublicKey.(type) {
	case *ecdsa.PublicKey:
		return "ECDSA " + key.Params().Name
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", key.N.BitLen())
	}
	return c.PublicKeyAlgorithm.String()
}
