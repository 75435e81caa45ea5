package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"kuule/kiosk-bridge/duplicate"
	"kuule/kiosk-bridge/face"
)

type galleryCommand struct {
	Make galleryMake `cmd:"" help:"Make the file that is searched for duplicates, from a register's pictures."`
}

type galleryMake struct {
	Pictures string `arg:"" type:"existingdir" help:"Folder of pictures, REFERENCE.jpg or REFERENCE.png each."`
	Out      string `required:"" type:"path" placeholder:"FILE" help:"Where the gallery is written; it must not exist."`
	Key      string `required:"" type:"path" placeholder:"FILE" help:"File of the gallery's key; a new one is made where there is none."`
	Engine   string `type:"existingdir" placeholder:"DIR" help:"Folder of the reference face engine; default: 'face' beside this program."`
}

// Run describes every picture and names those that it could not.
func (c *galleryMake) Run(ctx context.Context, w io.Writer) error {
	engine, err := face.Open(ctx, c.Engine)
	if err != nil {
		return err
	}
	files, err := os.ReadDir(c.Pictures)
	if err != nil {
		return fmt.Errorf("read the pictures: %w", err)
	}
	var entries []duplicate.Entry
	for _, f := range files {
		reference, ending, _ := strings.Cut(f.Name(), ".")
		if !f.Type().IsRegular() || ending != "jpg" && ending != "png" {
			continue
		}
		picture, err := os.ReadFile(filepath.Join(c.Pictures, f.Name()))
		if err != nil {
			return fmt.Errorf("read a picture: %w", err)
		}
		template, look, err := engine.Template(ctx, picture)
		switch {
		case errors.Is(err, face.ErrFrame):
			look.Reason = face.ReasonTooLarge
		case err != nil:
			return err
		}
		if template == nil {
			if _, err := fmt.Fprintf(w, "left out: %s: %s\n", reference, look.Reason); err != nil {
				return err
			}
			continue
		}
		entries = append(entries, duplicate.Entry{Reference: reference, Template: template})
	}
	key, err := galleryKey(c.Key)
	if err != nil {
		return err
	}
	if err := writeGallery(c.Out, key, entries); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%d faces in %s\n", len(entries), c.Out)
	return err
}

// writeGallery writes a whole file or none.
func writeGallery(path string, key []byte, entries []duplicate.Entry) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("write the gallery: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			_ = os.Remove(path)
		}
	}()
	n := -1
	err = duplicate.WriteGallery(f, key, time.Now(), len(entries), func() (duplicate.Entry, error) {
		n++
		return entries[n], nil
	})
	return errors.Join(err, f.Sync())
}

// galleryKey reads a key of 64 hexadecimal digits, or makes one.
func galleryKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		key := make([]byte, 32)
		if _, err := rand.Read(key); err != nil {
			return nil, fmt.Errorf("make the gallery's key: %w", err)
		}
		return key, os.WriteFile(path, []byte(hex.EncodeToString(key)+"\n"), 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("read the gallery's key: %w", err)
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != 32 {
		return nil, fmt.Errorf("%s is no key of 64 hexadecimal digits", path)
	}
	return key, nil
}
