package stage

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"kuule/attestation/agent/bundle"
	"kuule/internal/app"
	"kuule/internal/config"
	"kuule/internal/idptest"
	"kuule/internal/keyring"
	"kuule/internal/trust"
	"kuule/kiosk-bridge/emrtdtest"
)

// install makes the installation: keys, pages signed by a development key, the
// passport factory's authority on the trust list.
func (s *Stage) install() error {
	var err error
	if s.office, err = bundle.GenerateDevKey(s.in("office.key")); err != nil {
		return err
	}
	release, err := bundle.GenerateDevKey(s.in("release.key"))
	if err != nil {
		return err
	}
	if s.state, err = emrtdtest.NewState("UT", "UTO", emrtdtest.ECDSA, time.Now()); err != nil {
		return err
	}
	parts, err := s.playParts()
	if err != nil {
		return err
	}
	if _, err := os.Stat(s.TrustFile()); errors.Is(err, fs.ErrNotExist) {
		if err := s.initialise(release.Public(), s.office.Public(), parts); err != nil {
			return err
		}
	} else if err := os.WriteFile(s.in("kuule", "door", "csca.pem"), s.state.CSCAPEM(), 0o600); err != nil { // the factory is new in every run
		return err
	}
	if s.Trust, err = trust.Read(s.TrustFile()); err != nil {
		return err
	}
	if err := os.MkdirAll(s.layout().Bundle(), 0o755); err != nil {
		return err
	}
	if _, err := os.Stat(s.o.Web); err != nil {
		return fmt.Errorf("the web pages are not built (make build): %w", err)
	}
	return bundle.SignFile(s.o.Web, s.bundle(), release)
}

func (s *Stage) initialise(release, office any, parts []config.Part) error {
	c := config.Default()
	c.Name, c.Host, c.Data, c.PassphraseFile = "demonstration", host, s.data(), s.in("passphrase")
	c.Ports = config.Ports{HTTPS: s.port(portHTTPS), Bus: s.port(portBus), Media: s.port(portMedia), TURN: s.port(portTURN), Splice: s.port(portSplice)}
	c.Database = s.o.Database
	c.Identity = config.Identity{Issuer: "http://" + s.signInAddress(), ClientID: idptest.ClientID}
	c.Biometrics.Parts, c.Biometrics.FaceEngine = parts, s.o.FaceEngine
	words := make([]byte, 16)
	if _, err := rand.Read(words); err != nil {
		return err
	}
	passphrase := hex.EncodeToString(words)
	if err := os.WriteFile(c.PassphraseFile, []byte(passphrase+"\n"), 0o600); err != nil {
		return err
	}
	return app.Init(app.InitOptions{
		Config: c, Demonstration: true, OfficeKey: office, BundleKey: release,
		Manufacturers: pemOf(s.maker.Roots()), Intermediates: pemOf(s.maker.Intermediates()), TrustList: s.state.CSCAPEM(),
		Passphrase: keyring.NewSecret([]byte(passphrase)),
	})
}

func (s *Stage) signInAddress() string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port(portSignIn)))
}

// Install makes software TPMs and the installation.
func (s *Stage) Install(ctx context.Context) error {
	if err := s.makeTPMs(ctx); err != nil {
		return err
	}
	return s.install()
}

// Serve starts the sign-in and `kuule serve`, and returns when enrolment
// answers: then door and authority are both there.
func (s *Stage) Serve(ctx context.Context) error {
	var err error
	if s.Provider, err = idptest.Start(context.WithoutCancel(ctx), s.signInAddress(), s.personas()); err != nil {
		return err
	}
	return s.ServeAgain(ctx)
}

// ServeAgain starts `kuule serve`, also after it was killed.
func (s *Stage) ServeAgain(ctx context.Context) error {
	var err error
	if s.serving, err = s.start("kuule", s.program("kuule"), "serve", "--data", s.data()); err != nil {
		return err
	}
	roots, err := trust.Pool(s.Trust.ServerRoots)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	return s.serving.until(ctx, func(ctx context.Context) error { return s.enrolmentAnswers(ctx, roots) })
}

func (s *Stage) enrolmentAnswers(ctx context.Context, roots *x509.CertPool) error {
	name := "enrol." + host
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", s.door())
		},
		TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: name, MinVersion: tls.VersionTLS12},
	}}
	defer client.CloseIdleConnections()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+net.JoinHostPort(name, strconv.Itoa(s.port(portHTTPS)))+"/", nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("enrolment answers %s", resp.Status)
	}
	return nil
}
