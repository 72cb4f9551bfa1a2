package group

import (
	"crypto/sha256"
	"testing"
	"time"
)

func TestTheValidityOfAMembersCertificateIsKnownOnceItWasShown(t *testing.T) {
	l := newLab(t)
	one, two := l.join(1), l.join(2)
	l.mustUpdate(one)
	if v, known := one.ValidityOf(two.Self()); known {
		t.Errorf("nothing was shown, and %+v is known", v)
	}
	if err := one.CheckCertificate(two.Self(), two.Certificate(), l.now); err != nil {
		t.Fatal(err)
	}
	v, known := one.ValidityOf(two.Self())
	if !known || v.Fingerprint != sha256.Sum256(two.Certificate()) || !v.Until.Equal(two.Expires()) || v.Renewal.Sub(v.From) != CertificateLife*2/3 || v.Until.Sub(v.From) != CertificateLife {
		t.Errorf("%+v, %t", v, known)
	}
	if own, known := two.ValidityOf(two.Self()); !known || own != v {
		t.Errorf("its own: %+v, %t; want %+v", own, known, v)
	}
	if two.RenewalDue(v.Renewal.Add(-time.Second)) || !two.RenewalDue(v.Renewal) {
		t.Error("it isn't renewed when it is said to be")
	}
}
