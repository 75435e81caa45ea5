// Command vaultd is a small HashiCorp Vault server for tests: Vault's own core
// and HTTP handler from the published module, with the transit secrets engine
// and the AppRole and TLS-certificate auth methods, on one loopback port.
//
//	vaultd -state vault.json                      inmem storage, plain HTTP
//	vaultd -state vault.json -storage DIR -tls    file storage, self-made CA
//
// It initialises and unseals itself and writes address, root token, unseal key
// and CA to the state file. With file storage and a state file of an earlier
// start it unseals with the key in it; -sealed leaves it sealed.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	log "github.com/hashicorp/go-hclog"
	credAppRole "github.com/hashicorp/vault/builtin/credential/approle"
	credCert "github.com/hashicorp/vault/builtin/credential/cert"
	logicalTransit "github.com/hashicorp/vault/builtin/logical/transit"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/helper/consts"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/sdk/physical/inmem"
	"github.com/hashicorp/vault/vault"
)

// registry is the plugin catalog's list of built-in plugins, cut to three.
type registry struct{}

var secrets = map[string]logical.Factory{"transit": logicalTransit.Factory}

var auths = map[string]logical.Factory{"approle": credAppRole.Factory, "cert": credCert.Factory}

func factories(t consts.PluginType) map[string]logical.Factory {
	switch t {
	case consts.PluginTypeSecrets:
		return secrets
	case consts.PluginTypeCredential:
		return auths
	}
	return nil
}

func (registry) Contains(name string, t consts.PluginType) bool {
	return factories(t)[name] != nil
}

func (registry) Get(name string, t consts.PluginType) (func() (interface{}, error), bool) {
	f, ok := factories(t)[name]
	return func() (interface{}, error) { return f, nil }, ok
}

func (registry) Keys(t consts.PluginType) (names []string) {
	for n := range factories(t) {
		names = append(names, n)
	}
	return names
}

func (registry) DeprecationStatus(string, consts.PluginType) (consts.DeprecationStatus, bool) {
	return consts.Supported, true
}

func (registry) IsBuiltinEntPlugin(string, consts.PluginType) bool { return false }

// state is what a client of the server needs.
type state struct {
	Address   string `json:"address"`
	RootToken string `json:"root_token"`
	UnsealKey string `json:"unseal_key"` // hex, as api.Sys().Unseal takes it
	CAPEM     string `json:"ca_pem,omitempty"`
}

func main() {
	var (
		listen  = flag.String("listen", "127.0.0.1:0", "address")
		storage = flag.String("storage", "", "folder of the file storage; empty is memory")
		path    = flag.String("state", "vault.json", "file for address, root token, unseal key and CA")
		useTLS  = flag.Bool("tls", false, "serve TLS with a certificate made at start")
		sealed  = flag.Bool("sealed", false, "with storage that is initialised: stay sealed")
		level   = flag.String("log", "error", "log level")
	)
	flag.Parse()
	if err := run(*listen, *storage, *path, *level, *useTLS, *sealed); err != nil {
		fmt.Fprintln(os.Stderr, "vaultd:", err)
		os.Exit(1)
	}
}

func run(listen, storage, path, level string, useTLS, sealed bool) error {
	logger := log.New(&log.LoggerOptions{Level: log.LevelFromString(level)})
	var be physical.Backend
	var err error
	if storage == "" {
		be, err = inmem.NewInmem(nil, logger)
	} else {
		be, err = file.NewFileBackend(map[string]string{"path": storage}, logger)
	}
	if err != nil {
		return err
	}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical: be, DisableMlock: true, Logger: logger, BuiltinRegistry: registry{},
		LogicalBackends: secrets, CredentialBackends: auths,
	})
	if err != nil {
		return err
	}
	defer core.Shutdown()

	var st state
	ctx := context.Background()
	done, err := core.Initialized(ctx)
	if err != nil {
		return err
	}
	var key []byte
	if done {
		b, err := os.ReadFile(path)
		if err != nil {
			return fmt.Errorf("storage is initialised, but its key is gone: %w", err)
		}
		if err := json.Unmarshal(b, &st); err != nil {
			return err
		}
		if _, err := fmt.Sscanf(st.UnsealKey, "%x", &key); err != nil {
			return err
		}
	} else {
		r, err := core.Initialize(ctx, &vault.InitParams{BarrierConfig: &vault.SealConfig{SecretShares: 1, SecretThreshold: 1}})
		if err != nil {
			return err
		}
		key = r.SecretShares[0]
		st.RootToken, st.UnsealKey = r.RootToken, fmt.Sprintf("%x", key)
	}
	if !done || !sealed {
		if ok, err := core.Unseal(key); err != nil || !ok {
			return fmt.Errorf("unseal: %t %w", ok, err)
		}
	}

	ln, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	st.Address = "http://" + ln.Addr().String()
	if useTLS {
		cert, ca, err := selfMade(ln.Addr().(*net.TCPAddr).IP)
		if err != nil {
			return err
		}
		st.CAPEM = ca
		st.Address = "https://" + ln.Addr().String()
		ln = tls.NewListener(ln, &tls.Config{
			Certificates: []tls.Certificate{cert},
			ClientAuth:   tls.RequestClientCert, // the cert auth method verifies
			NextProtos:   []string{"h2", "http/1.1"},
		})
	}
	b, _ := json.MarshalIndent(st, "", "  ")
	if err := os.WriteFile(path+".new", append(b, '\n'), 0o600); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	fmt.Println("vaultd:", st.Address)

	srv := &http.Server{Handler: vaulthttp.Handler.Handler(&vault.HandlerProperties{
		Core: core, ListenerConfig: &configutil.Listener{Type: "tcp", Address: ln.Addr().String()},
	})}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, os.Interrupt)
	go func() {
		<-stop
		c, cancel := context.WithTimeout(ctx, 2*time.Second)
		defer cancel()
		_ = srv.Shutdown(c)
	}()
	if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// selfMade makes a CA and a server certificate for ip.
func selfMade(ip net.IP) (cert tls.Certificate, caPEM string, err error) {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return
	}
	from, to := time.Now().Add(-time.Hour), time.Now().Add(240*time.Hour)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "vaultd test CA"}, NotBefore: from, NotAfter: to,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "vaultd"}, NotBefore: from, NotAfter: to,
		IPAddresses: []net.IP{ip}, DNSNames: []string{"localhost"},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		return
	}
	caPEM = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, caPEM, nil
}
