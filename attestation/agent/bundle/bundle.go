package bundle

import (
	"archive/zip"
	"bytes"
	"crypto"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kuule/internal/jws"
)

// Type is the typ of a signed manifest.
const Type = "kuule-bundle+jws"

// Bounds of one bundle. A file over them is refused when signing and opening.
const (
	MaxSize  = 64 << 20 // bytes of the bundle, and of all files together
	MaxFiles = 2048
	maxPath  = 200
)

var (
	// ErrRefused says that a file is not the bundle that was signed: take it
	// again from the release, or the installation's trust file is another one.
	ErrRefused = errors.New("web bundle refused")
	// ErrUnfit says that a folder cannot become a bundle.
	ErrUnfit = errors.New("folder cannot be bundled")
)

type manifest struct {
	Archive string  `json:"archive_sha256"`
	Files   []entry `json:"files"` // sorted by path
	Format  int     `json:"format"`
}

type entry struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Sign makes the bundle of all files under dir, signed with key (Ed25519 or
// P-256). Symbolic links and other irregular files are an error.
func Sign(dir string, key crypto.Signer) ([]byte, error) {
	m := manifest{Format: 1}
	archive := new(bytes.Buffer)
	zw := zip.NewWriter(archive)
	var total int64
	root := os.DirFS(dir)
	// WalkDir goes in lexical order, so the archive does not depend on the disk.
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if !d.Type().IsRegular() || !plainPath(path) {
			return fmt.Errorf("%w: %s is no regular file with a plain name", ErrUnfit, path)
		}
		content, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		total += int64(len(content))
		if total > MaxSize || len(m.Files) == MaxFiles {
			return fmt.Errorf("%w: more than %d files or %d bytes", ErrUnfit, MaxFiles, int64(MaxSize))
		}
		m.Files = append(m.Files, entry{Path: path, SHA256: digest(content), Size: int64(len(content))})
		// No time of change: the same pages give the same bundle.
		w, err := zw.CreateHeader(&zip.FileHeader{Name: path, Method: zip.Deflate})
		if err != nil {
			return err
		}
		_, err = w.Write(content)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", dir, err)
	}
	if len(m.Files) == 0 {
		return nil, fmt.Errorf("bundle %s: %w: no files: build the pages first", dir, ErrUnfit)
	}
	if err := zw.Close(); err != nil {
		return nil, fmt.Errorf("bundle %s: %w", dir, err)
	}
	slices.SortFunc(m.Files, func(a, b entry) int { return strings.Compare(a.Path, b.Path) })
	m.Archive = digest(archive.Bytes())
	signed, err := jws.Sign(m, Type, key)
	if err != nil {
		return nil, fmt.Errorf("bundle %s: %w", dir, err)
	}
	return append([]byte(signed+"\n"), archive.Bytes()...), nil
}

// SignFile writes the bundle of dir to file, replacing it in one step.
func SignFile(dir, file string, key crypto.Signer) error {
	content, err := Sign(dir, key)
	if err != nil {
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(file), ".bundle-*")
	if err != nil {
		return fmt.Errorf("write web bundle: %w", err)
	}
	defer os.Remove(tmp.Name()) // gone after the rename
	_, err = tmp.Write(content)
	if err = errors.Join(err, tmp.Chmod(0o644), tmp.Close()); err != nil {
		return fmt.Errorf("write web bundle: %w", err)
	}
	if err := os.Rename(tmp.Name(), file); err != nil {
		return fmt.Errorf("write web bundle: %w", err)
	}
	return nil
}

// Open reads the bundle in file and checks all of it under the pinned key. The
// returned pages are held in memory: the file may change or vanish afterwards.
func Open(file string, pinned crypto.PublicKey) (fs.FS, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("open web bundle: %w", err)
	}
	defer f.Close() // only read
	content, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, fmt.Errorf("open web bundle %s: %w", file, err)
	}
	pages, err := Read(content, pinned)
	if err != nil {
		return nil, fmt.Errorf("open web bundle %s: %w", file, err)
	}
	return pages, nil
}

// Read is Open for a bundle in memory. It keeps content; do not change it.
func Read(content []byte, pinned crypto.PublicKey) (fs.FS, error) {
	if len(content) > MaxSize {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrRefused, int64(MaxSize))
	}
	head := content[:min(len(content), jws.MaxSize+1)]
	end := bytes.IndexByte(head, '\n')
	if end < 0 {
		return nil, fmt.Errorf("%w: no manifest on the first line", ErrRefused)
	}
	signed, archive := string(content[:end]), content[end+1:]
	if !strictText(signed) {
		return nil, fmt.Errorf("%w: manifest is not in its one exact text", ErrRefused)
	}
	var m manifest
	if err := jws.Verify(signed, Type, pinned, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if m.Format != 1 || len(m.Files) > MaxFiles {
		return nil, fmt.Errorf("%w: format %d is not known here: update the agent", ErrRefused, m.Format)
	}
	if digest(archive) != m.Archive {
		return nil, fmt.Errorf("%w: content is not what was signed", ErrRefused)
	}
	zr, err := zip.NewReader(bytes.NewReader(archive), int64(len(archive)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err := compare(zr.File, m.Files); err != nil {
		return nil, err
	}
	return zr, nil
}

// compare holds the archive to the manifest, file by file and in order.
func compare(files []*zip.File, want []entry) error {
	slices.SortFunc(files, func(a, b *zip.File) int { return strings.Compare(a.Name, b.Name) })
	if len(files) != len(want) {
		return fmt.Errorf("%w: holds %d files, manifest names %d", ErrRefused, len(files), len(want))
	}
	var total int64
	for i, w := range want {
		if files[i].Name != w.Path || !plainPath(w.Path) {
			return fmt.Errorf("%w: holds %q where the manifest names %q", ErrRefused, files[i].Name, w.Path)
		}
		if total += w.Size; w.Size < 0 || total > MaxSize {
			return fmt.Errorf("%w: files are larger than %d bytes", ErrRefused, int64(MaxSize))
		}
		content, err := readBounded(files[i], w.Size)
		if err != nil || int64(len(content)) != w.Size || digest(content) != w.SHA256 {
			return fmt.Errorf("%w: file %q is not what was signed", ErrRefused, w.Path)
		}
	}
	return nil
}

func readBounded(f *zip.File, size int64) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close() // only read
	return io.ReadAll(io.LimitReader(r, size+1))
}

// plainPath keeps names to what means the same thing everywhere.
func plainPath(path string) bool {
	if !fs.ValidPath(path) || path == "." || len(path) > maxPath {
		return false
	}
	return !strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r > '~' || r == '\\' || r == ':' })
}

// strictText refuses the other texts that base64 readers take for the same
// bytes (line breaks, stray bits at the end): one bundle, one text.
func strictText(signed string) bool {
	parts := strings.Split(signed, ".")
	for _, p := range parts {
		if _, err := base64.RawURLEncoding.Strict().DecodeString(p); err != nil || strings.ContainsAny(p, "\r\n") {
			return false
		}
	}
	return len(parts) == 3
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
