package app

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"kuule/internal/blob"
	"kuule/internal/blob/s3"
)

// openBlobs opens the store of finished files that the configuration names.
func openBlobs(ctx context.Context, in *installation) (blob.Store, error) {
	c := in.Blobs
	if c.Backend != "s3" {
		return blob.OpenFolder(in.layout.Blobs())
	}
	text, err := os.ReadFile(c.Credentials)
	if err != nil {
		return nil, fmt.Errorf("blobs: credentials: %w", err)
	}
	words := strings.Fields(string(text))
	if len(words) != 2 {
		return nil, errors.New("blobs: credentials: the file holds two lines: access key id, secret access key")
	}
	roots, err := rootsOf(c.CA)
	if err != nil {
		return nil, fmt.Errorf("blobs: %w", err)
	}
	return s3.Open(ctx, s3.Config{Endpoint: c.Endpoint, Bucket: c.Bucket, Region: c.Region, Access: words[0], Secret: words[1], Roots: roots})
}

// rootsOf reads a PEM file of roots; no file stands for the system's own.
func rootsOf(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	list, err := certificates(path)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	pool := x509.NewCertPool()
	for _, c := range list {
		pool.AddCert(c)
	}
	return pool, nil
}
