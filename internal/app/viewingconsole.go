package app

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
)

// Recording tells of a viewing that an interviewer holds open.
func (c Console) Recording(ctx context.Context, viewing string) (out Opened, err error) {
	err = c.get(ctx, "/recording/"+viewing, &out)
	return out, err
}

// ExportForm is what a file of a recording is to be.
type ExportForm struct {
	Form       string `json:"form"` // tracks, lane, folder, mixed, sealed or open
	Lane       int    `json:"lane,omitempty"`
	To         string `json:"to,omitempty"`         // of form open: whom it is for
	Passphrase string `json:"passphrase,omitempty"` // of forms sealed and open
	Recipient  string `json:"recipient,omitempty"`  // of these: an age key instead
}

// ExportRecording writes one file of a viewing that is open. A file that came
// in part is an error.
func (c Console) ExportRecording(ctx context.Context, viewing string, form ExportForm, out io.Writer) (int64, error) {
	body, err := json.Marshal(form)
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://door/recording/"+viewing+"/export", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	resp, err := c.do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return io.Copy(out, resp.Body)
}

// Handed keeps who received a sealed medium, and when.
func (c Console) Handed(ctx context.Context, in Handover) (out Handed, err error) {
	err = c.post(ctx, "/media/handed", in, &out)
	return out, err
}
