package trustlist

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kuule/internal/jws"
	"kuule/kiosk-bridge/emrtd"
	"kuule/kiosk-bridge/emrtdtest"
)

func key(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// germanPin is the authority behind the German master list in the tests' data:
// what the publisher prints beside it.
func germanList(t testing.TB) (file []byte, pin string) {
	t.Helper()
	file, err := os.ReadFile("../../../shared/data/DE_ML_2026-05-28.ml")
	if err != nil {
		t.Fatalf("the tests' data are missing beside the checkout: %v", err)
	}
	m, err := emrtd.ParseMasterList(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range m.Certificates {
		if c.Country == "DE" {
			if _, err := m.Pinned(c.Fingerprint()); err == nil {
				return file, c.Fingerprint()
			}
		}
	}
	t.Fatal("no authority of the list signed its signer")
	return nil, ""
}

func approve(t testing.TB, s Statement, by ...crypto.Signer) [2]string {
	t.Helper()
	var out [2]string
	for i, k := range by {
		text, err := s.Approve(k)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = text
	}
	return out
}

func publics(keys ...*ecdsa.PrivateKey) []crypto.PublicKey {
	var out []crypto.PublicKey
	for _, k := range keys {
		out = append(out, k.Public())
	}
	return out
}

// B1: the German list as a whole comes into force by two persons, and is there
// again after a restart.
func TestTwoPersonsBringTheGermanListIntoForce(t *testing.T) {
	t.Parallel()
	file, pin := germanList(t)
	a, b := key(t), key(t)
	f := &Folder{Path: filepath.Join(t.TempDir(), "lists"), Approvers: publics(a, b)}
	if now, err := f.Current(); err != nil || now != nil {
		t.Fatalf("before: %v %v", now, err)
	}
	s, _, err := Prepare(file, pin, 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	// Of its 588 certificates 8 are links that no authority may sign with.
	if s.Certificates != 580 || s.Countries != 112 {
		t.Errorf("%d certificates of %d countries", s.Certificates, s.Countries)
	}
	if _, err := f.Import(file, approve(t, s, b, a)); err != nil {
		t.Fatal(err)
	}
	again := &Folder{Path: f.Path, Approvers: f.Approvers}
	now, err := again.Current()
	if err != nil || now.List.Version() != s.Version || now.Statement != s {
		t.Fatalf("after: %+v %v", now, err)
	}
	// Back to certificates of one's own is a version, too; the old one stays.
	state, err := emrtdtest.NewState("UT", "UTO", emrtdtest.ECDSA, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	s2, _, err := Prepare(state.CSCA(), "", 2, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Import(state.CSCA(), approve(t, s2, a, b)); err != nil {
		t.Fatal(err)
	}
	if all, err := again.Sequences(); err != nil || !slices.Equal(all, []int64{1, 2}) {
		t.Errorf("versions %v %v", all, err)
	}
	if old, err := again.Version(1); err != nil || old.List.Len() != 580 {
		t.Errorf("the first version: %v", err)
	}
}

// B1: what somebody sees of a list before they approve it; the last line says who
// signed, or why that cannot be said.
func TestInspectSaysWhatAListHolds(t *testing.T) {
	t.Parallel()
	file, _ := germanList(t)
	altered := slices.Clone(file)
	altered[len(altered)/2] ^= 1
	state, err := emrtdtest.NewState("UT", "UTO", emrtdtest.ECDSA, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	other, err := emrtdtest.NewState("XA", "XAA", emrtdtest.ECDSA, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	own, err := state.MasterList(state.CSCA(), other.CSCA())
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := state.MasterList(other.CSCA())
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file []byte
		last string // "": refused
	}{
		"the German list":      {file, "588 certificates, 112 countries, signer verified"},
		"altered":              {altered, ""},
		"a state's":            {own, "2 certificates, 2 countries, signer verified"},
		"without its signer's": {foreign, "1 certificates, 1 countries, signer not verified: the authority that issued it is not in the list"},
		"certificates":         {state.CSCAPEM(), "1 certificates, 1 countries, no signer: a plain list of certificates"},
		"nothing":              {nil, ""},
		"something else":       {[]byte("kuule"), ""},
	} {
		var out strings.Builder
		err := Inspect(&out, c.file)
		lines := strings.Split(strings.TrimRight(out.String(), "\n"), "\n")
		if c.last == "" {
			if !errors.Is(err, ErrRefused) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || lines[len(lines)-1] != c.last {
			t.Errorf("%s: %q %v", name, lines[len(lines)-1], err)
		}
		if name == "the German list" && !slices.Contains(lines, "FI   5") {
			t.Errorf("counts by country: %q", lines)
		}
	}
}

// Each single missing condition refuses, and leaves what was in force.
func TestEachMissingConditionRefusesAList(t *testing.T) {
	t.Parallel()
	file, pin := germanList(t)
	a, b, stranger := key(t), key(t), key(t)
	f := &Folder{Path: t.TempDir(), Approvers: publics(a, b)}
	good, _, err := Prepare(file, pin, 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(*Statement)) Statement {
		s := good
		change(&s)
		return s
	}
	other := slices.Clone(file)
	other[len(other)-1] ^= 1
	wrongTyp, err := jws.Sign(good, "kuule-agreement+jws", a)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		file      []byte
		approvals [2]string
	}{
		"one person":              {file, [2]string{approve(t, good, a)[0], ""}},
		"one person twice":        {file, approve(t, good, a, a)},
		"a stranger":              {file, approve(t, good, a, stranger)},
		"another kind of message": {file, [2]string{wrongTyp, approve(t, good, b)[0]}},
		"two statements":          {file, [2]string{approve(t, good, a)[0], approve(t, changed(func(s *Statement) { s.Prepared++ }), b)[0]}},
		"another file":            {other, approve(t, good, a, b)},
		"another pin":             {file, approve(t, changed(func(s *Statement) { s.Pin = strings.Repeat("0", 64) }), a, b)},
		"no pin":                  {file, approve(t, changed(func(s *Statement) { s.Pin = "" }), a, b)},
		"other counts":            {file, approve(t, changed(func(s *Statement) { s.Certificates-- }), a, b)},
		"a later version":         {file, approve(t, changed(func(s *Statement) { s.Sequence = 2 }), a, b)},
		"unknown statement":       {file, approve(t, changed(func(s *Statement) { s.V = 2 }), a, b)},
		"empty file":              {nil, approve(t, good, a, b)},
	} {
		if _, err := f.Import(c.file, c.approvals); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if all, err := f.Sequences(); err != nil || len(all) != 0 {
		t.Errorf("something was kept: %v %v", all, err)
	}
	if _, err := f.Import(file, approve(t, good, a, b)); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Import(file, approve(t, good, a, b)); !errors.Is(err, ErrRefused) {
		t.Errorf("the same version a second time: %v", err)
	}
	// One person's key pinned twice is still one person.
	twice := &Folder{Path: t.TempDir(), Approvers: publics(a, a)}
	if _, err := twice.Import(file, approve(t, good, a, a)); !errors.Is(err, ErrRefused) {
		t.Errorf("one person under two entries: %v", err)
	}
}

// A version that was changed on the disk does not count, and no older one takes
// its place.
func TestChangedVersionIsNoList(t *testing.T) {
	t.Parallel()
	file, pin := germanList(t)
	a, b := key(t), key(t)
	f := &Folder{Path: t.TempDir(), Approvers: publics(a, b)}
	for n := range int64(2) {
		s, _, err := Prepare(file, pin, n+1, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Import(file, approve(t, s, a, b)); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(f.Path, "000002", listFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text[len(text)/2] ^= 1
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	if now, err := f.Current(); err == nil {
		t.Errorf("version %d counts", now.Statement.Sequence)
	}
	// A version under another's name neither.
	if err := os.Rename(filepath.Join(f.Path, "000001"), filepath.Join(f.Path, "000003")); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Current(); !errors.Is(err, ErrRefused) {
		t.Errorf("renamed version: %v", err)
	}
}
