package rehearsal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"kuule/cmd/kuule-demo/people"
	"kuule/internal/leaktest"
	"kuule/internal/problem"
	"kuule/interview/retention"
)

// Words that staff leave about the applicant, and that nothing else says.
const (
	wordSeen    = "Observationwordseven"
	wordSource  = "Sourcewordseven"
	wordIllness = "Illnesswordseven"
	wordDesk    = "Deskwordseven"
)

var staffsWords = []string{wordSeen, wordSource, wordIllness, wordDesk}

// note has the interviewer note an observation and something of a special
// category, each with a word of its own (row K10).
func (r *rehearsal) note(ctx context.Context) (string, error) {
	path := "/api/hearings/" + r.hearing.ID.String() + "/notes"
	for class, words := range map[retention.Class]retention.NoteWords{
		retention.ClassObservation: {Text: "Havainto: " + wordSeen, Source: wordSource, Reliability: "kuultu muilta"},
		retention.ClassSpecial:     {Text: wordIllness},
	} {
		if err := r.interviewer.Page().Call(ctx, http.MethodPost, path, map[string]any{"class": class, "words": words}, nil); err != nil {
			return "", fmt.Errorf("note of class %s: %w", class, err)
		}
	}
	return "an observation with its source, and something of a special category, each kept apart under a key of its own", nil
}

// observationsStay looks for those words in everything that went out, and in
// what counsel, applicant and interpreter are told (row K10).
func (r *rehearsal) observationsStay(ctx context.Context) (string, error) {
	hearing := "/api/hearings/" + r.hearing.ID.String()
	var notes json.RawMessage
	if err := r.interviewer.Page().Call(ctx, http.MethodGet, hearing+"/notes", nil, &notes); err != nil {
		return "", err
	}
	if found := leaktest.Find(notes, wordSeen, wordSource, wordIllness); len(found) != 3 {
		return "", fmt.Errorf("the interviewer's own notes hold %v of them: the search would find nothing", found)
	}
	files, inside := 0, false
	err := filepath.WalkDir(r.o.Out, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		inside = inside || strings.HasSuffix(path, "evidence.zip") && len(leaktest.Find(content, r.hearing.ID.String())) == 1
		if found := leaktest.Find(content, staffsWords...); found != nil {
			return fmt.Errorf("%s holds %v", filepath.Base(path), found)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if !inside {
		return "", errors.New("the evidence bundle was not looked into")
	}
	if r.o.Browser != "" {
		return fmt.Sprintf("none of %d words in %d files of bundles and exports", len(staffsWords), files), nil
	}
	answers := 0
	for who, person := range map[string]*people.Person{"counsel": r.counsel, "the room terminal": r.terminal} {
		for _, path := range []string{"/api/me", "/api/viewings", hearing, hearing + "/notes", hearing + "/keeping", hearing + "/records", hearing + "/transcript", hearing + "/given", "/api/desk", "/api/desk/duplicates"} {
			var told json.RawMessage
			err := person.Call(ctx, http.MethodGet, path, nil, &told)
			if err != nil && !people.IsProblem(err, problem.CodeForbidden) && !people.IsProblem(err, problem.CodeNotFound) {
				return "", fmt.Errorf("%s asks %s: %w", who, path, err)
			}
			if found := leaktest.Find(told, staffsWords...); found != nil {
				return "", fmt.Errorf("%s is told %v by %s", who, found, path)
			}
			if err == nil {
				answers++
			}
		}
	}
	if answers == 0 {
		return "", errors.New("nobody was answered, so nothing is shown")
	}
	return fmt.Sprintf("none of %d words of notes, an officer's included, in %d files of bundles and exports, nor in what counsel and the room terminal are told", len(staffsWords), files), nil
}
