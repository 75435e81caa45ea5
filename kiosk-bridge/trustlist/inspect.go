package trustlist

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"

	"kuule/kiosk-bridge/emrtd"
)

// Inspect prints what a file holds, for somebody who is to approve it: the
// certificates by country, and at the end how many there are and whether its
// signer is who signs such lists, or why that cannot be said. A file whose
// signature does not fit is an error.
func Inspect(out io.Writer, file []byte) error {
	certs, signer, err := contents(file)
	if err != nil {
		return err
	}
	countries := map[string]int{}
	for _, c := range certs {
		countries[cmp.Or(c.Country, "none")]++
	}
	for _, country := range slices.Sorted(maps.Keys(countries)) {
		if _, err := fmt.Fprintf(out, "%-4s %d\n", country, countries[country]); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "%d certificates, %d countries, %s\n", len(certs), len(countries), signer)
	return err
}

func contents(file []byte) (certs []*emrtd.Certificate, signer string, err error) {
	list, notList := emrtd.ParseMasterList(file)
	if notList != nil {
		if certs, err = emrtd.ParseCertificates(file); err != nil {
			return nil, "", fmt.Errorf("%w: no master list (%w) and no certificates (%w)", ErrRefused, notList, err)
		}
		return certs, "no signer: a plain list of certificates", nil
	}
	if n := len(list.Rejected); n > 0 {
		return nil, "", fmt.Errorf("%w: %d of its certificates cannot be read, the first: %w", ErrRefused, n, list.Rejected[0])
	}
	if list.Authority() == nil {
		return list.Certificates, "signer not verified: the authority that issued it is not in the list", nil
	}
	return list.Certificates, "signer verified", nil
}
