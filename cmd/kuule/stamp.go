package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"kuule/internal/audit"
	"kuule/internal/audit/stamp"
	"kuule/internal/config"
	"kuule/internal/trust"
)

type stampCommand struct {
	data
	From  string `help:"Address of the time-stamping authority." required:"" placeholder:"URL"`
	Roots string `help:"PEM file with its roots." required:"" type:"existingfile"`
	Out   string `help:"Folder for checkpoint and stamp; kept apart from this machine." required:"" type:"path"`
}

// Help says how others check it.
func (stampCommand) Help() string {
	return `Writes checkpoint-N.txt and checkpoint-N.tsr. The authority learns a hash. Anybody checks them with
  openssl ts -verify -in checkpoint-N.tsr -data checkpoint-N.txt -CAfile roots.pem
and 'kuule audit check --stamps FOLDER --roots roots.pem' holds the log against each.`
}

// Run stamps the newest checkpoint of the log. Nothing is written that does not hold.
func (c stampCommand) Run(ctx context.Context, out io.Writer) error {
	layout := config.NewLayout(c.Data)
	keys, err := trust.Read(layout.Trust())
	if err != nil {
		return err
	}
	roots, err := pool(c.Roots)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(layout.AuditLog(), "checkpoint"))
	if err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	checkpoint, err := audit.VerifyCheckpoint(string(text), keys.LogKey, nil)
	if err != nil {
		return fmt.Errorf("audit log: %w", err)
	}
	answer, s, err := stamp.Ask(ctx, http.DefaultClient, c.From, text, roots)
	if err != nil {
		return err
	}
	if err := stamp.Keep(c.Out, checkpoint.Size, text, answer); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%d entries were there at %s, says %s\n", checkpoint.Size, s.At.UTC().Format("2006-01-02T15:04:05Z"), s.Authority)
	return err
}

func pool(path string) (*x509.CertPool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return roots, nil
}

// stamped reads a folder of stamps; one that does not hold is an error.
func stamped(folder, rootsFile string) ([]stamp.Kept, error) {
	if folder == "" {
		return nil, nil
	}
	if rootsFile == "" {
		return nil, errors.New("--stamps needs --roots: a stamp is trusted by its authority's roots")
	}
	roots, err := pool(rootsFile)
	if err != nil {
		return nil, err
	}
	return stamp.Read(folder, roots)
}
