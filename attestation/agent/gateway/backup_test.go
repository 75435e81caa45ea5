package gateway

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"

	"kuule/internal/canon"
	"kuule/interview"
	"kuule/interview/backup"
)

type keeper struct {
	mu   sync.Mutex
	kept []backup.Chunk
	err  error
}

func (k *keeper) Append(c *backup.Chunk) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.err == nil {
		k.kept = append(k.kept, *c)
	}
	return k.err
}

// H5: only the page that holds the bearer hands over a back-up, in bounds, and
// what the store refuses is refused.
func TestBackupIsTakenFromTheHoldersPageAlone(t *testing.T) {
	t.Parallel()
	k := &keeper{}
	f := serve(t, func(c *Config) { c.Backup = k })
	page := f.open(t)
	post := func(bearer, body string) int {
		req, err := page.Request(t.Context(), http.MethodPost, "/gw/backup", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+bearer)
		resp, err := page.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		return resp.StatusCode
	}
	text, err := canon.Marshal(backup.Chunk{V: 1, Hearing: interview.NewHearingID(), Keys: []backup.Key{}, Frames: []backup.Frame{}, Origins: []string{}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		bearer, body string
		err          error
		status       int
	}{
		"kept":             {page.Bearer(), string(text), nil, http.StatusNoContent},
		"no bearer":        {"", string(text), nil, http.StatusUnauthorized},
		"not JSON":         {page.Bearer(), "{", nil, http.StatusBadRequest},
		"too large":        {page.Bearer(), `"` + strings.Repeat("x", backup.MaxChunk) + `"`, nil, http.StatusRequestEntityTooLarge},
		"of a pause":       {page.Bearer(), string(text), backup.ErrNotOnRecord, http.StatusForbidden},
		"the disk is full": {page.Bearer(), string(text), errors.New("no space"), http.StatusServiceUnavailable},
	} {
		k.mu.Lock()
		k.err = c.err
		k.mu.Unlock()
		if got := post(c.bearer, c.body); got != c.status {
			t.Errorf("%s: %d, want %d", name, got, c.status)
		}
	}
	if len(k.kept) != 1 {
		t.Fatalf("%d chunks kept", len(k.kept))
	}
}
