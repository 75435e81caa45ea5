package blob_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kuule/internal/blob"
	"kuule/internal/blob/blobtest"
)

func open(t testing.TB) (*blob.Folder, string) {
	t.Helper()
	root := filepath.Join(t.TempDir(), "blobs")
	folder, err := blob.OpenFolder(root)
	if err != nil {
		t.Fatal(err)
	}
	return folder, root
}

func TestFolderKeepsWhatAStorePromises(t *testing.T) {
	t.Parallel()
	blobtest.Run(t, func(t testing.TB) blob.Store {
		folder, _ := open(t)
		return folder
	})
}

func TestFilesAreClosedToOthersAndToWriting(t *testing.T) {
	t.Parallel()
	folder, root := open(t)
	if err := folder.Put(t.Context(), "a/b", strings.NewReader("x")); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{"a": 0o700, "a/b": 0o400} {
		info, err := os.Stat(filepath.Join(root, path))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func FuzzCheckName(f *testing.F) {
	f.Add("rec_1/000001.journal")
	f.Add("../../etc/passwd")
	f.Fuzz(func(t *testing.T, name string) {
		if blob.CheckName(name) == nil && !filepath.IsLocal(name) {
			t.Fatalf("%q leads out of the store", name)
		}
	})
}
