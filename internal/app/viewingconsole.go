package app

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
)

// Released tells what an interviewer, who holds the viewing open, released to
// the console.
func (c Console) Released(ctx context.Context, viewing string) (out Opened, err error) {
	err = c.get(ctx, "/recording/"+viewing, &out)
	return out, err
}

// ExportRecording writes the file of that form which was released, once. It is
// sealed for whom the interviewer named. A file that came in part is an error.
func (c Console) ExportRecording(ctx context.Context, viewing, form string, out io.Writer) (int64, error) {
	body, err := json.Marshal(map[string]string{"form": form})
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
