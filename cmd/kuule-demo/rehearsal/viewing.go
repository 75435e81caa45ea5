package rehearsal

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"filippo.io/age"

	"kuule/cmd/kuule-demo/people"
	"kuule/internal/jws"
	"kuule/internal/problem"
	"kuule/interview"
	"kuule/interview/viewing"
	"kuule/recorder/evidence"
)

const viewingPurpose = "Pöytäkirjan tarkastus (harjoitus)"

// watched is the viewing that the interviewer opened.
type watched struct {
	id      string
	outline struct {
		From  interview.Micros `json:"from"`
		To    interview.Micros `json:"to"`
		Done  bool             `json:"done"`
		Lanes []struct {
			Name   string           `json:"name"`
			Source interview.Source `json:"source"`
			Holes  []struct {
				From  interview.Micros `json:"from"`
				To    interview.Micros `json:"to"`
				Cause string           `json:"cause"`
			} `json:"holes"`
		} `json:"lanes"`
		Backups []people.Span `json:"backups"` // that come from a terminal's back-up
		Faults  []string      `json:"faults"`
	}
}

func (r *rehearsal) consent(ctx context.Context, p *people.Person, act viewing.Act, id, purpose string) (string, error) {
	nonce := make([]byte, 8)
	if _, err := rand.Read(nonce); err != nil {
		return "", err
	}
	var out struct {
		Consent string `json:"consent"`
	}
	err := p.Call(ctx, http.MethodPost, "/gw/consent", map[string]any{
		"act": act, "viewing": id, "hearing": r.hearing.ID, "purpose": jws.Hash(purpose), "nonce": hex.EncodeToString(nonce),
	}, &out)
	return out.Consent, err
}

// openRecording opens the own hearing for a written purpose, and tries what
// must not open it.
func (r *rehearsal) openRecording(ctx context.Context) (string, error) {
	path := "/api/hearings/" + r.hearing.ID.String() + "/viewings"
	if err := r.interviewer.Call(ctx, http.MethodPost, path, map[string]string{"purpose": " "}, nil); !people.IsProblem(err, problem.CodePurposeNeeded) {
		return "", fmt.Errorf("a viewing without a purpose: %w", orAccepted(err))
	}
	var asked struct {
		Viewing string `json:"viewing"`
		State   string `json:"state"`
	}
	if err := r.interviewer.Call(ctx, http.MethodPost, path, map[string]string{"purpose": viewingPurpose}, &asked); err != nil {
		return "", err
	}
	r.watched.id = asked.Viewing
	if err := r.interviewer.Call(ctx, http.MethodGet, r.watched.path("outline"), nil, nil); !people.IsProblem(err, problem.CodeNotFound) {
		return "", fmt.Errorf("a viewing that nobody opened: %w", orAccepted(err))
	}
	wrong, err := r.consent(ctx, r.interviewer, viewing.ActView, asked.Viewing, "another purpose")
	if err != nil {
		return "", err
	}
	if err := r.interviewer.Call(ctx, http.MethodPost, r.watched.path("open"), map[string]string{"consent": wrong}, nil); !people.IsProblem(err, problem.CodeStatementInvalid) {
		return "", fmt.Errorf("a consent to another purpose: %w", orAccepted(err))
	}
	consent, err := r.consent(ctx, r.interviewer, viewing.ActView, asked.Viewing, viewingPurpose)
	if err != nil {
		return "", err
	}
	if err := r.interviewer.Call(ctx, http.MethodPost, r.watched.path("open"), map[string]string{"consent": consent}, nil); err != nil {
		return "", err
	}
	if err := r.interviewer.Call(ctx, http.MethodPost, r.watched.path("open"), map[string]string{"consent": consent}, nil); !people.IsProblem(err, problem.CodeConflict) {
		return "", fmt.Errorf("the same consent a second time: %w", orAccepted(err))
	}
	for !r.watched.outline.Done {
		if err := r.interviewer.Call(ctx, http.MethodGet, r.watched.path("outline"), nil, &r.watched.outline); err != nil {
			return "", err
		}
		if !r.watched.outline.Done {
			if err := pause(ctx, 100*time.Millisecond); err != nil {
				return "", err
			}
		}
	}
	o := r.watched.outline
	if len(o.Faults) > 0 {
		return "", fmt.Errorf("faults in the recording: %v", o.Faults)
	}
	marked, err := r.markedBackups()
	return fmt.Sprintf("%d tracks over %.0f s%s; refused: no purpose, a consent to another purpose, the same consent twice", len(o.Lanes), seconds(o.To-o.From), marked), err
}

// counselListens has counsel ask for the client's recording, the interviewer
// decide, and counsel hear a second of it at the own workstation.
func (r *rehearsal) counselListens(ctx context.Context) (string, error) {
	if r.counsel == nil {
		return "nobody is counsel here", nil
	}
	const purpose = "Valituksen valmistelu (harjoitus)"
	var asked struct {
		Viewing string `json:"viewing"`
		State   string `json:"state"`
	}
	if err := r.counsel.Call(ctx, http.MethodPost, "/api/hearings/"+r.hearing.ID.String()+"/viewings", map[string]string{"purpose": purpose}, &asked); err != nil {
		return "", err
	}
	path := "/api/viewings/" + asked.Viewing
	open := func() error {
		consent, err := r.consent(ctx, r.counsel, viewing.ActView, asked.Viewing, purpose)
		if err != nil {
			return err
		}
		return r.counsel.Call(ctx, http.MethodPost, path+"/open", map[string]string{"consent": consent}, nil)
	}
	if err := open(); asked.State != "asked" || !people.IsProblem(err, problem.CodeForbidden) {
		return "", fmt.Errorf("counsel opens without permission (%s): %w", asked.State, orAccepted(err))
	}
	consent, err := r.consent(ctx, r.interviewer, viewing.ActApprove, asked.Viewing, purpose)
	if err != nil {
		return "", err
	}
	if err := r.interviewer.Call(ctx, http.MethodPost, path+"/decision", map[string]any{"allow": true, "reason": "Muutoksenhaku on vireillä (harjoitus).", "consent": consent}, nil); err != nil {
		return "", err
	}
	if err := open(); err != nil {
		return "", err
	}
	o := r.watched.outline
	half := (o.From + o.To) / 2
	half -= half % 1000
	heard, err := segmentOf(ctx, r.counsel, path, 0, half, half+1_000_000)
	if err != nil {
		return "", err
	}
	if err := r.counsel.Call(ctx, http.MethodPost, path+"/export", map[string]string{"form": "tracks"}, nil); !people.IsProblem(err, problem.CodeForbidden) {
		return "", fmt.Errorf("counsel takes a copy: %w", orAccepted(err))
	}
	if err := r.counsel.Call(ctx, http.MethodPost, path+"/close", nil, nil); err != nil {
		return "", err
	}
	return fmt.Sprintf("with the interviewer's permission, at the own workstation: %d bytes of a second; refused: before the permission, a copy", len(heard)), nil
}

// applicantListens has the applicant, who came back to the room terminal with a
// ticket for the review, ask for the own recording, the interviewer decide, and
// the applicant hear a second of it there.
func (r *rehearsal) applicantListens(ctx context.Context) (string, error) {
	if r.terminal == nil {
		return "a browser sits at the room terminal here", nil
	}
	const purpose = "Muutoksenhaku (harjoitus)"
	var asked struct {
		Viewing     string                  `json:"viewing"`
		State       string                  `json:"state"`
		Participant interview.ParticipantID `json:"participant"`
	}
	if err := r.terminal.Call(ctx, http.MethodPost, "/api/hearings/"+r.hearing.ID.String()+"/viewings", map[string]string{"purpose": purpose}, &asked); err != nil {
		return "", err
	}
	path := "/api/viewings/" + asked.Viewing
	open := func(participant interview.ParticipantID) error {
		nonce := make([]byte, 8)
		if _, err := rand.Read(nonce); err != nil {
			return err
		}
		var out struct {
			Consent string `json:"consent"`
		}
		if err := r.terminal.Call(ctx, http.MethodPost, "/gw/consent", map[string]any{
			"act": viewing.ActView, "viewing": asked.Viewing, "hearing": r.hearing.ID, "purpose": jws.Hash(purpose), "nonce": hex.EncodeToString(nonce), "participant": participant,
		}, &out); err != nil {
			return err
		}
		return r.terminal.Call(ctx, http.MethodPost, path+"/open", map[string]string{"consent": out.Consent}, nil)
	}
	if err := open(asked.Participant); asked.State != "asked" || !people.IsProblem(err, problem.CodeForbidden) {
		return "", fmt.Errorf("the applicant opens without permission (%s): %w", asked.State, orAccepted(err))
	}
	consent, err := r.consent(ctx, r.interviewer, viewing.ActApprove, asked.Viewing, purpose)
	if err != nil {
		return "", err
	}
	if err := r.interviewer.Call(ctx, http.MethodPost, path+"/decision", map[string]any{"allow": true, "reason": "Muutoksenhaku on vireillä (harjoitus).", "consent": consent}, nil); err != nil {
		return "", err
	}
	if err := open(r.participant(interview.RoleInterviewer).ID); !people.IsProblem(err, problem.CodeStatementInvalid) {
		return "", fmt.Errorf("opened as another participant: %w", orAccepted(err))
	}
	if err := open(asked.Participant); err != nil {
		return "", err
	}
	o := r.watched.outline
	half := (o.From + o.To) / 2
	half -= half % 1000
	given, err := segmentOf(ctx, r.terminal, path, 0, half, half+1_000_000)
	if err != nil {
		return "", err
	}
	if err := r.terminal.Call(ctx, http.MethodPost, path+"/export", map[string]string{"form": "tracks"}, nil); !people.IsProblem(err, problem.CodeForbidden) {
		return "", fmt.Errorf("the applicant takes a copy: %w", orAccepted(err))
	}
	if err := r.terminal.Call(ctx, http.MethodPost, path+"/close", map[string]any{"after": 0, "spans": []any{map[string]any{"from": half, "to": half + 1_000_000}}}, nil); err != nil {
		return "", err
	}
	var list struct {
		Viewings []struct {
			Viewing string         `json:"viewing"`
			Role    interview.Role `json:"role"`
			Spans   []struct {
				Kind string `json:"kind"`
			} `json:"spans"`
		} `json:"viewings"`
	}
	if err := r.interviewer.Call(ctx, http.MethodGet, "/api/hearings/"+r.hearing.ID.String()+"/viewings", nil, &list); err != nil {
		return "", err
	}
	listed := false
	for _, v := range list.Viewings {
		listed = listed || v.Viewing == asked.Viewing && v.Role == interview.RoleApplicant && len(v.Spans) == 2
	}
	if !listed {
		return "", fmt.Errorf("on record of the applicant's listening: %+v", list.Viewings)
	}
	return fmt.Sprintf("at the room terminal, by the ticket for the review and the interviewer's permission: %d bytes of a second, on record; refused: before the permission, as another participant, a copy", len(given)), nil
}

func (w *watched) path(what string) string { return "/api/viewings/" + w.id + "/" + what }

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// seek asks for two seconds of every track at moments all over the hearing and
// has them decoded.
func (r *rehearsal) seek(ctx context.Context) (string, error) {
	o := r.watched.outline
	var times []time.Duration
	segments := 0
	for _, part := range []interview.Micros{1, 5, 9} {
		from := o.From + (o.To-o.From)*part/10
		from -= from % 1000
		for i, l := range o.Lanes {
			begun := time.Now()
			b, err := r.segment(ctx, i, from, min(o.To, from+2_000_000))
			if err != nil {
				return "", fmt.Errorf("%s at %.1f s: %w", l.Name, seconds(from), err)
			}
			times = append(times, time.Since(begun))
			if l.Source == interview.SourceAudio && len(b) < 300 {
				return "", fmt.Errorf("%s at %.1f s: %d bytes", l.Name, seconds(from), len(b))
			}
			segments++
		}
	}
	if _, err := r.segment(ctx, 0, o.To+1, o.To+2); err == nil {
		return "", errors.New("a moment after the end was given out")
	}
	slices.Sort(times)
	return fmt.Sprintf("%d segments, the slowest in %d ms", segments, times[len(times)-1].Milliseconds()), nil
}

func (r *rehearsal) segment(ctx context.Context, lane int, from, to interview.Micros) ([]byte, error) {
	return segmentOf(ctx, r.interviewer, "/api/viewings/"+r.watched.id, lane, from, to)
}

func segmentOf(ctx context.Context, who *people.Person, viewing string, lane int, from, to interview.Micros) ([]byte, error) {
	page := who.Page()
	req, err := page.Request(ctx, http.MethodGet, fmt.Sprintf("%s/media?lane=%d&from=%d&to=%d&begin=1", viewing, lane, from, to), nil)
	if err != nil {
		return nil, err
	}
	resp, err := page.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("answered %s: %s", resp.Status, bytes.TrimSpace(b))
	}
	return b, err
}

func (r *rehearsal) export(ctx context.Context) (string, error) {
	n, err := r.download(ctx, `{"form":"tracks"}`, r.out("playback.webm"))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("by a playback process of its own, for a written purpose: %d bytes", n), nil
}

// download takes an export as the page does.
func (r *rehearsal) download(ctx context.Context, body, path string) (int64, error) {
	page := r.interviewer.Page()
	req, err := page.Request(ctx, http.MethodPost, r.watched.path("export"), strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	resp, err := page.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
		return 0, fmt.Errorf("export answered %s: %s", resp.Status, text)
	}
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(f, resp.Body)
	return n, errors.Join(err, f.Close())
}

// released is what the interviewer lets the console write.
type released struct {
	Form       string `json:"form"`
	To         string `json:"to"`
	Passphrase string `json:"passphrase,omitempty"`
	Recipient  string `json:"recipient,omitempty"`
}

const passphrase = "harjoitus-kuusi-mänty-koivu"

// handOver has the server's own program write a sealed medium, which it can
// only once the interviewer released it on the page, and opens it with the
// passphrase that the interviewer alone has.
func (r *rehearsal) handOver(ctx context.Context) (string, error) {
	sealed := filepath.Join(r.o.Out, "sealed")
	if err := os.RemoveAll(sealed); err != nil {
		return "", err
	}
	command := func(viewing string) (string, error) {
		return r.tool(ctx, "recording", "export", r.hearing.ID.String(), "--viewing", viewing, "--out", sealed, "--data", r.stage.Data())
	}
	for what, id := range map[string]string{"that nobody opened": "view-00000000000000000000000000000000", "of which nothing was released": r.watched.id} {
		if _, err := command(id); err == nil {
			return "", fmt.Errorf("a viewing %s was exported", what)
		}
		if _, err := os.Stat(sealed); err == nil {
			return "", errors.New("what was refused left a folder")
		}
	}
	for _, clear := range []released{{Form: "mixed", To: receiver}, {Form: "folder", To: receiver, Passphrase: passphrase}, {Form: "sealed", To: receiver}} {
		if err := r.interviewer.Call(ctx, http.MethodPost, r.watched.path("release"), clear, nil); err == nil {
			return "", fmt.Errorf("%s was released in clear", clear.Form)
		}
	}
	if err := r.interviewer.Call(ctx, http.MethodPost, r.watched.path("release"), released{Form: "sealed", To: receiver, Passphrase: passphrase}, nil); err != nil {
		return "", err
	}
	said, err := command(r.watched.id)
	if err != nil {
		return "", err
	}
	if strings.Contains(said, passphrase) {
		return "", errors.New("the administrator was told the passphrase")
	}
	who, err := age.NewScryptIdentity(passphrase)
	if err != nil {
		return "", err
	}
	held, err := unseal(filepath.Join(sealed, "recording.tar.age"), who)
	if err != nil {
		return "", err
	}
	if err := os.RemoveAll(sealed); err != nil {
		return "", err
	}
	if _, err := command(r.watched.id); err == nil {
		return "", errors.New("what was released once was written twice")
	}
	tracks := 0
	for name := range held {
		if strings.HasSuffix(name, ".webm") {
			tracks++
		}
	}
	if tracks != len(r.watched.outline.Lanes) {
		return "", fmt.Errorf("%d files for %d tracks", tracks, len(r.watched.outline.Lanes))
	}
	handed := []string{"recording", "handed", r.hearing.ID.String(), "--medium", after(said, "medium      "), "--to", receiver, "--data", r.stage.Data()}
	if _, err := r.tool(ctx, handed...); err != nil {
		return "", err
	}
	if _, err := r.tool(ctx, handed...); err == nil {
		return "", errors.New("one medium was received twice")
	}
	return fmt.Sprintf("sealed medium with a file for each of %d tracks, opened with the interviewer's passphrase; its receipt is kept; refused: a viewing that nobody opened, one of which nothing was released, anything in clear, the same release twice, a second receipt", tracks), nil
}

// mixed downloads the mixed file as the page does and has ffprobe look at it.
func (r *rehearsal) mixed(ctx context.Context) (string, error) {
	for _, tool := range []string{"ffmpeg", "ffprobe"} {
		if !installed(tool) {
			return tool + " is not installed here: not made", nil
		}
	}
	path := r.out("everybody.webm")
	n, err := r.download(ctx, `{"form":"mixed"}`, path)
	if err != nil {
		return "", err
	}
	text, err := exec.CommandContext(ctx, "ffprobe", "-v", "error", "-count_packets", "-show_entries", "stream=codec_name,nb_read_packets", "-of", "json", path).Output()
	if err != nil {
		return "", fmt.Errorf("ffprobe finds fault: %w", err)
	}
	var found struct {
		Streams []struct {
			Codec   string `json:"codec_name"`
			Packets string `json:"nb_read_packets"`
		} `json:"streams"`
	}
	if err := json.Unmarshal(text, &found); err != nil {
		return "", err
	}
	codecs := map[string]string{}
	for _, s := range found.Streams {
		codecs[s.Codec] = s.Packets
	}
	if len(codecs) != 2 || codecs["opus"] == "" || codecs["vp8"] == "" {
		return "", fmt.Errorf("streams: %v", codecs)
	}
	return fmt.Sprintf("%d bytes, %s packets of sound and %s pictures; ffprobe finds no fault", n, codecs["opus"], codecs["vp8"]), nil
}

func installed(tool string) bool {
	_, err := exec.LookPath(tool)
	return err == nil
}

// receiver is who takes the sealed medium.
const receiver = "Erik Lindqvist"

// after is the rest of the line that begins so.
func after(text, beginning string) string {
	_, rest, _ := strings.Cut(text, beginning)
	rest, _, _ = strings.Cut(rest, "\n")
	return rest
}

// openFor writes the evidence bundle with what opens it, for one recipient,
// and checks with that alone that every frame is what its sender signed for.
func (r *rehearsal) openFor(ctx context.Context) (string, error) {
	who, err := age.GenerateX25519Identity()
	if err != nil {
		return "", err
	}
	folder := filepath.Join(r.o.Out, "opened")
	if err := os.RemoveAll(folder); err != nil {
		return "", err
	}
	bundle := []string{"evidence", r.hearing.ID.String(), "--open", r.watched.id, "--out", folder, "--data", r.stage.Data()}
	if _, err := r.tool(ctx, bundle...); err == nil {
		return "", errors.New("keys left without the interviewer's word")
	}
	if err := r.interviewer.Call(ctx, http.MethodPost, r.watched.path("release"), released{Form: "open", To: "Hallinto-oikeus", Recipient: who.Recipient().String()}, nil); err != nil {
		return "", err
	}
	if _, err := r.tool(ctx, bundle...); err != nil {
		return "", err
	}
	stranger, err := age.GenerateX25519Identity()
	if err != nil {
		return "", err
	}
	if _, err := unseal(filepath.Join(folder, "recording.tar.age"), stranger); err == nil {
		return "", errors.New("another key opens the medium")
	}
	held, err := unseal(filepath.Join(folder, "recording.tar.age"), who)
	if err != nil {
		return "", err
	}
	for name, content := range held {
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(name)), content, 0o600); err != nil {
			return "", err
		}
	}
	keys := filepath.Join(folder, evidence.KeyFileName)
	text, err := r.tool(ctx, "verify", "--trust", r.out("trust.keys"), "--keys", keys, "--json", filepath.Join(folder, "evidence.zip"))
	if err != nil {
		return "", err
	}
	var report evidence.Report
	if err := json.Unmarshal([]byte(text), &report); err != nil {
		return "", err
	}
	var attested, unattested int64
	for _, rec := range report.Recordings {
		if !rec.Open {
			return "", fmt.Errorf("recording %s was not opened by its key", rec.Recording.Recording)
		}
		attested, unattested = attested+rec.Attested, unattested+rec.Unattested
	}
	if attested == 0 {
		return "", errors.New("no frame was held against its sender's list")
	}
	return fmt.Sprintf("%d recordings opened with the key file: %d frames are what their senders signed for, %d stand on no list; another key opens nothing", len(report.Recordings), attested, unattested), os.Remove(keys)
}

// unseal gives the files in a sealed medium.
func unseal(path string, who age.Identity) (map[string][]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	plain, err := age.Decrypt(f, who)
	if err != nil {
		return nil, err
	}
	held := map[string][]byte{}
	for archive := tar.NewReader(plain); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return held, nil
		}
		if err != nil {
			return nil, err
		}
		if held[h.Name], err = io.ReadAll(archive); err != nil {
			return nil, err
		}
	}
}

// listened reads who was given what and when, after the viewing has ended.
func (r *rehearsal) listened(ctx context.Context) (string, error) {
	half := (r.watched.outline.From + r.watched.outline.To) / 2
	if err := r.interviewer.Call(ctx, http.MethodPost, r.watched.path("heard"), map[string]any{"spans": []any{map[string]any{"from": half, "to": half + 2_000_000}}}, nil); err != nil {
		return "", err
	}
	if err := r.interviewer.Call(ctx, http.MethodPost, r.watched.path("close"), nil, nil); err != nil {
		return "", err
	}
	if _, err := r.segment(ctx, 0, half, half+1_000_000); err == nil {
		return "", errors.New("a viewing that was closed still gives out")
	}
	var list struct {
		Viewings []struct {
			Purpose string `json:"purpose"`
			Asker   string `json:"asker"`
			Spans   []struct {
				Kind string           `json:"kind"`
				From interview.Micros `json:"from"`
				To   interview.Micros `json:"to"`
			} `json:"spans"`
			Media []struct {
				Form     string `json:"form"`
				Receiver string `json:"receiver"`
				Handed   string `json:"handed"`
			} `json:"media"`
		} `json:"viewings"`
	}
	if err := r.interviewer.Call(ctx, http.MethodGet, "/api/hearings/"+r.hearing.ID.String()+"/viewings", nil, &list); err != nil {
		return "", err
	}
	kinds, received := map[string]int{}, 0
	for _, v := range list.Viewings {
		if v.Purpose != viewingPurpose || v.Asker == "" {
			continue
		}
		for _, s := range v.Spans {
			kinds[s.Kind]++
		}
		for _, m := range v.Media {
			if m.Form == "sealed" && m.Receiver == receiver && m.Handed != "" {
				received++
			}
		}
	}
	if kinds["served"] < 3 || kinds["heard"] < 1 || received != 1 {
		return "", fmt.Errorf("spans on record: %v, %d receipts", kinds, received)
	}
	return fmt.Sprintf("%d spans given out and %d heard, with person, purpose and time; who received the medium", kinds["served"], kinds["heard"]), nil
}
