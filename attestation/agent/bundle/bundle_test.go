package bundle

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"kuule/internal/jws"
)

func pages(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

var sample = map[string]string{
	"index.html":    "<!doctype html><title>Kuule</title>",
	"assets/app.js": "console.log(1)",
	"assets/a.css":  "body{margin:0}",
}

func ed(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	b, err := Sign(pages(t, sample), key)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestASignedFolderComesBackWhole(t *testing.T) {
	t.Parallel()
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]crypto.Signer{"Ed25519": ed(t), "P-256": p256} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "web.bundle")
			if err := SignFile(pages(t, sample), file, key); err != nil {
				t.Fatal(err)
			}
			fsys, err := Open(file, key.Public())
			if err != nil {
				t.Fatal(err)
			}
			for path, want := range sample {
				if got, err := fs.ReadFile(fsys, path); err != nil || string(got) != want {
					t.Errorf("%s: got %q, %v", path, got, err)
				}
			}
		})
	}
}

func TestTheSamePagesGiveTheSameBundle(t *testing.T) {
	t.Parallel()
	key := ed(t)
	if !bytes.Equal(sign(t, key), sign(t, key)) {
		t.Error("two bundles of the same pages differ")
	}
}

// Promise: the server cannot slip other code into an attested seat.
func TestEveryFlippedByteIsRefused(t *testing.T) {
	t.Parallel()
	key := ed(t)
	good := sign(t, key)
	end := bytes.IndexByte(good, '\n')
	for i := range good {
		bits := []int{i % 8}
		if i >= end-2 && i <= end { // the last characters of base64 have bits to spare
			bits = []int{0, 1, 2, 3, 4, 5, 6, 7}
		}
		for _, bit := range bits {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << bit
			if _, err := Read(bad, key.Public()); !errors.Is(err, ErrRefused) {
				t.Fatalf("byte %d, bit %d: %v", i, bit, err)
			}
		}
	}
}

func TestEveryCutOrLengthenedBundleIsRefused(t *testing.T) {
	t.Parallel()
	key := ed(t)
	good := sign(t, key)
	for i := range good {
		if _, err := Read(good[:i], key.Public()); !errors.Is(err, ErrRefused) {
			t.Fatalf("first %d bytes: %v", i, err)
		}
	}
	if _, err := Read(append(bytes.Clone(good), 0), key.Public()); !errors.Is(err, ErrRefused) {
		t.Errorf("one byte more: %v", err)
	}
}

func TestOnlyThePinnedKeyCounts(t *testing.T) {
	t.Parallel()
	good := sign(t, ed(t))
	if _, err := Read(good, ed(t).Public()); !errors.Is(err, jws.ErrSignature) {
		t.Errorf("bundle of another key: %v", err)
	}
}

// Even a manifest that was really signed is held to its archive, file by file.
func TestManifestAndArchiveMustNameTheSameFiles(t *testing.T) {
	t.Parallel()
	key := ed(t)
	archive := func(names ...string) []byte {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for _, n := range names {
			f, err := w.Create(n)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	x := digest([]byte("x"))
	for name, c := range map[string]struct {
		archive []byte
		files   []entry
	}{
		"a file added":      {archive("a.js", "evil.js"), []entry{{"a.js", x, 1}}},
		"a file left out":   {archive("a.js"), []entry{{"a.js", x, 1}, {"b.js", x, 1}}},
		"a file renamed":    {archive("b.js"), []entry{{"a.js", x, 1}}},
		"other content":     {archive("a.js"), []entry{{"a.js", digest([]byte("y")), 1}}},
		"other size":        {archive("a.js"), []entry{{"a.js", x, 0}}},
		"negative size":     {archive("a.js"), []entry{{"a.js", x, -1}}},
		"climbing path":     {archive("../a.js"), []entry{{"../a.js", x, 1}}},
		"absolute path":     {archive("/a.js"), []entry{{"/a.js", x, 1}}},
		"same name twice":   {archive("a.js", "a.js"), []entry{{"a.js", x, 1}}},
		"size over bound":   {archive("a.js"), []entry{{"a.js", x, MaxSize + 1}}},
		"archive is no zip": {[]byte("not a zip"), []entry{{"a.js", x, 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			head, err := jws.Sign(manifest{Format: 1, Archive: digest(c.archive), Files: c.files}, Type, key)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Read(append([]byte(head+"\n"), c.archive...), key.Public()); !errors.Is(err, ErrRefused) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAnotherSignedMessageIsNoManifest(t *testing.T) {
	t.Parallel()
	key := ed(t)
	for name, head := range map[string]func() (string, error){
		"other type":   func() (string, error) { return jws.Sign(manifest{Format: 1}, "kuule-roster+jws", key) },
		"other format": func() (string, error) { return jws.Sign(manifest{Format: 2}, Type, key) },
	} {
		text, err := head()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Read([]byte(text+"\n"), key.Public()); !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUnfitFoldersAreNotSigned(t *testing.T) {
	t.Parallel()
	link := pages(t, sample)
	if err := os.Symlink("/etc/passwd", filepath.Join(link, "passwd")); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{
		"empty":         t.TempDir(),
		"symbolic link": link,
		"space in name": pages(t, map[string]string{"a b.js": "x"}),
	} {
		if _, err := Sign(dir, ed(t)); !errors.Is(err, ErrUnfit) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDevKeyIsMadeOnceAndClosedToOthers(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dev.key")
	first, err := GenerateDevKey(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := GenerateDevKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if !first.Public().(ed25519.PublicKey).Equal(second.Public()) {
		t.Error("the second call made another key")
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := GenerateDevKey(path); err == nil {
		t.Error("a file that is no key was overwritten or taken")
	}
}

func FuzzRead(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	dir := pages(f, sample)
	good, err := Sign(dir, key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("a.b.c\nPK"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Read(b, key.Public()); err == nil && !bytes.Equal(b, good) {
			t.Error("took a bundle that was never signed")
		}
	})
}
