package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"kuule/kiosk-bridge/duplicate"
	"kuule/kiosk-bridge/face/facetest"
)

// B5: a register's pictures become a gallery in which one of them is found.
func TestAGalleryIsMadeOfPictures(t *testing.T) {
	e := facetest.Engine(t)
	folder, out := t.TempDir(), t.TempDir()
	for name, b := range map[string][]byte{
		"REG-1.jpg": facetest.New(1).JPEG(facetest.View{}), "REG-2.jpg": facetest.New(2).JPEG(facetest.View{}),
		"EMPTY.jpg": facetest.Encode(facetest.Draw(facetest.View{}), 0), "notes.txt": []byte("no picture"),
	} {
		if err := os.WriteFile(filepath.Join(folder, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := galleryMake{Pictures: folder, Out: filepath.Join(out, "gallery"), Key: filepath.Join(out, "key"), Engine: os.Getenv("KUULE_TEST_FACE")}
	var said strings.Builder
	if err := c.Run(t.Context(), &said); err != nil {
		t.Fatal(err)
	}
	if got := said.String(); !strings.Contains(got, "left out: EMPTY: no-face\n") || !strings.Contains(got, "2 faces in ") {
		t.Error(got)
	}
	key, err := galleryKey(c.Key)
	if err != nil {
		t.Fatal(err)
	}
	g, err := duplicate.OpenGallery(c.Out, key)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = g.Close() }()
	template, _, err := e.Template(t.Context(), facetest.New(2).JPEG(facetest.View{Width: 480, Height: 480, Yaw: 0.1, Noise: 3}))
	if err != nil {
		t.Fatal(err)
	}
	found, err := g.Search(t.Context(), [][]int8{template}, 600_000, 5)
	if err != nil || len(found) == 0 || found[0].Reference != "REG-2" {
		t.Errorf("%v, %v", found, err)
	}
	if err := c.Run(t.Context(), &said); err == nil {
		t.Error("a gallery was written over")
	}
}
