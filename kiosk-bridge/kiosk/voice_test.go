package kiosk_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kuule/internal/problem"
	"kuule/kiosk-bridge/kiosk"
)

// N3: a recorded clip is preferred; where there is none, the text is spoken; a
// language without either is silent and no error.
func TestTextsAreSpoken(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("espeak-ng"); err != nil {
		missing(t, "espeak-ng is missing: apt-get install espeak-ng")
	}
	clips := t.TempDir()
	if err := os.MkdirAll(filepath.Join(clips, "so"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(clips, "so", "code.ogg"), []byte("OggS clip"), 0o600); err != nil {
		t.Fatal(err)
	}
	v := &kiosk.Voice{Clips: clips}
	for _, language := range []string{"fi", "en", "ar"} {
		sound, kind, err := v.Say(t.Context(), kiosk.Spoken{Language: language, Key: "code", Text: "7"})
		if err != nil || kind != "audio/wav" || !bytes.HasPrefix(sound, []byte("RIFF")) || len(sound) < 4000 {
			t.Errorf("%s: %d bytes of %s, %v", language, len(sound), kind, err)
		}
	}
	if sound, kind, err := v.Say(t.Context(), kiosk.Spoken{Language: "so", Key: "code", Text: "7"}); err != nil || kind != "audio/ogg" || string(sound) != "OggS clip" {
		t.Errorf("clip: %q %s %v", sound, kind, err)
	}
	if _, _, err := v.Say(t.Context(), kiosk.Spoken{Language: "so", Key: "service", Text: "7"}); !errors.Is(err, kiosk.ErrNoVoice) {
		t.Errorf("no voice: %v", err)
	}
}

// What speaks is given the text and nothing of this program's surroundings.
func TestTheVoiceKnowsNothingElse(t *testing.T) {
	folder := t.TempDir()
	script := "#!/bin/sh\nif [ \"$1\" = --voices ]; then echo 'Pty Language'; echo ' 5  fi'; exit 0; fi\necho \"RIFF env:$KUULE_SECRET in:$PWD text:$(cat)\"\n"
	if err := os.WriteFile(filepath.Join(folder, "espeak-ng"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+":"+os.Getenv("PATH"))
	t.Setenv("KUULE_SECRET", "secret")
	v := &kiosk.Voice{}
	sound, _, err := v.Say(t.Context(), kiosk.Spoken{Language: "fi", Key: "code", Text: "hei"})
	if err != nil || strings.TrimSpace(string(sound)) != "RIFF env: in:/ text:hei" {
		t.Errorf("%q %v", sound, err)
	}
}

// Names of clips are no paths, and a text is nobody's option.
func TestSpokenTextsAreChecked(t *testing.T) {
	t.Parallel()
	v := &kiosk.Voice{Clips: t.TempDir()}
	for name, s := range map[string]kiosk.Spoken{
		"language is a path": {Language: "../fi", Key: "code", Text: "7"},
		"key is a path":      {Language: "fi", Key: "../code", Text: "7"},
		"key is rooted":      {Language: "fi", Key: "/etc/passwd", Text: "7"},
		"no text":            {Language: "fi", Key: "code"},
		"long text":          {Language: "fi", Key: "code", Text: strings.Repeat("7", 601)},
		"broken text":        {Language: "fi", Key: "code", Text: "\xff"},
	} {
		if _, _, err := v.Say(t.Context(), s); problem.Of(err).Code != problem.CodeMalformed {
			t.Errorf("%s: %v", name, err)
		}
	}
	for body, want := range map[string]int{
		`{"language":"xx","key":"code","text":"7"}`:       http.StatusNoContent,
		`{"language":"fi","key":"code"}`:                  http.StatusBadRequest,
		`{"language":"fi","key":"code","text":"7","x":1}`: http.StatusBadRequest,
		`"` + strings.Repeat("7", 9<<10) + `"`:            http.StatusRequestEntityTooLarge,
		`not json`:                                        http.StatusBadRequest,
	} {
		w := httptest.NewRecorder()
		v.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/kiosk/voice", strings.NewReader(body)))
		if w.Code != want {
			t.Errorf("%.60s: status %d, want %d", body, w.Code, want)
		}
	}
}
