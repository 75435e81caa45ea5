package evidence

import (
	"archive/zip"
	"fmt"
	"io"
	"testing"
)

// directory is the end of a bundle whose contents are not there.
type directory struct {
	at  int64
	end []byte
}

func (d directory) ReadAt(b []byte, off int64) (int, error) {
	for i := range b {
		switch at := off + int64(i) - d.at; {
		case at >= int64(len(d.end)):
			return i, io.EOF
		case at >= 0:
			b[i] = d.end[at]
		default:
			b[i] = 0
		}
	}
	return len(b), nil
}

// A long hearing's bundle passes 4 GiB: its directory is what standard programs
// read, and below that size nothing of the extension is in it.
func TestDirectoryOfALargeBundleIsZIP64WhereItMustBe(t *testing.T) {
	t.Parallel()
	for _, files := range []int{3, 64, 200} {
		var all []measured
		for i := range files {
			all = append(all, measured{name: fmt.Sprintf("journal/rec/%06d.kj", i), size: 64 << 20, crc: uint32(i)})
		}
		at, err := lay(all)
		if err != nil {
			t.Fatal(err)
		}
		d := directory{at, ending(all, at)}
		z, err := zip.NewReader(d, at+int64(len(d.end)))
		if err != nil {
			t.Fatal(err)
		}
		if len(z.File) != files {
			t.Fatalf("%d files of %d", len(z.File), files)
		}
		extended := 0
		for i, f := range z.File {
			// The data's offset needs the local header, which is not here: the
			// directory's own words have to do.
			if f.Name != all[i].name || f.UncompressedSize64 != 64<<20 || f.CRC32 != uint32(i) {
				t.Fatalf("file %d is %+v", i, f.FileHeader)
			}
			if len(f.Extra) > 0 {
				extended++
			}
		}
		want := 0
		for _, m := range all {
			if m.offset >= 1<<32-1 {
				want++
			}
		}
		if extended != want || (files == 3) != (want == 0 && len(d.end) == files*(46+len(all[0].name))+22) {
			t.Fatalf("%d files: %d entries with the extension, want %d", files, extended, want)
		}
	}
}
