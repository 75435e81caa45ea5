package rehearsal

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kuule/attestation/agent/gateway/gatewaytest"
	"kuule/cmd/kuule-demo/people"
	"kuule/cmd/kuule-demo/stage"
	"kuule/internal/problem"
	kioskbridge "kuule/kiosk-bridge"
)

// partOf is so much from the middle of a picture as is looked for: enough to be of
// no other.
const partOf = 60

// nothingLeft looks through every file of the installation and its devices for
// pictures that were to be destroyed when they had been compared (row B19), as
// they are and in base64.
func (r *rehearsal) nothingLeft(pictures [][]byte) (files int, err error) {
	var parts [][]byte
	for _, p := range pictures {
		if len(p) < 2*partOf {
			return 0, fmt.Errorf("a picture of %d bytes", len(p))
		}
		middle := p[len(p)/2 : len(p)/2+partOf]
		parts = append(parts, middle)
		for shift := range 3 { // base64 depends on where it begins
			text := base64.StdEncoding.EncodeToString(middle[shift:])
			parts = append(parts, []byte(text[:len(text)-4]))
		}
	}
	if len(parts) == 0 {
		return 0, errors.New("no picture was taken, so nothing is shown by finding none")
	}
	err = filepath.WalkDir(r.o.Stage.Dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil //nolint:nilerr // gone meanwhile: files come and go beside this
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return nil //nolint:nilerr // the same
		}
		files++
		for _, part := range parts {
			if bytes.Contains(content, part) {
				return fmt.Errorf("a live picture lies in %s", path)
			}
		}
		return nil
	})
	return files, err
}

// givenToNobodyElse tries to read what an officer has just read back, with that
// officer's word and without, and looks for the reading in the log.
func (r *rehearsal) givenToNobodyElse(ctx context.Context, a asked) (string, error) {
	list, read := "/api/hearings/"+a.Hearing.String()+"/given", "/api/visits/"+a.Visit.String()+"/pieces"
	word := map[string]string{"purpose": a.Purpose, "signed": a.Signed}
	desk, err := r.officer(ctx, stage.SubjectOfficer)
	if err != nil {
		return "", err
	}
	defer desk.Close()
	if err := desk.Call(ctx, http.MethodPost, read, word, nil); !people.IsProblem(err, problem.CodeConflict) {
		return "", fmt.Errorf("the same word a second time: %w", orAccepted(err))
	}
	counsel, err := r.pageOf(ctx, stage.DeviceCounsel, stage.SubjectCounsel)
	if err != nil {
		return "", err
	}
	defer counsel.Close()
	interviewer := r.interviewer.Page()
	for _, try := range []struct {
		what, method, path string
		page               *gatewaytest.Page
		body               any
		want               []problem.Code
	}{
		{"counsel lists what was given", http.MethodGet, list, counsel, nil, []problem.Code{problem.CodeForbidden}},
		{"counsel lists what was given at all kiosks", http.MethodGet, "/api/desk/given", counsel, nil, []problem.Code{problem.CodeForbidden}},
		{"counsel reads it with the officer's word", http.MethodPost, read, counsel, word, []problem.Code{problem.CodeForbidden}},
		{"an interviewer who was not in the room reads it with the officer's word", http.MethodPost, read, interviewer, word, []problem.Code{problem.CodeForbidden}},
	} {
		err := try.page.Call(ctx, try.method, try.path, try.body, nil)
		if !slices.ContainsFunc(try.want, func(c problem.Code) bool { return people.IsProblem(err, c) }) {
			return "", fmt.Errorf("%s: %w", try.what, orAccepted(err))
		}
	}
	n, err := r.stage.Logged(ctx, kioskbridge.EventPieceRead, a.Visit.String())
	if err != nil {
		return "", err
	}
	if n != 1 {
		return "", fmt.Errorf("the log has %d readings of this visit", n)
	}
	return strings.Join([]string{"refused: the same word a second time (" + string(problem.CodeConflict) + ")", "counsel", "an interviewer who was not in the room"}, ", ") + "; one reading in the log", nil
}

// pageOf is a person's page at a device.
func (r *rehearsal) pageOf(ctx context.Context, device, subject string) (*gatewaytest.Page, error) {
	page, err := r.stage.Page(ctx, device)
	if err != nil {
		return nil, err
	}
	if err := page.SignIn(ctx, r.stage.Provider, subject); err != nil {
		page.Close()
		return nil, fmt.Errorf("%s signs in: %w", subject, err)
	}
	return page, nil
}
