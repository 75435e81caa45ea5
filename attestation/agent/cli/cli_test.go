package cli

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// What a device is decides how it behaves: only a known kind is taken, and a kiosk
// without its readers is none.
func TestKindOfDeviceIsChecked(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]string{
		"":                      "workstation",
		"--kind room-terminal":  "room-terminal",
		"--kind waiting-screen": "waiting-screen",
		"--kind terminal":       "",
		"--kind Kiosk":          "",
		"--kind=":               "",
	} {
		var c struct {
			Run Run `cmd:""`
		}
		k, err := kong.New(&c, kong.Exit(func(int) {}))
		if err != nil {
			t.Fatal(err)
		}
		_, err = k.Parse(append([]string{"run"}, strings.Fields(words)...))
		if (err == nil) != (want != "") || err == nil && c.Run.Kind != want {
			t.Errorf("%q: kind %q, %v", words, c.Run.Kind, err)
		}
		if err != nil && !strings.Contains(err.Error(), "room-terminal") {
			t.Errorf("%q: the error does not say which there are: %v", words, err)
		}
	}
	err := Run{Kind: KindKiosk}.Run(t.Context(), slog.Default())
	if err == nil || !strings.Contains(err.Error(), "kuule-kiosk serve") {
		t.Errorf("a kiosk without readers: %v", err)
	}
}
