package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kuule/internal/audit"
	"kuule/internal/audit/stamp/stamptest"
	"kuule/internal/config"
	"kuule/internal/trust"
	"kuule/interview"
)

// The log of a data folder is stamped by an authority outside, and held against
// the stamp afterwards: one that was cut since is found.
func TestALogIsStampedAndHeldAgainstItsStamp(t *testing.T) {
	t.Parallel()
	authority := stamptest.New(t)
	where := data{Data: t.TempDir()}
	layout := config.NewLayout(where.Data)
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	logKey, err := audit.LogKey("kuule.test/log", public)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(layout.AuditLog()), 0o700); err != nil {
		t.Fatal(err)
	}
	trusted := trust.File{V: 1, LogKey: logKey}
	for _, into := range []*string{&trusted.StatementKey, &trusted.SealingKey, &trusted.OfficeKey, &trusted.BundleKey} {
		if *into, err = trust.EncodeKey(public); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.ReadFile(authority.Path("ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	trusted.ServerRoots, trusted.DeviceRoots, trusted.RecorderRoots = []string{string(root)}, []string{string(root)}, []string{string(root)}
	text, err := trusted.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(layout.Trust(), text, 0o600); err != nil {
		t.Fatal(err)
	}
	grow := func(n int) {
		t.Helper()
		log, err := audit.OpenLog(layout.AuditLog(), "kuule.test/log", key)
		if err != nil {
			t.Fatal(err)
		}
		var leaves []audit.Leaf
		for range n {
			sum := make([]byte, 32)
			_, _ = rand.Read(sum)
			leaves = append(leaves, audit.Leaf{ID: interview.NewEventID().String(), Type: "room.join", V: 1, H: base64.RawURLEncoding.EncodeToString(sum)})
		}
		if _, err := log.Append(t.Context(), leaves); err != nil {
			t.Fatal(err)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
	grow(5)
	kept := t.TempDir()
	c := stampCommand{data: where, From: authority.Serve(), Roots: authority.Path("ca.pem"), Out: kept}
	var said bytes.Buffer
	if err := c.Run(t.Context(), &said); err != nil || !strings.Contains(said.String(), "5 entries were there at ") {
		t.Fatalf("%s, %v", said.String(), err)
	}
	grow(3)
	check := checkCommand{data: where, Stamps: kept, Roots: c.Roots}
	said.Reset()
	if err := check.Run(t.Context(), &said); err != nil || !strings.Contains(said.String(), "says CN=time of a test") || !strings.Contains(said.String(), "8 entries") {
		t.Fatalf("%s, %v", said.String(), err)
	}
	if err := (checkCommand{data: where, Stamps: kept}).Run(t.Context(), io.Discard); err == nil {
		t.Error("a stamp was trusted without roots")
	}
	// Another log in its place, as long and signed with the same key.
	if err := os.RemoveAll(layout.AuditLog()); err != nil {
		t.Fatal(err)
	}
	grow(8)
	if err := check.Run(t.Context(), io.Discard); err == nil {
		t.Error("a log that was made anew agrees with the stamp")
	}
}
