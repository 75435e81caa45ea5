package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

// hello records the first bytes that a TLS client for a name sends.
func hello(t testing.TB, name string) []byte {
	t.Helper()
	var sent bytes.Buffer
	client := tls.Client(&recording{&sent}, &tls.Config{ServerName: name, InsecureSkipVerify: name == ""})
	_ = client.HandshakeContext(t.Context())
	if sent.Len() == 0 {
		t.Fatal("no ClientHello")
	}
	return sent.Bytes()
}

type recording struct{ sent *bytes.Buffer }

func (r *recording) Read([]byte) (int, error)         { return 0, io.EOF }
func (r *recording) Write(p []byte) (int, error)      { return r.sent.Write(p) }
func (r *recording) Close() error                     { return nil }
func (r *recording) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (r *recording) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (r *recording) SetDeadline(time.Time) error      { return nil }
func (r *recording) SetReadDeadline(time.Time) error  { return nil }
func (r *recording) SetWriteDeadline(time.Time) error { return nil }

// Whatever is sent: the name comes from a whole ClientHello alone, and not a
// byte is lost for whoever reads on.
func FuzzServerName(f *testing.F) {
	whole := hello(f, "turn.kuule.example")
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add(hello(f, ""))
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add([]byte{22, 3, 1, 255, 255, 1, 0, 0, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		name, read, err := serverName(t.Context(), bytes.NewReader(p))
		if !bytes.HasPrefix(p, read) || len(read) > helloBytes {
			t.Fatalf("%d bytes read of %d are others", len(read), len(p))
		}
		if err != nil && name != "" {
			t.Fatalf("%q named with %v", name, err)
		}
	})
}

func TestServerNameIsReadFromPieces(t *testing.T) {
	t.Parallel()
	whole := hello(t, "TURN.kuule.example")
	name, read, err := serverName(t.Context(), iotest.OneByteReader(bytes.NewReader(whole)))
	if err != nil || name != "TURN.kuule.example" || !bytes.Equal(read, whole) {
		t.Errorf("%q, %d of %d bytes, %v", name, len(read), len(whole), err)
	}
	if _, _, err := serverName(t.Context(), bytes.NewReader(whole[:40])); err == nil {
		t.Error("half a ClientHello has a name")
	}
}

// splitting serves a door that wants certificates and a relay behind a splitter.
func splitting(t *testing.T) (address string, s *splitter) {
	t.Helper()
	dir := t.TempDir()
	root, key, err := makeAuthority(dir, "root", "test")
	if err != nil {
		t.Fatal(err)
	}
	pair := func(name string) tls.Certificate {
		if err := makeServerCertificate(dir, name, root, key, name); err != nil {
			t.Fatal(err)
		}
		p, err := tls.LoadX509KeyPair(dir+"/"+name+".pem", dir+"/"+name+".key")
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	relay, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair("turn.test")}})
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s = split(context.Background(), inner, "turn.test", relay.Addr().String())
	door := tls.NewListener(s, &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAnyClientCert, Certificates: []tls.Certificate{pair("door.test")}})
	answer := func(l net.Listener, word string) {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				b := make([]byte, 5)
				if _, err := io.ReadFull(c, b); err == nil {
					_, _ = io.WriteString(c, word+string(b))
				}
			}()
		}
	}
	go answer(relay, "relay:")
	go answer(door, "door:")
	t.Cleanup(func() {
		_ = relay.Close()
		_ = door.Close()
	})
	return inner.Addr().String(), s
}

func ask(t *testing.T, address, name string, version uint16) (string, error) {
	t.Helper()
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	client := tls.Client(c, &tls.Config{ServerName: name, InsecureSkipVerify: true, MaxVersion: version, VerifyConnection: func(s tls.ConnectionState) error {
		return s.PeerCertificates[0].VerifyHostname(strings.ToLower(name))
	}})
	if _, err := io.WriteString(client, "hello"); err != nil {
		return "", err
	}
	b, err := io.ReadAll(client)
	return string(b), err
}

// The relay's clients bring no certificate and are asked for none; everybody
// else is, on the same port.
func TestNamesAreToldApartBeforeACertificateIsAskedFor(t *testing.T) {
	t.Parallel()
	address, _ := splitting(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		for _, name := range []string{"turn.test", "TURN.Test"} {
			if got, err := ask(t, address, name, version); err != nil || got != "relay:hello" {
				t.Errorf("%s: %q, %v", name, got, err)
			}
		}
	}
	for _, name := range []string{"door.test", "xturn.test", "turn.test.door.test", "enrol.turn.test"} {
		if got, err := ask(t, address, name, tls.VersionTLS13); got != "" || err == nil {
			t.Errorf("%s was answered %q without a certificate", name, got)
		}
	}
	_, err := ask(t, address, "door.test", tls.VersionTLS13)
	if err == nil || !strings.Contains(err.Error(), "certificate required") {
		t.Errorf("the door did not ask for a certificate: %v", err)
	}
}

// Who opens many connections and says nothing takes no place from others.
func TestSilentConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	address, s := splitting(t)
	for range maxHellosIP {
		c, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	deadline := time.Now().Add(helloWithin / 2)
	for full := false; !full; {
		s.mu.Lock()
		full = s.waiting.taken == maxHellosIP
		s.mu.Unlock()
		if !full && time.Now().After(deadline) {
			t.Fatal("the connections did not arrive")
		}
		time.Sleep(time.Millisecond)
	}
	if _, err := ask(t, address, "turn.test", tls.VersionTLS13); err == nil {
		t.Error("one address opened more than its bound")
	}
	if s.enter(&s.waiting, "192.0.2.1") {
		s.leave(&s.waiting, "192.0.2.1")
	} else {
		t.Error("another address is kept out")
	}
	for end := time.Now().Add(3 * helloWithin); ; {
		if got, err := ask(t, address, "turn.test", tls.VersionTLS13); err == nil && got == "relay:hello" {
			return
		}
		if time.Now().After(end) {
			t.Fatal("silent connections were not ended")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Nor does who opens many connections to the relay and stays.
func TestSplicesOfOneAddressAreBounded(t *testing.T) {
	t.Parallel()
	address, s := splitting(t)
	taken := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.spliced.taken
	}
	for n := range maxSpliceIP {
		c, err := tls.Dial("tcp", address, &tls.Config{ServerName: "turn.test", InsecureSkipVerify: true})
		if err != nil {
			t.Fatalf("connection %d: %v", n, err)
		}
		defer c.Close()
	}
	if taken() != maxSpliceIP {
		t.Fatalf("%d are spliced", taken())
	}
	if _, err := ask(t, address, "turn.test", tls.VersionTLS13); err == nil {
		t.Error("one address opened more than its bound")
	}
	if s.enter(&s.spliced, "192.0.2.1") {
		s.leave(&s.spliced, "192.0.2.1")
	} else {
		t.Error("another address is kept out")
	}
}

// The certificate of turn.HOST is the media server's own: the door's key opens
// nothing that is spliced, and the media server's not the door.
func TestTheRelayHasACertificateOfItsOwn(t *testing.T) {
	t.Parallel()
	o := initOptions(t)
	if err := Init(o); err != nil {
		t.Fatal(err)
	}
	in, err := openInstallation(o.Config.Data)
	if err != nil {
		t.Fatal(err)
	}
	leaf := func(dir, file string) *x509.Certificate {
		p, err := tls.LoadX509KeyPair(dir+"/"+file+".pem", dir+"/"+file+".key")
		if err != nil {
			t.Fatal(err)
		}
		return p.Leaf
	}
	turn, door := leaf(in.layout.SFU(), "turn"), leaf(in.layout.Door(), "tls")
	if turn.VerifyHostname(in.turnName()) != nil || turn.VerifyHostname(in.Host) == nil {
		t.Errorf("the relay's certificate is for %v", turn.DNSNames)
	}
	if door.VerifyHostname(in.Host) != nil || door.VerifyHostname(in.turnName()) == nil {
		t.Errorf("the door's certificate is for %v", door.DNSNames)
	}
}
