package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"kuule/kiosk-bridge/duplicate"
	"kuule/kiosk-bridge/vendorport"
	"kuule/kiosk-bridge/vendorport/conformance"
)

// isPart tells a part behind the contract from a reader's plain socket.
func isPart(url string) bool {
	return strings.HasPrefix(url, "unix:") || strings.HasPrefix(url, "https://")
}

// part is a maker's part at this kiosk.
func (c *serveCommand) part(port vendorport.Port, url string) (*vendorport.Client, error) {
	config := vendorport.Config{Port: port, URL: url}
	if strings.HasPrefix(url, "https://") {
		var err error
		if config.TLS, err = mutualTLS(c.PartCA, c.PartCert, c.PartKey); err != nil {
			return nil, err
		}
	}
	return vendorport.NewClient(config)
}

// conformanceCommand tries a maker's part (docs/integration.md).
type conformanceCommand struct {
	Port string        `required:"" enum:"pad,fingerprint,optics,quality,face,duplicates,register,casework" help:"Kind of part: ${enum}."`
	URL  string        `required:"" placeholder:"URL" help:"Where it is: https://HOST:PORT, or unix:PATH."`
	CA   string        `type:"existingfile" placeholder:"FILE" help:"For https: PEM file of the authority that the part's certificate comes from."`
	Cert string        `type:"existingfile" placeholder:"FILE" help:"For https: PEM file of the certificate that we show."`
	Key  string        `type:"existingfile" placeholder:"FILE" help:"For https: PEM file of its key."`
	Sign string        `name:"signer" type:"existingfile" placeholder:"FILE" help:"For duplicates: PEM file of the public key that results are signed by."`
	Test string        `name:"test-person" placeholder:"NUMBER" help:"For a register: number of a test person who has a face and a finger there; without one, such a person is not asked for."`
	Wait time.Duration `default:"20s" help:"Longest time for one answer."`
	JSON bool          `help:"Print the results as JSON."`
}

// Run prints a line for each check. It is an error where one fails.
func (c *conformanceCommand) Run(ctx context.Context) error {
	config := conformance.Config{Port: vendorport.Port(c.Port), URL: c.URL, Test: c.Test, Wait: c.Wait}
	var err error
	if c.CA != "" || c.Cert != "" || c.Key != "" {
		if config.TLS, err = mutualTLS(c.CA, c.Cert, c.Key); err != nil {
			return err
		}
	}
	if c.Sign != "" {
		if config.Key, err = publicKey(c.Sign); err != nil {
			return err
		}
	}
	results, err := conformance.Run(ctx, config)
	if err != nil {
		return err
	}
	failed, err := printResults(os.Stdout, results, c.JSON)
	if err != nil {
		return err
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d checks failed", failed, len(results))
	}
	return nil
}

func printResults(w io.Writer, results []conformance.Result, asJSON bool) (failed int, err error) {
	for _, r := range results {
		if !r.OK {
			failed++
		}
	}
	if asJSON {
		return failed, json.NewEncoder(w).Encode(results)
	}
	for _, r := range results {
		if r.OK {
			_, err = fmt.Fprintf(w, "ok      %s\n", r.Name)
		} else {
			_, err = fmt.Fprintf(w, "FAILED  %s: %s\n        the contract: %s\n", r.Name, r.Detail, r.Rule)
		}
		if err != nil {
			return failed, err
		}
	}
	if failed == 0 {
		_, err = fmt.Fprintf(w, "%d checks, all passed\n", len(results))
	}
	return failed, err
}

func mutualTLS(ca, cert, key string) (*tls.Config, error) {
	if ca == "" || cert == "" || key == "" {
		return nil, errors.New("a part behind https needs its authority, our certificate and its key, all three")
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("read the certificate that we show: %w", err)
	}
	roots, err := os.ReadFile(ca)
	if err != nil {
		return nil, fmt.Errorf("read the part's authority: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(roots) {
		return nil, fmt.Errorf("%s holds no certificate", ca)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, MinVersion: tls.VersionTLS13}, nil
}

func publicKey(path string) (any, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the register's key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("%s holds no public key in PEM", path)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("read the register's key: %w", err)
	}
	return key, nil
}

// thresholdsCommand does the arithmetic of false hits.
type thresholdsCommand struct {
	Register int `default:"1000000" help:"Templates in the register."`
	Visits   int `default:"200" help:"Visits a day."`
}

// Run prints the table.
func (c *thresholdsCommand) Run() error {
	if c.Register < 1 || c.Visits < 0 {
		return errors.New("a register has one template at least")
	}
	return duplicate.PrintThresholds(os.Stdout, c.Register, c.Visits)
}
