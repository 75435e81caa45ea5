package app

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"kuule/internal/config"
	"kuule/interview/ledger"
	kioskbridge "kuule/kiosk-bridge"
	"kuule/kiosk-bridge/duplicate"
	"kuule/kiosk-bridge/engines"
	"kuule/kiosk-bridge/face"
	"kuule/kiosk-bridge/vendorport"
)

// biometrics are what the bridge asks about people's faces and fingers. All of
// them may be missing.
type biometrics struct {
	faces      kioskbridge.Matcher
	fingers    kioskbridge.Matcher
	liveness   kioskbridge.Liveness
	quality    kioskbridge.Grader
	register   kioskbridge.Registry
	submit     kioskbridge.Duplicates // nil: nobody is searched for
	duplicates *duplicate.Service     // always: tasks of earlier searches wait on
	closers    []func()
}

func (b *biometrics) close() {
	for i := len(b.closers) - 1; i >= 0; i-- {
		b.closers[i]()
	}
}

// openBiometrics opens what the configuration names. The bridge's key signs what
// the local search finds.
func (d *door) openBiometrics(ctx context.Context, key crypto.Signer) (*biometrics, error) {
	b := &biometrics{}
	if err := b.open(ctx, d, key); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *biometrics) open(ctx context.Context, d *door, key crypto.Signer) error {
	settings := d.in.Biometrics
	engine, err := openFaces(ctx, settings.FaceEngine)
	if err != nil {
		return err
	}
	if engine != nil {
		b.faces = engines.Face{Engine: engine}
	}
	var searcher duplicate.Searcher
	signer, describe := key.Public(), engines.Pictures
	for _, p := range settings.Parts {
		client, err := openPart(p)
		if err != nil {
			return fmt.Errorf("part for %s: %w", p.Port, err)
		}
		b.closers = append(b.closers, client.Close)
		switch part := (&engines.Part{Client: client}); vendorport.Port(p.Port) {
		case vendorport.PortFace:
			b.faces = engines.Maker{Part: part}
		case vendorport.PortFingerprint:
			b.fingers = engines.Maker{Part: part}
		case vendorport.PortPAD:
			b.liveness = engines.Liveness{Part: part}
		case vendorport.PortQuality:
			b.quality = engines.Quality{Part: part}
		case vendorport.PortRegister:
			b.register = engines.Register{Part: part}
		case vendorport.PortDuplicates:
			searcher = engines.Searcher{Client: client}
			if signer, err = readPublicKey(p.Signer); err != nil {
				return fmt.Errorf("part for %s: %w", p.Port, err)
			}
		}
	}
	if settings.Gallery != "" && searcher == nil {
		if engine == nil {
			return errors.New("biometrics: a gallery is searched by the reference face engine, and there is none: 'make face-engine'")
		}
		local, err := b.openGallery(settings, key)
		if err != nil {
			return err
		}
		searcher, describe = local, engines.Describe(engine)
	}
	config := duplicate.Config{DB: d.db, Outbox: ledger.Outbox{}, Sealer: d.sealer, Searcher: searcher, Key: signer, Describe: describe, Diary: d.diary}
	if searcher == nil {
		config.Searcher = noRegister{}
	}
	if b.duplicates, err = duplicate.New(config); err != nil {
		return err
	}
	if searcher != nil {
		b.submit = engines.Duplicates{Service: b.duplicates}
	}
	return nil
}

// run carries searches until ctx ends.
func (b *biometrics) run(ctx context.Context) {
	if err := b.duplicates.Run(ctx); err != nil {
		slog.Error("searches for duplicates have stopped: the service is started anew with the door", "err", err)
	}
}

// noRegister knows no search: those of a register that was taken away are lost,
// which officers are told.
type noRegister struct{}

func (noRegister) Search(context.Context, string, []duplicate.Probe) (duplicate.Standing, error) {
	return duplicate.Standing{}, duplicate.ErrUnknown
}

func (noRegister) Standing(context.Context, string) (duplicate.Standing, error) {
	return duplicate.Standing{}, duplicate.ErrUnknown
}

// openFaces opens the reference engine; nil where there is none to be found.
func openFaces(ctx context.Context, dir string) (*face.Engine, error) {
	if dir == "none" {
		return nil, nil
	}
	e, err := face.Open(ctx, dir)
	switch {
	case errors.Is(err, face.ErrNoEngine) && dir == "":
		slog.Info("faces are not compared by a machine: no engine is installed")
		return nil, nil
	case errors.Is(err, face.ErrEngine) || errors.Is(err, face.ErrTimeout):
		slog.Warn("faces are not compared by a machine: the engine does not run here", "err", err)
		return nil, nil
	case err != nil:
		return nil, err
	}
	return e, nil
}

func (b *biometrics) openGallery(settings config.Biometrics, key crypto.Signer) (*duplicate.Local, error) {
	text, err := os.ReadFile(settings.GalleryKey)
	if err != nil {
		return nil, fmt.Errorf("read the gallery's key: %w", err)
	}
	secret, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("%s is no key of 64 hexadecimal digits", settings.GalleryKey)
	}
	gallery, err := duplicate.OpenGallery(settings.Gallery, secret)
	if err != nil {
		return nil, err
	}
	local := duplicate.NewLocal(gallery, key)
	b.closers = append(b.closers, func() { _ = gallery.Close() }, local.Close)
	return local, nil
}

func openPart(p config.Part) (*vendorport.Client, error) {
	c := vendorport.Config{Port: vendorport.Port(p.Port), URL: p.URL}
	if strings.HasPrefix(p.URL, "https://") {
		pair, err := tls.LoadX509KeyPair(p.Certificate, p.Key)
		if err != nil {
			return nil, fmt.Errorf("read our certificate: %w", err)
		}
		roots, err := os.ReadFile(p.CA)
		if err != nil {
			return nil, fmt.Errorf("read its authority: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(roots) {
			return nil, fmt.Errorf("%s holds no certificate", p.CA)
		}
		c.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: pool, MinVersion: tls.VersionTLS13}
	}
	return vendorport.NewClient(c)
}

func readPublicKey(path string) (crypto.PublicKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the register's key: %w", err)
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PUBLIC KEY" {
		return nil, fmt.Errorf("%s holds no public key in PEM", path)
	}
	return x509.ParsePKIXPublicKey(block.Bytes)
}
